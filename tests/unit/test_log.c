/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <poll.h>
#include <unistd.h>

#include "core/log.h"

static int pipe_fds[2];

static void open_pipe(enum log_level level)
{
    cr_assert(pipe(pipe_fds) == 0);
    log_open(level, pipe_fds[1]);
}

/* The one line written, parsed; NULL: none. */
static struct json_object *read_line(void)
{
    static char line[8192];
    log_open(LOG_CRITICAL, STDERR_FILENO); /* closes what it opened on the pipe */
    close(pipe_fds[1]);
    ssize_t len = read(pipe_fds[0], line, sizeof line - 1);
    close(pipe_fds[0]);
    if (len <= 0)
        return NULL;
    line[len] = '\0';
    cr_expect(strchr(line, '\n') == line + len - 1, "one line: %s", line);
    struct json_object *object = json_tokener_parse(line);
    cr_assert(object != NULL, "%s", line);
    return object;
}

static const char *member(struct json_object *object, const char *name)
{
    return json_object_get_string(json_object_object_get(object, name));
}

Test(log, writes_an_object_a_line)
{
    open_pipe(LOG_INFO);
    LOG(LOG_WARNING, "a \"message\"", LOG_TEXT("text", "a\nb\x1b[31m\xFF"), LOG_NUMBER("n", -5),
        LOG_NUMBER("min", INT64_MIN), LOG_TEXT("none", NULL));
    struct json_object *object = read_line();
    cr_expect_str_eq(member(object, "level"), "warning");
    cr_expect_str_eq(member(object, "msg"), "a \"message\"");
    cr_expect_str_eq(member(object, "text"), "a\nb\x1b[31m\xEF\xBF\xBD");
    cr_expect_str_eq(member(object, "n"), "-5");
    cr_expect_str_eq(member(object, "min"), "-9223372036854775808");
    cr_expect_str_eq(member(object, "none"), "");
    cr_expect(strlen(member(object, "time")) == 27);
    json_object_put(object);
}

Test(log, writes_held_lines_together)
{
    char lines[65536];
    ssize_t len = 0;
    open_pipe(LOG_INFO);
    log_hold();
    log_message(LOG_INFO, "one");
    cr_expect(poll(&(struct pollfd){pipe_fds[0], POLLIN, 0}, 1, 0) == 0, "it waits");
    log_message(LOG_ERROR, "two");
    cr_expect(read(pipe_fds[0], lines, sizeof lines) > 100, "an error does not");
    for (int i = 0; i < 100; i++)
        LOG(LOG_INFO, "many", LOG_NUMBER("i", i));
    log_release();
    log_message(LOG_INFO, "last");
    log_open(LOG_CRITICAL, STDERR_FILENO);
    close(pipe_fds[1]);
    ssize_t got;
    while ((got = read(pipe_fds[0], lines + len, sizeof lines - 1 - (size_t)len)) > 0)
        len += got;
    lines[len] = '\0';
    int count = 0;
    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n"), count++) {
        struct json_object *object = json_tokener_parse(line);
        cr_assert(object != NULL, "%s", line);
        const char *message = member(object, "msg");
        cr_expect_str_eq(message, count < 100 ? "many" : "last");
        json_object_put(object);
    }
    cr_expect(count == 101, "%d lines", count);
    close(pipe_fds[0]);
}

Test(log, does_not_wait_for_a_slow_reader)
{
    static struct log_counts counts;
    char bytes[4096];
    open_pipe(LOG_INFO);
    log_count_in(&counts);
    for (int i = 0; i < 5000; i++) /* some 400 KB; a pipe holds 64 */
        LOG(i % 2 == 0 ? LOG_INFO : LOG_WARNING, "more than fits", LOG_NUMBER("i", i));
    uint64_t written = counts.written[LOG_INFO] + counts.written[LOG_WARNING];
    cr_expect(written > 300 && counts.dropped > 3000 && written + counts.dropped == 5000);
    cr_expect(read(pipe_fds[0], bytes, sizeof bytes) == sizeof bytes);
    log_message(LOG_ERROR, "it reads again");
    cr_expect(counts.written[LOG_ERROR] == 1);
    log_count_in(NULL);
    log_open(LOG_CRITICAL, STDERR_FILENO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

Test(log, drops_what_is_below_the_level)
{
    open_pipe(LOG_ERROR);
    log_message(LOG_WARNING, "no");
    cr_expect(!log_enabled(LOG_WARNING) && log_enabled(LOG_CRITICAL));
    cr_expect(read_line() == NULL);
}

Test(log, cuts_what_is_too_long)
{
    char text[2000];
    memset(text, 1, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    open_pipe(LOG_INFO);
    LOG(LOG_INFO, "long", LOG_TEXT("a", text));
    struct json_object *object = read_line();
    cr_expect(strlen(member(object, "a")) == 256);
    json_object_put(object);
    open_pipe(LOG_INFO);
    LOG(LOG_INFO, "long", LOG_TEXT("a", text), LOG_TEXT("b", text), LOG_TEXT("c", text));
    object = read_line();
    cr_expect_str_eq(member(object, "msg"), "long");
    cr_expect_str_eq(member(object, "cut"), "1");
    json_object_put(object);
}
