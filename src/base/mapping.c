/* SPDX-License-Identifier: MIT */
#include "base/mapping.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sysexits.h>
#include <unistd.h>

enum { HEALED_MAX = 100 }; /* a disk that is full raises the signal again and again */

static struct mapping {
    _Atomic(char *) start; /* NULL: free */
    size_t size;
    mapping_heal *heal;
    void *context;
    atomic_uint healed;
} mappings[MAPPINGS_MAX];

static void (*_Atomic on_loss)(void);

static bool heal(const char *at)
{
    for (size_t i = 0; i < MAPPINGS_MAX; i++) {
        struct mapping *mapping = &mappings[i];
        const char *start = atomic_load(&mapping->start);
        if (start != NULL && at >= start && (size_t)(at - start) < mapping->size)
            return atomic_fetch_add(&mapping->healed, 1) < HEALED_MAX &&
                   mapping->heal(mapping->context);
    }
    return false;
}

static void handle(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (heal(info->si_addr))
        return;
    void (*lost)(void) = atomic_exchange(&on_loss, NULL); /* it may raise the signal itself */
    if (lost != NULL)
        lost();
    _exit(EX_IOERR);
}

static void start_watching(void)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    sigset_t bus;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
    /* If it is blocked when it is raised, the kernel kills the process (sigprocmask(2)). Threads
     * started from here inherit that. */
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
}

static void watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_watching);
}

void mapping_guard(void *start, size_t size, mapping_heal *heal_it, void *context)
{
    watch();
    for (size_t i = 0; i < MAPPINGS_MAX; i++) {
        struct mapping *mapping = &mappings[i];
        if (atomic_load(&mapping->start) != NULL)
            continue;
        mapping->size = size;
        mapping->heal = heal_it;
        mapping->context = context;
        atomic_store(&mapping->healed, 0);
        atomic_store(&mapping->start, (char *)start);
        return;
    }
}

void mapping_release(const void *start)
{
    for (size_t i = 0; i < MAPPINGS_MAX; i++)
        if (atomic_load(&mappings[i].start) == start)
            atomic_store(&mappings[i].start, NULL);
}

void mapping_watch(void (*lost)(void))
{
    atomic_store(&on_loss, lost);
    watch();
}
