/* SPDX-License-Identifier: MIT
 *
 * Time: a steady clock for measuring, and the wall clock for display. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_MS ((uint64_t)1000000)
#define US_PER_S ((uint64_t)1000000)
#define US_PER_MINUTE (60 * US_PER_S)

/* Nanoseconds of a clock that never goes back (CLOCK_MONOTONIC), the steady clock. */
uint64_t clock_steady_ns(void);

/* Returns the steady time `ms` milliseconds from now. */
static inline uint64_t clock_after_ms(uint64_t ms)
{
    return clock_steady_ns() + ms * NS_PER_MS;
}

/* The same, but not after `deadline_ns`. */
static inline uint64_t clock_within_ms(uint64_t ms, uint64_t deadline_ns)
{
    uint64_t after_ns = clock_after_ms(ms);
    return after_ns < deadline_ns ? after_ns : deadline_ns;
}

/* Returns the milliseconds until a steady time, as a timeout for poll(2): 0 if it has passed,
 * otherwise at least 1 and at most one hour. */
int clock_ms_until(uint64_t deadline_ns);

/* Microseconds since 1970 (CLOCK_REALTIME). */
uint64_t clock_wall_us(void);

/* CPU time used by this process, user and system, in microseconds. */
uint64_t clock_cpu_us(void);

enum { CLOCK_TEXT_SIZE = 28 };

/* Formats a time according to RFC 3339 in UTC with microseconds, such as
 * "2026-01-31T23:59:59.000001Z", with a NUL. */
void clock_format(uint64_t wall_us, char text[CLOCK_TEXT_SIZE]);

#endif
