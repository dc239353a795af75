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

static void wake(struct event *event, int bits)
{
    syscall(SYS_futex, &event->count, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bits);
}

void event_wake(struct event *event)
{
    wake(event, EVENT_ANY);
}

void event_signal(struct event *event, int bits)
{
    atomic_fetch_add(&event->count, 1);
    if (atomic_load(&event->waiters) > 0)
        wake(event, bits);
}

bool event_wait(struct event *event, uint32_t seen, int bits, uint64_t deadline_ns)
{
    /* FUTEX_WAIT_BITSET takes a point in time, of CLOCK_MONOTONIC. */
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / (1000 * NS_PER_MS)),
                                      .tv_nsec = (long)(deadline_ns % (1000 * NS_PER_MS))};
    if (clock_steady_ns() >= deadline_ns)
        return false;
    atomic_fetch_add(&event->waiters, 1);
    syscall(SYS_futex, &event->count, FUTEX_WAIT_BITSET, seen, &deadline, NULL, bits);
    atomic_fetch_sub(&event->waiters, 1);
    return true;
}
