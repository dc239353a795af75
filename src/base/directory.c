/* SPDX-License-Identifier: MIT */
#include "base/directory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool make(const char *path, const char *name, char *error, size_t error_size)
{
    if (mkdir(path, 0750) == 0 || errno == EEXIST)
        return true;
    snprintf(error, error_size, "cannot create %s%s: %s", name, path, strerror(errno));
    return false;
}

static bool check_owner(const struct stat *status, const char *path, const char *name, char *error,
                        size_t error_size)
{
    if (status->st_uid == geteuid() || status->st_uid == 0)
        return true;
    snprintf(error, error_size,
             "%s%s belongs to another user (uid %u): let it belong to the user of the service (uid "
             "%u), or name another directory",
             name, path, (unsigned)status->st_uid, (unsigned)geteuid());
    return false;
}

bool directory_prepare(const char *path, const char *setting, char *error, size_t error_size)
{
    char name[32];
    struct stat status;
    snprintf(name, sizeof name, "%s ", setting);
    if (!make(path, name, error, error_size))
        return false;
    if (stat(path, &status) == 0)
        return check_owner(&status, path, name, error, error_size);
    snprintf(error, error_size, "%s%s: %s", name, path, strerror(errno));
    return false;
}

bool directory_prepare_inside(const char *path, char *error, size_t error_size)
{
    struct stat status;
    if (!make(path, "", error, error_size))
        return false;
    if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return check_owner(&status, path, "", error, error_size);
    snprintf(error, error_size, "%s is no directory, or a symbolic link: put the directory there",
             path);
    return false;
}
