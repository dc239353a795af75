/* SPDX-License-Identifier: MIT
 *
 * An event that processes tell each other of, in memory that they share: whoever waits sleeps in
 * the kernel (futex(2)) and is woken within microseconds. Zeroed memory is an event that never
 * happened. */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct event {
    _Atomic uint32_t count;   /* how often it happened; it may wrap around */
    _Atomic uint32_t waiters; /* at least as many as there are: one that is killed stays counted */
};

/* To be read before looking at what the event is about. */
uint32_t event_count(const struct event *event);

/* It happened: wakes all who wait. */
void event_signal(struct event *event);

/* Waits until the count is not `seen`, or a time of the steady clock: false. It may return true
 * without cause, so look again at what the event is about. */
MUST_CHECK bool event_wait(struct event *event, uint32_t seen, uint64_t deadline_ns);

/* Wakes all who wait, though it did not happen. */
void event_wake(struct event *event);

#endif
