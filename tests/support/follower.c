/* SPDX-License-Identifier: MIT */
#include "follower.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell_ready(void *context)
{
    const int *fd = context;
    ssize_t written = write(*fd, "", 1);
    (void)written;
}

static int follow(const struct store_backend *backend, const struct store_options *options,
                  int stop_fd, int ready_fd)
{
    char error[512];
    struct store_follow follow = {.stop_fd = stop_fd, .ready = tell_ready, .context = &ready_fd};
    if (backend->follow(options, &follow, error, sizeof error))
        return 0;
    fprintf(stderr, "%s\n", error);
    return 1;
}

void follower_start(struct follower *follower, const struct store_backend *backend,
                    const struct store_options *options)
{
    int stop[2];
    int ready[2];
    char byte;
    cr_assert(pipe(stop) == 0 && pipe(ready) == 0);
    follower->pid = fork();
    if (follower->pid == 0) {
        close(stop[1]);
        close(ready[0]);
        _exit(follow(backend, options, stop[0], ready[1]));
    }
    close(stop[0]);
    close(ready[1]);
    cr_assert(read(ready[0], &byte, 1) == 1, "the follower is not ready");
    close(ready[0]);
    follower->stop_fd = stop[1];
}

void follower_stop(struct follower *follower)
{
    int status = -1;
    close(follower->stop_fd);
    cr_expect(waitpid(follower->pid, &status, 0) == follower->pid && status == 0, "%d", status);
}
