/* SPDX-License-Identifier: MIT */
#include "store/lmdb/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"

const char file_shortened[] = "data.mdb is shorter than what it holds";
const char file_gone[] = "data.mdb is missing or empty, but there was a store";

/* Makes the path of another file: that of the directory, and `rest`. */
static bool make_path(const struct environment *environment, const char *rest,
                      char path[ENVIRONMENT_PATH_SIZE])
{
    size_t len = strlen(environment->file) - strlen("/data.mdb");
    int length = snprintf(path, ENVIRONMENT_PATH_SIZE, "%.*s%s", (int)len, environment->file, rest);
    return length > 0 && length < ENVIRONMENT_PATH_SIZE;
}

/* How many bytes the open file lacks. LMDB itself leaves free pages at the end out. */
static off_t missing_bytes(const struct environment *environment, const struct stat *status)
{
    MDB_envinfo info;
    MDB_stat pages;
    mdb_env_info(environment->env, &info);
    mdb_env_stat(environment->env, &pages);
    off_t needed = (off_t)((info.me_last_pgno + 1) * pages.ms_psize);
    return needed > status->st_size ? needed - status->st_size : 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the files by which the processes agree are still in their places: with another one, two
 * of them could write at the same time. */
static bool is_locked_by_all(const struct environment *environment)
{
    char path[ENVIRONMENT_PATH_SIZE];
    struct stat open_file;
    struct stat named;
    return make_path(environment, "/lock.mdb", path) && stat(path, &named) == 0 &&
           is_same(&environment->lock, &named) && make_path(environment, "/turn", path) &&
           stat(path, &named) == 0 && fstat(environment->turn.fd, &open_file) == 0 &&
           is_same(&open_file, &named);
}

const char *file_look(const struct environment *environment)
{
    int fd;
    struct stat mapped;
    struct stat named;
    if (mdb_env_get_fd(environment->env, &fd) != MDB_SUCCESS || fstat(fd, &mapped) != 0)
        return strerror(errno);
    if (stat(environment->file, &named) != 0)
        return "data.mdb was removed while it was in use";
    if (!is_same(&mapped, &named))
        return "data.mdb was replaced while it was in use";
    if (!is_locked_by_all(environment))
        return "lock.mdb or turn was removed or replaced while it was in use";
    return missing_bytes(environment, &mapped) == 0 ? NULL : file_shortened;
}

void environment_fill(const struct environment *environment)
{
    int fd;
    struct stat status;
    if (mdb_env_get_fd(environment->env, &fd) != MDB_SUCCESS || fstat(fd, &status) != 0)
        return;
    off_t missing = missing_bytes(environment, &status);
    if (missing > 0 && ftruncate(fd, status.st_size + missing) != 0)
        LOG(LOG_ERROR, "the store's file cannot be made as long as what it holds",
            LOG_TEXT("error", strerror(errno)));
}

/* The same for whoever does not have the turn: who has it may have committed, and not yet called
 * environment_fill. */
static const char *look_again(struct environment *environment)
{
    if (!turn_try(&environment->turn))
        return NULL;
    const char *wrong = file_look(environment);
    turn_give(&environment->turn);
    return wrong;
}

bool environment_is_whole(struct environment *environment, bool has_turn)
{
    static atomic_bool said;
    const char *wrong = file_look(environment);
    if (wrong == file_shortened && !has_turn)
        wrong = look_again(environment);
    if (wrong != NULL && !atomic_exchange(&said, true))
        LOG(LOG_CRITICAL, "the store's file is not what it was", LOG_TEXT("error", wrong),
            LOG_TEXT("file", environment->file));
    return wrong == NULL;
}

bool file_was_overwritten(const struct environment *environment, MDB_txn *txn, bool writes)
{
    static atomic_bool said;
    const uint64_t another = 1; /* the inode of no file of ours */
    MDB_envinfo info;
    size_t number = mdb_txn_id(txn); /* from lock.mdb; who only reads has that of the last commit */
    mdb_env_info(environment->env,
                 &info); /* from data.mdb, where others may have committed since */
    if (writes ? info.me_last_txnid == number - 1 : info.me_last_txnid >= number)
        return false;
    atomic_store(&environment->turn.page->file, another);
    if (!atomic_exchange(&said, true))
        LOG(LOG_CRITICAL, "the store's file is not what it was",
            LOG_TEXT("error", "data.mdb holds another state than before: a copy was written over "
                              "it while it was in use"),
            LOG_TEXT("file", environment->file));
    return true;
}

/* The file was cut off, or its disk cannot be read. */
void file_say_lost(void)
{
    log_message(LOG_CRITICAL, "the store's file became shorter while it was in use, or its disk "
                              "cannot be read: this process ends");
}

/* What is appended to the directory's path for the file that says that there was a store. */
#define MARKER ".made"

bool file_is_gone(const struct environment *environment)
{
    char marker[ENVIRONMENT_PATH_SIZE];
    struct stat status;
    bool empty = stat(environment->file, &status) != 0 || status.st_size == 0;
    return empty && make_path(environment, MARKER, marker) && access(marker, F_OK) == 0;
}

void file_mark_made(const struct environment *environment)
{
    char marker[ENVIRONMENT_PATH_SIZE];
    int fd = make_path(environment, MARKER, marker)
                 ? open(marker, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)
                 : -1;
    if (fd >= 0)
        close(fd);
    else
        LOG(LOG_WARNING, "cannot note that there is a store: if it were lost, none would miss it",
            LOG_TEXT("error", strerror(errno)), LOG_TEXT("file", marker));
}

bool file_is_link(const struct environment *environment, const char *name)
{
    char path[ENVIRONMENT_PATH_SIZE];
    struct stat status;
    return make_path(environment, name, path) && lstat(path, &status) == 0 &&
           S_ISLNK(status.st_mode);
}

static void remove_lock(const struct environment *environment)
{
    char path[ENVIRONMENT_PATH_SIZE];
    if (make_path(environment, "/lock.mdb", path))
        unlink(path);
}

void file_discard(const struct environment *environment, const char *wrong)
{
    LOG(LOG_WARNING, "the replica cannot be used, and is made anew", LOG_TEXT("error", wrong));
    unlink(environment->file);
    remove_lock(environment);
}

void file_renew_lock(const struct environment *environment)
{
    struct stat status;
    uint64_t known = atomic_load(&environment->turn.page->file);
    uint64_t now = stat(environment->file, &status) == 0 ? status.st_ino : 0;
    if (known == 0 || known == now)
        return;
    remove_lock(environment);
    atomic_store(&environment->turn.page->file, 0);
}

bool file_know_lock(struct environment *environment)
{
    char path[ENVIRONMENT_PATH_SIZE];
    return make_path(environment, "/lock.mdb", path) && stat(path, &environment->lock) == 0;
}

void file_note(struct environment *environment)
{
    struct stat status;
    if (stat(environment->file, &status) == 0)
        atomic_store(&environment->turn.page->file, status.st_ino);
}

void file_forget(const struct environment *environment)
{
    const char *wrong = file_look(environment);
    if (wrong == NULL || wrong == file_shortened) /* else another one is there already */
        unlink(environment->file);                /* every process sees that, and opens it again */
}

bool environment_set_aside(const char *path, char *message, size_t message_size)
{
    char aside[ENVIRONMENT_PATH_SIZE];
    char marker[ENVIRONMENT_PATH_SIZE];
    int length = snprintf(aside, sizeof aside, "%s.damaged-%" PRIu64, path, clock_wall_us());
    if (length < 0 || (size_t)length >= sizeof aside) {
        snprintf(message, message_size, "%s: the path is too long", path);
        return false;
    }
    bool there = rename(path, aside) == 0;
    snprintf(marker, sizeof marker, "%s" MARKER, path);
    if ((!there && errno != ENOENT) || (unlink(marker) != 0 && errno != ENOENT)) {
        snprintf(message, message_size, "cannot put %s aside: %s", path, strerror(errno));
        return false;
    }
    if (there)
        snprintf(message, message_size, "the files of the store are now in %s", aside);
    else
        snprintf(message, message_size, "there was nothing in %s", path);
    return true;
}
