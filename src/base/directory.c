/* SPDX-License-Identifier: MIT */
#include "base/directory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool directory_prepare(const char *path, const char *setting, char *error, size_t error_size)
{
    struct stat status;
    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        snprintf(error, error_size, "cannot create %s %s: %s", setting, path, strerror(errno));
        return false;
    }
    if (stat(path, &status) != 0) {
        snprintf(error, error_size, "%s %s: %s", setting, path, strerror(errno));
        return false;
    }
    if (status.st_uid == geteuid() || status.st_uid == 0)
        return true;
    snprintf(
        error, error_size,
        "%s %s belongs to another user (uid %u): let it belong to the user of the service (uid "
        "%u), or name another directory",
        setting, path, (unsigned)status.st_uid, (unsigned)geteuid());
    return false;
}
