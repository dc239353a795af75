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
        struct str digits = {word.data + name_len + 1, word.len - name_len - 1};
        uint64_t number = 0;
        if (equals != NULL && str_to_u64(digits, &number) && number <= INT32_MAX) {
            if (str_equal((struct str){word.data, name_len}, STR("pid")))
                own = number;
            else
                take(takeover, (struct str){word.data, name_len}, number);
        }
        text += word.len + strspn(text + word.len, " ");
    }
    unsetenv(VARIABLE);
    return own == (uint64_t)getpid() && keep(takeover->listen_fd) && keep(takeover->lock_fd) &&
           keep(takeover->shared_fd);
}

pid_t takeover_rehearse(void)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0 && dup2(nowhere, STDERR_FILENO) >= 0)
        execlp(program_invocation_name, program_invocation_name, "check-config", (char *)NULL);
    _exit(127);
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

void takeover_exec(const struct takeover *takeover, bool with_nginx)
{
    struct buffer text = {0};
    append(&text, "pid", getpid());
    append(&text, "listen", takeover->listen_fd);
    append(&text, "lock", takeover->lock_fd);
    append(&text, "shared", takeover->shared_fd);
    append(&text, "given", takeover->socket_given);
    if (takeover->nginx > 0)
        append(&text, "nginx", takeover->nginx);
    if (takeover->follower > 0)
        append(&text, "follower", takeover->follower);
    for (size_t i = 0; i < takeover->workers_len; i++)
        append(&text, takeover->workers[i].retiring ? "retiring" : "worker",
               takeover->workers[i].pid);
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
