/* SPDX-License-Identifier: MIT */
#include "store/lmdb/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"

static int map(struct turn *turn)
{
    /* Allocate the page on disk now, so that a full disk causes an error here rather than SIGBUS
     * later. */
    int wrong = posix_fallocate(turn->fd, 0, sizeof *turn->page);
    if (wrong != 0)
        return wrong;
    void *page = mmap(NULL, sizeof *turn->page, PROT_READ | PROT_WRITE, MAP_SHARED, turn->fd, 0);
    if (page == MAP_FAILED)
        return errno;
    turn->page = page;
    return 0;
}

int turn_open(struct turn *turn, const char *path)
{
    *turn = (struct turn){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660)};
    if (turn->fd < 0)
        return errno;
    int wrong = map(turn);
    if (wrong != 0)
        close(turn->fd);
    else
        pthread_mutex_init(&turn->lock, NULL);
    return wrong;
}

void turn_close(struct turn *turn)
{
    munmap(turn->page, sizeof *turn->page);
    close(turn->fd);
    pthread_mutex_destroy(&turn->lock);
}

int turn_take(struct turn *turn)
{
    pthread_mutex_lock(&turn->lock);
    if (lock_wait(turn->fd, 0))
        return 0;
    int reason = errno;
    pthread_mutex_unlock(&turn->lock);
    return reason;
}

bool turn_try(struct turn *turn)
{
    if (pthread_mutex_trylock(&turn->lock) != 0)
        return false;
    if (lock_try(turn->fd, 0))
        return true;
    pthread_mutex_unlock(&turn->lock);
    return false;
}

void turn_give(struct turn *turn)
{
    lock_release(turn->fd, 0);
    pthread_mutex_unlock(&turn->lock);
}
