/* SPDX-License-Identifier: MIT */
#include "core/log.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum {
    LINE_SIZE = 4096, /* PIPE_BUF: lines of several processes do not mix in a pipe, pipe(7) */
    LONGEST_TEXT = 256
};

static enum log_level least_level = LOG_INFO;
static int log_fd = STDERR_FILENO;

void log_open(enum log_level level, int fd)
{
    least_level = level;
    log_fd = fd;
}

bool log_enabled(enum log_level level)
{
    return level >= least_level;
}

/* A thread's lines that wait to be written. */
struct held {
    bool holding;
    size_t len;
    char lines[LINE_SIZE];
};

static _Thread_local struct held held;

/* A log that cannot be written must not stop the service: there is nobody left to tell. One whose
 * reader is slow makes the writer wait. */
static void write_out(const char *lines, size_t len)
{
    ssize_t written = write(log_fd, lines, len);
    (void)written;
}

static void write_held(void)
{
    if (held.len > 0)
        write_out(held.lines, held.len);
    held.len = 0;
}

void log_hold(void)
{
    held.holding = true;
}

void log_release(void)
{
    write_held();
    held.holding = false;
}

static void hold_or_write(enum log_level level, struct str line)
{
    if (!held.holding) {
        write_out(line.data, line.len);
        return;
    }
    if (line.len > sizeof held.lines - held.len)
        write_held();
    memcpy(held.lines + held.len, line.data, line.len);
    held.len += line.len;
    if (level >= LOG_ERROR)
        write_held();
}

static void append_field(struct buffer *line, const struct log_field *field)
{
    struct str text = field->text;
    buffer_append(line, ",\"", 2);
    buffer_append_str(line, str_from(field->name));
    buffer_append(line, "\":", 2);
    if (field->is_number) {
        if (field->number < 0)
            buffer_append_char(line, '-');
        buffer_append_u64(line, field->number < 0 ? 0 - (uint64_t)field->number
                                                  : (uint64_t)field->number);
        return;
    }
    if (text.len > LONGEST_TEXT)
        text.len = LONGEST_TEXT;
    text_append_json(line, text);
}

static void append_start(struct buffer *line, enum log_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warning", "error", "critical"};
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), now);
    buffer_append_str(line, STR("{\"time\":\""));
    buffer_append(line, now, CLOCK_TEXT_SIZE - 1);
    buffer_append_str(line, STR("\",\"level\":\""));
    buffer_append_str(line, str_from(names[level]));
    buffer_append_str(line, STR("\",\"msg\":"));
    text_append_json(line, str_from(message));
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count)
{
    if (!log_enabled(level))
        return;
    char storage[LINE_SIZE];
    struct buffer line = buffer_on(storage, sizeof storage);
    append_start(&line, level, message);
    for (size_t i = 0; i < count; i++)
        append_field(&line, &fields[i]);
    buffer_append(&line, "}\n", 2);
    if (line.failed) { /* more fields than a line holds: the message alone */
        buffer_reset(&line, 0);
        append_start(&line, level, message);
        buffer_append_str(&line, STR(",\"cut\":1}\n"));
    }
    hold_or_write(level, buffer_str(&line));
}
