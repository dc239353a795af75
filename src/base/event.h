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

/* Waiters can wait for some of the signals only: a set of bits, of which a signal has one or more.
 * It saves waking those whom a signal does not concern. */
enum { EVENT_ANY = -1 };
static inline int event_bit(uint64_t number)
{
    return (int)(1U << number % 32);
}

/* Signals the event: increments the count and wakes the waiters that share a bit with `bits`. */
void event_signal(struct event *event, int bits);

/* Waits until the count differs from `seen` and a signal with one of `bits` came. Returns false if
 * `deadline_ns` (steady clock) has passed. May also return true spuriously, so check the condition
 * again. */
MUST_CHECK bool event_wait(struct event *event, uint32_t seen, int bits, uint64_t deadline_ns);

/* Wakes all waiters without signalling the event. */
void event_wake(struct event *event);

#endif
