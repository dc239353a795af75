/* SPDX-License-Identifier: MIT */
#include "main/supervisor/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/str.h"

/* Words NAME=NUMBER, separated by spaces; names that a program does not know are skipped. `pid` is
 * the process that they are meant for. */
#define VARIABLE "INTEGRATION_SERVICE_TAKEOVER"

static bool is_child(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void take_worker(struct takeover *takeover, pid_t pid, bool retiring)
{
    if (takeover->workers_len == TAKEOVER_WORKERS_MAX)
        return;
    takeover->workers[takeover->workers_len].pid = pid;
    takeover->workers[takeover->workers_len++].retiring = retiring;
}

static void take(struct takeover *takeover, struct str name, uint64_t number)
{
    if (str_equal(name, STR("listen")))
        takeover->listen_fd = (int)number;
    else if (str_equal(name, STR("lock")))
        takeover->lock_fd = (int)number;
    else if (str_equal(name, STR("shared")))
        takeover->shared_fd = (int)number;
    else if (str_equal(name, STR("given")))
        takeover->socket_given = number != 0;
    else if (!is_child((pid_t)number))
        return;
    else if (str_equal(name, STR("nginx")))
        takeover->nginx = (pid_t)number;
    else if (str_equal(name, STR("follower")))
        takeover->follower = (pid_t)number;
    else if (str_equal(name, STR("worker")))
        take_worker(takeover, (pid_t)number, false);
    else if (str_equal(name, STR("retiring")))
        take_worker(takeover, (pid_t)number, true);
}

/* Whether the descriptor was left open for this program; closes it in programs run from now on. */
static bool keep(int fd)
{
    return fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

bool takeover_receive(struct takeover *takeover)
{
    *takeover = (struct takeover){.listen_fd = -1, .lock_fd = -1, .shared_fd = -1};
    const char *text = getenv(VARIABLE);
    uint64_t own = 0;
    while (text != NULL && *text != '\0') {
        struct str word = {text, strcspn(text, " ")};
        const char *equals = memchr(word.data, '=', word.len);
        size_t name_len = equals == NULL ? word.len : (size_t)(equals - word.data);
        struct str name = {word.data, name_len};
        struct str digits = {word.data + name_len + 1, word.len - name_len - 1};
        uint64_t number = 0;
        if (equals != NULL && str_to_u64(digits, &number) && number <= INT32_MAX) {
            takeover->rehearsed |= str_equal(name, STR("rehearsal"));
            if (str_equal(name, STR("pid")) || str_equal(name, STR("rehearsal")))
                own = number;
            else
                take(takeover, name, number);
        }
        text += word.len + strspn(text + word.len, " ");
    }
    unsetenv(VARIABLE);
    return own == (uint64_t)getpid() && keep(takeover->listen_fd) && keep(takeover->lock_fd) &&
           keep(takeover->shared_fd);
}

static void append(struct buffer *out, const char *name, int64_t number)
{
    buffer_append_str(out, str_from(name));
    buffer_append_char(out, '=');
    buffer_append_u64(out, (uint64_t)number);
    buffer_append_char(out, ' ');
}

/* Keeps the descriptors open in the next program, or not. */
static void share(const struct takeover *takeover, bool shared)
{
    fcntl(takeover->listen_fd, F_SETFD, shared ? 0 : FD_CLOEXEC);
    fcntl(takeover->lock_fd, F_SETFD, shared ? 0 : FD_CLOEXEC);
    fcntl(takeover->shared_fd, F_SETFD, shared ? 0 : FD_CLOEXEC);
}

static void append_children(struct buffer *out, const struct takeover *takeover)
{
    if (takeover->nginx > 0)
        append(out, "nginx", takeover->nginx);
    if (takeover->follower > 0)
        append(out, "follower", takeover->follower);
    for (size_t i = 0; i < takeover->workers_len; i++)
        append(out, takeover->workers[i].retiring ? "retiring" : "worker",
               takeover->workers[i].pid);
}

/* Becomes the new program. Returns, with errno, only if that failed. */
static void become(const struct takeover *takeover, bool with_nginx, bool rehearsed)
{
    struct buffer text = {0};
    append(&text, rehearsed ? "rehearsal" : "pid", getpid());
    append(&text, "listen", takeover->listen_fd);
    append(&text, "lock", takeover->lock_fd);
    append(&text, "shared", takeover->shared_fd);
    append(&text, "given", takeover->socket_given);
    if (!rehearsed)
        append_children(&text, takeover);
    buffer_append_char(&text, '\0');
    errno = ENOMEM;
    if (!text.failed && setenv(VARIABLE, text.data, 1) == 0) {
        share(takeover, true);
        execlp(program_invocation_name, program_invocation_name, "serve",
               with_nginx ? "--with-nginx" : (char *)NULL, (char *)NULL);
        int reason = errno;
        share(takeover, false);
        unsetenv(VARIABLE);
        errno = reason;
    }
    buffer_release(&text);
}

void takeover_exec(const struct takeover *takeover, bool with_nginx)
{
    become(takeover, with_nginx, false);
}

/* ---- rehearsals ---- */

static const struct str ready = STR_INIT("integration-service: ready to take over\n");

static void rehearse(const struct takeover *takeover, bool with_nginx, int out_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(out_fd, STDOUT_FILENO) >= 0)
        become(takeover, with_nginx, true);
    _exit(127);
}

pid_t takeover_rehearse(const struct takeover *takeover, bool with_nginx, int *said_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        rehearse(takeover, with_nginx, ends[1]);
    int reason = errno;
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    *said_fd = ends[0];
    errno = reason;
    return pid;
}

bool takeover_tell_ready(void)
{
    return write(STDOUT_FILENO, ready.data, ready.len) == (ssize_t)ready.len;
}

bool takeover_was_told_ready(int said_fd)
{
    char said[64];
    /* Something that it left running may hold the other end, and say nothing. */
    fcntl(said_fd, F_SETFL, O_NONBLOCK);
    ssize_t len = read(said_fd, said, sizeof said);
    close(said_fd);
    return len >= 0 && str_equal((struct str){said, (size_t)len}, ready);
}
