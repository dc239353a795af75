/* SPDX-License-Identifier: MIT */
#include "server/confinement.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/confine.h"
#include "core/log.h"

/* With sanitizers a process writes its report to a file anywhere, and looks for leaks as another
 * process that stops all threads. */
#ifdef WITH_SANITIZERS
static const bool enters = false;
#else
static const bool enters = true;
#endif

/* Where the C library and others look while a process runs; none of it is a secret of anybody. */
static const char *const of_system[] = {
    "/usr", "/lib", "/lib64", "/proc", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom"};

static void tell(bool confined, const char *lacking, const char *failed)
{
    if (confined)
        return;
    if (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM) /* EPERM: a container's filter */
        log_message(LOG_INFO, lacking);
    else
        LOG(LOG_ERROR, failed, LOG_TEXT("error", strerror(errno)));
}

enum { LINKS_MAX = 4 };

/* What the embedded store's processes read, besides the store. */
struct readable {
    const char *paths[ARRAY_LEN(of_system) + LINKS_MAX];
    size_t len;
    char links[LINKS_MAX][PATH_MAX]; /* the path of the file of keys, and what each link leads to */
};

/* Replaces a path that is a link by what it leads to, in `next`. Returns false if it is none. */
static bool follow_link(const char *path, char next[PATH_MAX])
{
    char target[PATH_MAX];
    char directory[PATH_MAX];
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len < 0)
        return false;
    target[len] = '\0';
    snprintf(directory, sizeof directory, "%s", path);
    int written = target[0] == '/' ? snprintf(next, PATH_MAX, "%s", target)
                                   : snprintf(next, PATH_MAX, "%s/%s", dirname(directory), target);
    return written > 0 && written < PATH_MAX;
}

/* The files of the system; and each directory in which another file of keys, or another link to it,
 * may take the place of the present one. */
static void find_readable(const struct config *config, struct readable *readable)
{
    size_t links = 0;
    memcpy(readable->paths, of_system, sizeof of_system);
    readable->len = ARRAY_LEN(of_system);
    if (!config_keys_path(config, readable->links[0], PATH_MAX))
        return;
    while (++links < LINKS_MAX && follow_link(readable->links[links - 1], readable->links[links]))
        ;
    for (size_t i = 0; i < links; i++)
        readable->paths[readable->len++] = dirname(readable->links[i]);
}

static bool enter_files(const struct config *config, bool signals)
{
    struct readable readable;
    struct confine_files files = {.writable = config->state_dir, .signals = signals};
    if (config->database_url[0] != '\0') {
        files.connects = true; /* and libpq reads what the URL, its environment and others name */
    } else {
        find_readable(config, &readable);
        files.readable = readable.paths;
        files.readable_len = readable.len;
    }
    return confine_files(&files);
}

void confinement_enter(const struct config *config, bool signals)
{
    if (!enters || !config->sandbox)
        return;
    tell(
        enter_files(config, signals),
        "the kernel has no Landlock, or keeps it from this process: what files a worker can use is "
        "left to their permissions",
        "cannot give up the use of files");
    tell(
        confine_calls(config->database_url[0] != '\0'),
        "the kernel has no seccomp filters, or keeps them from this process: a worker can make all "
        "system calls",
        "cannot give up system calls");
}
