/* SPDX-License-Identifier: MIT */
#include "tools/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/directory.h"

static bool fail(const char *path, const char *why)
{
    fprintf(stderr, "integration-service: %s: %s\n", path, why);
    return false;
}

/* Opens the directory of a path. */
static int open_directory(const char *path)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", path);
    return open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Finds where the file is, or will be: a secret of Kubernetes is a link. */
static bool resolve(struct key_file *file, const char *path)
{
    char *real = realpath(path, NULL);
    if (real == NULL && errno != ENOENT)
        return fail(path, strerror(errno));
    int length = snprintf(file->path, sizeof file->path, "%s", real == NULL ? path : real);
    free(real);
    if (length < 0 || (size_t)length >= sizeof file->path)
        return fail(path, "the path is too long");
    snprintf(file->temporary, sizeof file->temporary, "%s.new", file->path);
    return true;
}

/* Makes the directory of the default path, which the service makes otherwise. */
static bool prepare_directory(const char *path)
{
    char copy[512];
    char error[512];
    snprintf(copy, sizeof copy, "%s", path);
    const char *directory = dirname(copy);
    struct stat status;
    if (stat(directory, &status) == 0 || errno != ENOENT)
        return true;
    return directory_prepare(directory, "the directory of the keys", error, sizeof error) ||
           fail(directory, error);
}

static bool open_temporary(struct key_file *file)
{
    unlink(file->temporary); /* left by one that was killed */
    int fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    file->out = fd < 0 ? NULL : fdopen(fd, "w");
    if (file->out != NULL)
        return true;
    fail(file->temporary, strerror(errno));
    if (fd >= 0)
        close(fd);
    return false;
}

static bool load(struct key_file *file)
{
    char fault[KEYS_FAULT_SIZE];
    return (keys_read(file->path, &file->text, &file->found, fault) &&
            keys_parse(buffer_str(&file->text), &file->keys, fault)) ||
           fail(file->path, fault);
}

bool key_file_begin(struct key_file *file, const char *path)
{
    *file = (struct key_file){.directory_fd = -1};
    if (!prepare_directory(path) || !resolve(file, path))
        return false;
    file->directory_fd = open_directory(file->path);
    if (file->directory_fd < 0 || flock(file->directory_fd, LOCK_EX) != 0)
        fail(file->path, strerror(errno));
    else if (load(file) && open_temporary(file))
        return true;
    key_file_close(file);
    return false;
}

/* Gives the new file the owner and the permissions of the old one, or else the directory's owner,
 * as whom the service runs. */
static bool adopt(const struct key_file *file)
{
    struct stat status;
    int fd = fileno(file->out);
    if (file->found ? stat(file->path, &status) != 0 : fstat(file->directory_fd, &status) != 0)
        return false;
    if (file->found && fchmod(fd, status.st_mode & 07777) != 0)
        return false;
    return fchown(fd, status.st_uid, status.st_gid) == 0 || geteuid() != 0;
}

bool key_file_end(struct key_file *file)
{
    bool written = adopt(file) && fflush(file->out) == 0 && fsync(fileno(file->out)) == 0;
    if (!written)
        return fail(file->temporary, strerror(errno));
    if (rename(file->temporary, file->path) != 0)
        return fail(file->path, strerror(errno));
    file->temporary[0] = '\0';
    return fsync(file->directory_fd) == 0 || fail(file->path, strerror(errno));
}

void key_file_close(struct key_file *file)
{
    if (file->out != NULL) {
        fclose(file->out);
        if (file->temporary[0] != '\0')
            unlink(file->temporary);
    }
    if (file->directory_fd >= 0)
        close(file->directory_fd);
    buffer_release(&file->text);
    keys_release(&file->keys);
}
