/* SPDX-License-Identifier: MIT */
#include "base/event.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

uint32_t event_count(const struct event *event)
{
    return atomic_load(&event->count);
}

void event_wake(struct event *event)
{
    syscall(SYS_futex, &event->count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void event_signal(struct event *event)
{
    atomic_fetch_add(&event->count, 1);
    if (atomic_load(&event->waiters) > 0)
        event_wake(event);
}

bool event_wait(struct event *event, uint32_t seen, uint64_t deadline_ns)
{
    /* FUTEX_WAIT_BITSET takes an absolute timeout, of CLOCK_MONOTONIC. */
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / (1000 * NS_PER_MS)),
                                      .tv_nsec = (long)(deadline_ns % (1000 * NS_PER_MS))};
    if (clock_steady_ns() >= deadline_ns)
        return false;
    atomic_fetch_add(&event->waiters, 1);
    syscall(SYS_futex, &event->count, FUTEX_WAIT_BITSET, seen, &deadline, NULL,
            FUTEX_BITSET_MATCH_ANY);
    atomic_fetch_sub(&event->waiters, 1);
    return true;
}
