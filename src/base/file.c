/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 4096 };

int file_open(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

const char *file_read(int fd, size_t most, const char *too_long, struct buffer *text)
{
    struct stat status;
    ssize_t got = 1;
    if (fstat(fd, &status) != 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "it is not a file";
    while (got > 0 && text->len <= most) {
        char *room = buffer_reserve(text, PIECE);
        if (room == NULL)
            return "no memory for it";
        got = read(fd, room, PIECE);
        text->len += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        return strerror(errno);
    return text->len > most ? too_long : NULL;
}

const char *file_read_guarded(int fd, size_t most, const char *too_long, struct buffer *text)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return strerror(errno);
    if (S_ISREG(status.st_mode) && (status.st_mode & S_IWOTH) != 0)
        return "everybody may write to it: chmod o-w";
    return file_read(fd, most, too_long, text);
}
