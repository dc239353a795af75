/* SPDX-License-Identifier: MIT */
#include "core/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { SAY_AGAIN_MS = 1000 };

enum {
    LINE_SIZE = 4096, /* at most PIPE_BUF, so that lines from several processes do not mix in a
                         pipe, see pipe(7) */
    LONGEST_TEXT = 256
};

const char *const log_level_names[LOG_LEVELS] = {"debug", "info", "warning", "error", "critical"};

/* How to write the log without waiting for its reader. */
enum sink {
    SINK_PLAIN, /* a file or terminal: write(2) does not block for long */
    /* A pipe, reopened: setting O_NONBLOCK on the inherited descriptor would affect its other
     * users. */
    SINK_NONBLOCKING,
    SINK_SOCKET /* a socket, as from systemd: send(2) takes MSG_DONTWAIT per call */
};

static enum log_level least_level = LOG_INFO;
static int log_fd = STDERR_FILENO;
static int own_fd = -1; /* the reopened pipe */
static enum sink sink = SINK_PLAIN;
static struct log_counts *line_counts;

static void choose_sink(int fd)
{
    struct stat status;
    char path[32];
    sink = SINK_PLAIN;
    if (fstat(fd, &status) != 0)
        return;
    if (S_ISSOCK(status.st_mode))
        sink = SINK_SOCKET;
    if (!S_ISFIFO(status.st_mode))
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    own_fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (own_fd < 0) /* a pipe of another user: writes may block */
        return;
    sink = SINK_NONBLOCKING;
    log_fd = own_fd;
}

void log_open(enum log_level level, int fd)
{
    if (own_fd >= 0)
        close(own_fd);
    own_fd = -1;
    least_level = level;
    log_fd = fd;
    choose_sink(fd);
}

void log_count_in(struct log_counts *counts)
{
    line_counts = counts;
}

bool log_is_due(_Atomic uint64_t *said_ns)
{
    uint64_t now_ns = clock_steady_ns();
    uint64_t before_ns = atomic_load(said_ns);
    return (before_ns == 0 || now_ns - before_ns > SAY_AGAIN_MS * NS_PER_MS) &&
           atomic_compare_exchange_strong(said_ns, &before_ns, now_ns);
}

bool log_enabled(enum log_level level)
{
    return level >= least_level;
}

/* Buffered lines of a thread. */
struct held {
    bool holding;
    size_t len;
    uint32_t lines[LOG_LEVELS]; /* number of buffered lines per level */
    char text[LINE_SIZE];
};

static _Thread_local struct held held;

static void count(const uint32_t lines[LOG_LEVELS], bool written)
{
    if (line_counts == NULL)
        return;
    for (size_t level = 0; level < LOG_LEVELS; level++)
        if (lines[level] > 0)
            atomic_fetch_add_explicit(written ? &line_counts->written[level]
                                              : &line_counts->dropped,
                                      lines[level], memory_order_relaxed);
}

/* If the log cannot be written, there is nowhere to report it, and the service must go on. Up to
 * PIPE_BUF bytes are written to a pipe either completely or not at all, see pipe(7). */
static bool write_out(const char *text, size_t len)
{
    ssize_t written = sink == SINK_SOCKET ? send(log_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                          : write(log_fd, text, len);
    return written == (ssize_t)len;
}

static void write_held(void)
{
    if (held.len > 0)
        count(held.lines, write_out(held.text, held.len));
    held.len = 0;
    memset(held.lines, 0, sizeof held.lines);
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
    if (line.len > sizeof held.text - held.len)
        write_held();
    memcpy(held.text + held.len, line.data, line.len);
    held.len += line.len;
    held.lines[level]++;
    if (!held.holding || level >= LOG_ERROR)
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
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), now);
    buffer_append_str(line, STR("{\"time\":\""));
    buffer_append(line, now, CLOCK_TEXT_SIZE - 1);
    buffer_append_str(line, STR("\",\"level\":\""));
    buffer_append_str(line, str_from(log_level_names[level]));
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
    if (line.failed) { /* the fields do not fit: write the message alone */
        buffer_reset(&line, 0);
        append_start(&line, level, message);
        buffer_append_str(&line, STR(",\"cut\":1}\n"));
    }
    hold_or_write(level, buffer_str(&line));
}
