/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <string.h>
#include <time.h>

enum { NS_PER_US = 1000, LONGEST_WAIT_MS = 3600000 };

static uint64_t read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / NS_PER_US;
}

uint64_t clock_steady_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_PER_S * NS_PER_US + (uint64_t)now.tv_nsec;
}

int clock_ms_until(uint64_t deadline_ns)
{
    uint64_t now_ns = clock_steady_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t left_ms = (deadline_ns - now_ns) / NS_PER_MS + 1;
    return left_ms < LONGEST_WAIT_MS ? (int)left_ms : LONGEST_WAIT_MS;
}

uint64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

uint64_t clock_cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_format(uint64_t wall_us, char text[CLOCK_TEXT_SIZE])
{
    /* The calendar part changes only once a second, but a busy thread formats times far more
     * often. */
    static _Thread_local uint64_t cached_second = UINT64_MAX;
    static _Thread_local char cached[CLOCK_TEXT_SIZE];
    uint64_t second = wall_us / US_PER_S;
    if (second != cached_second) {
        time_t seconds = (time_t)second;
        struct tm utc;
        gmtime_r(&seconds, &utc);
        strftime(cached, sizeof cached, "%Y-%m-%dT%H:%M:%S.000000Z", &utc);
        cached_second = second;
    }
    memcpy(text, cached, CLOCK_TEXT_SIZE);
    uint64_t fraction = wall_us % US_PER_S;
    for (int digit = 25; digit > 19; digit--) {
        text[digit] = (char)('0' + fraction % 10);
        fraction /= 10;
    }
}
