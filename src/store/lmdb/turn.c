/* SPDX-License-Identifier: MIT */
#include "store/lmdb/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/mapping.h"
#include "core/log.h"

enum {
    TRY_AGAIN_MS = 10,
    WAIT_MAX_MS = 20000 /* even for a caller without a deadline */
};

/* What the page says is soon said again. */
static bool heal(void *context)
{
    const struct turn *turn = context;
    return ftruncate(turn->fd, sizeof *turn->page) == 0;
}

static int map(struct turn *turn)
{
    /* Allocate the page on disk now, so that a full disk causes an error here rather than SIGBUS
     * later. */
    int wrong = posix_fallocate(turn->fd, 0, sizeof *turn->page);
    if (wrong != 0)
        return wrong;
    void *page = mmap(NULL, sizeof *turn->page, PROT_READ | PROT_WRITE, MAP_SHARED, turn->fd, 0);
    if (page == MAP_FAILED)
        return errno;
    turn->page = page;
    mapping_guard(page, sizeof *turn->page, heal, turn);
    return 0;
}

int turn_open(struct turn *turn, const char *path)
{
    *turn = (struct turn){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660)};
    if (turn->fd < 0)
        return errno;
    int wrong = map(turn);
    if (wrong != 0)
        close(turn->fd);
    else
        pthread_mutex_init(&turn->lock, NULL);
    return wrong;
}

void turn_close(struct turn *turn)
{
    mapping_release(turn->page);
    munmap(turn->page, sizeof *turn->page);
    close(turn->fd);
    pthread_mutex_destroy(&turn->lock);
}

static void note_holder(struct turn *turn)
{
    atomic_store(&turn->page->holder, (uint64_t)getpid());
    atomic_store(&turn->page->taken_ns, clock_steady_ns());
}

/* Says who keeps the others waiting; another program's lock has no entry in the page. */
static int give_up(const struct turn *turn)
{
    uint64_t taken_ns = atomic_load(&turn->page->taken_ns);
    uint64_t now_ns = clock_steady_ns();
    LOG(LOG_ERROR, "the turn to change the store did not come in time",
        LOG_NUMBER("last_holder", atomic_load(&turn->page->holder)),
        LOG_NUMBER("taken_ms_ago", now_ns > taken_ns ? (now_ns - taken_ns) / NS_PER_MS : 0));
    return ETIMEDOUT;
}

/* Waits for the file's lock. Whoever gives the turn up says so; whoever is killed cannot, so it is
 * tried again after a while. */
static int take_file(struct turn *turn, uint64_t deadline_ns)
{
    for (;;) {
        uint32_t seen = event_count(&turn->page->given);
        if (lock_try(turn->fd, 0)) {
            if (clock_steady_ns() < deadline_ns)
                return 0;
            lock_release(turn->fd, 0); /* this process was stopped while it waited */
            return give_up(turn);
        }
        if (errno != EAGAIN && errno != EACCES)
            return errno;
        if (clock_steady_ns() >= deadline_ns)
            return give_up(turn);
        (void)!event_wait(&turn->page->given, seen, EVENT_ANY,
                          clock_within_ms(TRY_AGAIN_MS, deadline_ns));
    }
}

int turn_take(struct turn *turn, uint64_t deadline_ns)
{
    deadline_ns = clock_within_ms(WAIT_MAX_MS, deadline_ns);
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / (1000 * NS_PER_MS)),
                                      .tv_nsec = (long)(deadline_ns % (1000 * NS_PER_MS))};
    int code = pthread_mutex_clocklock(&turn->lock, CLOCK_MONOTONIC, &deadline);
    if (code == ETIMEDOUT)
        return give_up(turn);
    if (code != 0)
        return code;
    code = take_file(turn, deadline_ns);
    if (code == 0)
        note_holder(turn);
    else
        pthread_mutex_unlock(&turn->lock);
    return code;
}

bool turn_try(struct turn *turn)
{
    if (pthread_mutex_trylock(&turn->lock) != 0)
        return false;
    if (lock_try(turn->fd, 0)) {
        note_holder(turn);
        return true;
    }
    pthread_mutex_unlock(&turn->lock);
    return false;
}

void turn_give(struct turn *turn)
{
    lock_release(turn->fd, 0);
    event_signal(&turn->page->given, EVENT_ANY);
    pthread_mutex_unlock(&turn->lock);
}

static bool is_free(struct turn *turn)
{
    bool taken = turn_try(turn);
    if (taken)
        turn_give(turn);
    return taken;
}

bool turn_moves(struct turn *turn, uint64_t deadline_ns)
{
    uint32_t seen = event_count(&turn->page->given);
    for (;;) {
        if (is_free(turn) || event_count(&turn->page->given) != seen)
            return true;
        if (clock_steady_ns() >= deadline_ns)
            return false;
        (void)!event_wait(&turn->page->given, seen, EVENT_ANY,
                          clock_within_ms(TRY_AGAIN_MS, deadline_ns));
    }
}
