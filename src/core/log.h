/* SPDX-License-Identifier: MIT
 *
 * The log: one JSON object per line on standard error.
 *
 * Limits: a line has at most 4096 bytes, a text field 256. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* In the order in which the LOG_LEVEL option lists them. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_CRITICAL };
enum { LOG_LEVELS = LOG_CRITICAL + 1 };

extern const char *const log_level_names[LOG_LEVELS];

/* What became of the lines; may be in memory shared between processes. */
struct log_counts {
    _Atomic uint64_t written[LOG_LEVELS];
    _Atomic uint64_t dropped; /* because the reader was too slow, or the disk was full */
};

/* A member of a line, made by LOG_TEXT, LOG_STR or LOG_NUMBER. Text is escaped, and truncated to
 * 256 bytes. */
struct log_field {
    const char *name;
    bool is_number;
    int64_t number;
    struct str text;
};

#define LOG_TEXT(name_, text_) ((struct log_field){(name_), false, 0, str_from(text_)})
#define LOG_STR(name_, str_) ((struct log_field){(name_), false, 0, (str_)})
#define LOG_NUMBER(name_, number_) ((struct log_field){(name_), true, (int64_t)(number_), {0}})

/* From now on drops lines below `level`, and writes the others to `fd`. Never waits for the reader
 * of a pipe or socket: lines that do not fit are dropped and counted. Defaults to LOG_INFO and
 * standard error until the first call. Must not be called while other threads log. */
void log_open(enum log_level level, int fd);

/* From now on counts lines in `counts`; NULL, the default: does not count. */
void log_count_in(struct log_counts *counts);

bool log_enabled(enum log_level level);

/* Whether what may happen often is to be said again: once a second at most. *said_ns, zero at
 * first, is the caller's own. */
bool log_is_due(_Atomic uint64_t *said_ns);

/* Writes a line: {"time":…,"level":…,"msg":message, fields…}. `message` must be a constant of the
 * program. External data belongs in fields; secrets must not be logged at all. */
void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count);

/* Between log_hold and log_release the lines of the calling thread are buffered and written
 * together, about twenty per system call; lines of LOG_ERROR and above are written at once. Meant
 * for a thread that does many short things in a row: buffered lines are lost if the process is
 * killed. */
void log_hold(void);
void log_release(void);

/* Writes a line without fields. */
static inline void log_message(enum log_level level, const char *message)
{
    log_fields(level, message, NULL, 0);
}

#define LOG(level, message, ...)                                                                   \
    log_fields((level), (message), (const struct log_field[]){__VA_ARGS__},                        \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
