/* SPDX-License-Identifier: MIT
 *
 * Preloaded into the service, does in each worker what an intruder would who made it run code of
 * theirs: when the worker first accepts connections, which it does as it will to its end. What came
 * of it stands in STATE_DIR/intruder, a line an attempt: its name and an errno, 0 for success. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int result_of_opening(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int result_of_forking(void)
{
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return 0;
}

static void intrude(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/intruder", getenv("STATE_DIR"));
    FILE *results = fopen(path, "ae");
    if (results == NULL)
        return;
    snprintf(path, sizeof path, "%s/../beside", getenv("STATE_DIR"));
    fprintf(results, "read %d\n", result_of_opening("/etc/passwd", O_RDONLY));
    fprintf(results, "write %d\n", result_of_opening(path, O_WRONLY | O_CREAT));
    fprintf(results, "fork %d\n", result_of_forking());
    fprintf(results, "socket %d\n",
            socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 ? 0 : errno);
    fprintf(results, "trace %d\n", ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0 ? 0 : errno);
    fclose(results);
}

int accept4(int fd, struct sockaddr *addr, socklen_t *addr_len, int flags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static int (*next)(int, struct sockaddr *, socklen_t *, int);
    pthread_once(&once, intrude);
    if (next == NULL)
        next = (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
    return next(fd, addr, addr_len, flags);
}
