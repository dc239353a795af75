/* SPDX-License-Identifier: MIT
 *
 * The log: one JSON object a line on standard error. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* As the LOG_LEVEL option lists them. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_CRITICAL };
enum { LOG_LEVELS = LOG_CRITICAL + 1 };

extern const char *const log_level_names[LOG_LEVELS];

/* What became of the lines; in memory that processes may share. */
struct log_counts {
    _Atomic uint64_t written[LOG_LEVELS];
    _Atomic uint64_t dropped; /* their reader was too slow, or the disk full */
};

/* One member of a line; made by LOG_TEXT or LOG_NUMBER. Text is escaped, and cut at 256 bytes. */
struct log_field {
    const char *name;
    bool is_number;
    int64_t number;
    struct str text;
};

#define LOG_TEXT(name_, text_) ((struct log_field){(name_), false, 0, str_from(text_)})
#define LOG_STR(name_, str_) ((struct log_field){(name_), false, 0, (str_)})
#define LOG_NUMBER(name_, number_) ((struct log_field){(name_), true, (int64_t)(number_), {0}})

/* Lines below `level` are left out from now on; the others go to `fd`. A pipe or a socket whose
 * reader is too slow is not waited for: what does not fit is dropped, and counted. Until the first
 * call: LOG_INFO and standard error. Not while other threads log. */
void log_open(enum log_level level, int fd);

/* Counts lines in `counts` from now on; NULL: nowhere, as before the first call. */
void log_count_in(struct log_counts *counts);

bool log_enabled(enum log_level level);

/* Writes one line: {"time":…,"level":…,"msg":message, fields…}. `message` is a
 * constant of the program; what came from outside goes into fields, and secrets into none. */
void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count);

/* From log_hold to log_release this thread's lines wait and are written together, some twenty in
 * one system call; one of LOG_ERROR or above does not wait. For a thread that does many short
 * things in a row: what waits is lost if the process is killed. */
void log_hold(void);
void log_release(void);

/* The same without fields. */
static inline void log_message(enum log_level level, const char *message)
{
    log_fields(level, message, NULL, 0);
}

#define LOG(level, message, ...)                                                                   \
    log_fields((level), (message), (const struct log_field[]){__VA_ARGS__},                        \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
