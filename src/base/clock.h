/* SPDX-License-Identifier: MIT
 *
 * Time: a steady clock for durations, a wall clock for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_MS ((uint64_t)1000000)

/* Nanoseconds of a clock that never goes back (CLOCK_MONOTONIC). */
uint64_t clock_steady_ns(void);

/* The time `ms` milliseconds from now, of that clock. */
static inline uint64_t clock_after_ms(uint64_t ms)
{
    return clock_steady_ns() + ms * NS_PER_MS;
}

/* Milliseconds until a time of that clock as poll(2) takes them: 0 when it has passed, otherwise at
 * least 1 and at most an hour. */
int clock_ms_until(uint64_t deadline_ns);

/* Microseconds since 1970 (CLOCK_REALTIME). */
uint64_t clock_wall_us(void);

/* CPU time this process has used, user and system, in microseconds. */
uint64_t clock_cpu_us(void);

enum { CLOCK_TEXT_SIZE = 28 };

/* Writes the time as RFC 3339 in UTC with microseconds, "2026-01-31T23:59:59.000001Z", and a NUL.
 */
void clock_format(uint64_t wall_us, char text[CLOCK_TEXT_SIZE]);

#endif
