/* SPDX-License-Identifier: MIT */
#include "server/confinement.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

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

/* What the embedded store's processes read, besides the store. */
struct readable {
    const char *paths[ARRAY_LEN(of_system) + 2];
    size_t len;
    char keys[PATH_MAX];
    char keys_target[PATH_MAX];
};

/* The files of the system; the directory in which another file of keys may take the place of the
 * present one; and where that is a link, the directory that it leads to. */
static void find_readable(const struct config *config, struct readable *readable)
{
    memcpy(readable->paths, of_system, sizeof of_system);
    readable->len = ARRAY_LEN(of_system);
    if (!config_keys_path(config, readable->keys, sizeof readable->keys))
        return;
    if (realpath(readable->keys, readable->keys_target) != NULL)
        readable->paths[readable->len++] = dirname(readable->keys_target);
    readable->paths[readable->len++] = dirname(readable->keys);
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
