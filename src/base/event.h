/* SPDX-License-Identifier: MIT
 *
 * An event that processes signal to each other through shared memory. Waiters sleep in the kernel
 * (futex(2)), and are woken within microseconds. Zeroed memory is a valid event that has never been
 * signalled. */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct event {
    _Atomic uint32_t count;   /* number of signals so far; may wrap around */
    _Atomic uint32_t waiters; /* upper bound: waiters that were killed remain counted */
};

/* Read the count before checking the condition that the event is about. */
uint32_t event_count(const struct event *event);

/* Signals the event: increments the count and wakes all waiters. */
void event_signal(struct event *event);

/* Waits until the count differs from `seen`. Returns false if `deadline_ns` (steady clock) has
 * passed. May also return true spuriously, so check the condition again. */
MUST_CHECK bool event_wait(struct event *event, uint32_t seen, uint64_t deadline_ns);

/* Wakes all waiters without signalling the event. */
void event_wake(struct event *event);

#endif
