/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct flock one_byte(short type, uint64_t byte)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

static bool set(int fd, uint64_t byte, int command)
{
    struct flock lock = one_byte(F_WRLCK, byte);
    while (fcntl(fd, command, &lock) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

bool lock_wait(int fd, uint64_t byte)
{
    return set(fd, byte, F_OFD_SETLKW);
}

bool lock_try(int fd, uint64_t byte)
{
    return set(fd, byte, F_OFD_SETLK);
}

void lock_release(int fd, uint64_t byte)
{
    struct flock lock = one_byte(F_UNLCK, byte);
    fcntl(fd, F_OFD_SETLK, &lock);
}

bool lock_is_held(int fd, uint64_t byte)
{
    struct flock lock = one_byte(F_WRLCK, byte);
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
