/* SPDX-License-Identifier: MIT */
#include "store/lmdb/environment.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/directory.h"
#include "base/lock.h"
#include "base/mapping.h"
#include "core/log.h"
#include "store/lmdb/databases.h"
#include "store/lmdb/file.h"

enum {
    READERS_MAX = 16384, /* for the sessions of all processes, with the most workers and threads and
                            twice as many during a reload; set by the first process to open the
                            environment */
    DATABASES_MAX = 9,
    OPENING = 1,         /* byte of the turn's file that is locked to open the environment */
    LEAST_ROOM = 1 << 20 /* with less free space than this, the disk counts as full */
};

static const char not_lmdb[] = "data.mdb is not an LMDB file that this version can read";

static const char same_process[] =
    "a process with this one's number, in another PID namespace (of a container), is using it: try "
    "again, or let both share the namespace";

/* LMDB returns EIO after a short write, which a full file system or a limit of files' sizes
 * causes. */
static bool is_disk_full(MDB_env *env)
{
    const char *path;
    struct statvfs disk;
    struct rlimit limit;
    struct stat file;
    int fd;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && mdb_env_get_fd(env, &fd) == MDB_SUCCESS &&
        fstat(fd, &file) == 0 && (rlim_t)file.st_size + LEAST_ROOM > limit.rlim_cur)
        return true;
    return mdb_env_get_path(env, &path) == MDB_SUCCESS && statvfs(path, &disk) == 0 &&
           disk.f_bavail * disk.f_frsize < LEAST_ROOM;
}

enum store_status environment_status(const struct environment *environment, int code,
                                     const char *doing)
{
    if (code == EIO && is_disk_full(environment->env))
        code = ENOSPC;
    switch (code) {
    case MDB_SUCCESS:
        return STORE_OK;
    case MDB_NOTFOUND:
        return STORE_NOT_FOUND;
    case MDB_KEYEXIST:
        return STORE_EXISTS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        LOG(LOG_ERROR, "the store is full: raise STORE_MAX_BYTES or free disk space",
            LOG_TEXT("doing", doing), LOG_TEXT("error", mdb_strerror(code)));
        return STORE_FULL;
    default:
        if (environment->replica && (code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND))
            file_forget(environment);
        LOG(LOG_ERROR, "the store failed", LOG_TEXT("doing", doing),
            LOG_TEXT("error", mdb_strerror(code)));
        return STORE_BROKEN;
    }
}

/* ---- opening and closing ---- */

/* Settles what became of a writer that was killed while it committed: its change may be on disk and
 * yet not be seen by readers, until the next writer finds it (LMDB repairs its lock file when it
 * takes the lock of a dead owner). A writer who has the turn now does that anyway. */
static void settle(struct environment *environment)
{
    MDB_txn *txn;
    if (!turn_try(&environment->turn))
        return;
    if (mdb_txn_begin(environment->env, NULL, 0, &txn) == MDB_SUCCESS)
        mdb_txn_abort(txn);
    turn_give(&environment->turn);
}

/* Opens the databases of an open environment. Returns NULL, or an error message. */
static const char *prepare(struct environment *environment)
{
    MDB_txn *txn;
    int code;
    if (databases_open(environment, &code)) {
        settle(environment);
        return NULL;
    }
    if (code == EAGAIN) /* LMDB marks each process that reads by a lock on the byte of its number */
        return same_process;
    code = turn_take(&environment->turn, UINT64_MAX);
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    const char *wrong = NULL;
    code = mdb_txn_begin(environment->env, NULL, 0, &txn);
    if (code == MDB_SUCCESS) {
        wrong = databases_create(environment, txn);
        if (wrong != NULL)
            mdb_txn_abort(txn);
        else
            code = mdb_txn_commit(txn);
    }
    turn_give(&environment->turn);
    return code == MDB_SUCCESS ? wrong : mdb_strerror(code);
}

static void on_assertion(MDB_env *env, const char *message)
{
    (void)message;
    longjmp(*(jmp_buf *)mdb_env_get_userctx(env), 1);
}

/* The same, where LMDB may find that what it reads cannot be, for which it ends the process. */
static bool is_readable(const struct environment *environment)
{
    jmp_buf beyond;
    mdb_env_set_userctx(environment->env, &beyond);
    mdb_env_set_assert(environment->env, on_assertion);
    bool readable = setjmp(beyond) == 0 && databases_can_be_read(environment);
    mdb_env_set_assert(environment->env, NULL);
    return readable;
}

/* Prepares a file that is shorter than what it holds: whole if only free pages are missing, else as
 * it was. Returns NULL, or an error message. */
static const char *prepare_short(struct environment *environment)
{
    int fd;
    struct stat status;
    int code = turn_take(&environment->turn, UINT64_MAX);
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    const char *wrong = file_look(environment); /* somebody may just have made it longer */
    if (wrong == file_shortened && mdb_env_get_fd(environment->env, &fd) == MDB_SUCCESS &&
        fstat(fd, &status) == 0) {
        environment_fill(environment);
        if (is_readable(environment))
            wrong = NULL;
        else
            (void)!ftruncate(fd, status.st_size);
    }
    turn_give(&environment->turn);
    return wrong;
}

static const char *open_environment(struct environment *environment, const char *path,
                                    const struct environment_options *options)
{
    int dead = 0;
    int code = mdb_env_create(&environment->env);
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    mdb_env_set_maxdbs(environment->env, DATABASES_MAX);
    mdb_env_set_maxreaders(environment->env, READERS_MAX);
    mdb_env_set_mapsize(environment->env, options->max_bytes);
    if (file_is_link(environment, "/data.mdb") || file_is_link(environment, "/lock.mdb"))
        return "data.mdb or lock.mdb is a symbolic link: put the file itself there";
    if (!options->replica && file_is_gone(environment))
        return file_gone;
    code = mdb_env_open(environment->env, path, MDB_NOTLS | (options->replica ? MDB_NOMETASYNC : 0),
                        0660);
    if (code == MDB_INVALID || code == MDB_VERSION_MISMATCH)
        return not_lmdb;
    if (code == ENOMEM)
        return "there is too little address space for it (ulimit -v): set a smaller "
               "STORE_MAX_BYTES, 1G for example";
    if (code != MDB_SUCCESS)
        return mdb_strerror(code);
    if (!file_know_lock(environment))
        return strerror(errno);
    mapping_watch(file_say_lost);
    const char *wrong = file_look(environment);
    if (wrong == file_shortened)
        wrong = prepare_short(environment);
    if (wrong != NULL)
        return wrong;
    /* Stale slots of killed readers would keep old pages from being reused. */
    mdb_reader_check(environment->env, &dead);
    wrong = prepare(environment);
    if (wrong == NULL && !options->replica)
        file_mark_made(environment);
    return wrong;
}

void environment_close(struct environment *environment)
{
    mdb_env_close(environment->env);
    turn_close(&environment->turn);
    pthread_rwlock_destroy(&environment->map);
}

static int open_turn(struct turn *turn, const char *directory)
{
    char path[512];
    int length = snprintf(path, sizeof path, "%s/turn", directory);
    if (length < 0 || (size_t)length >= sizeof path)
        return ENAMETOOLONG;
    return turn_open(turn, path);
}

/* Whether that is wrong with the file itself; anything else may pass. */
static bool is_damage(const char *wrong)
{
    return wrong == file_shortened || wrong == file_gone || wrong == not_lmdb ||
           wrong == mdb_strerror(MDB_CORRUPTED) || wrong == mdb_strerror(MDB_PAGE_NOTFOUND) ||
           wrong == mdb_strerror(MDB_INVALID);
}

/* Runs with the others kept from doing the same. */
static const char *open_or_remake(struct environment *environment, const char *path,
                                  const struct environment_options *options)
{
    file_renew_lock(environment);
    const char *wrong = open_environment(environment, path, options);
    if (options->replica &&
        (is_damage(wrong) || wrong == databases_other_program || wrong == databases_newer_format)) {
        mdb_env_close(environment->env);
        file_discard(environment, wrong);
        wrong = open_environment(environment, path, options);
    }
    if (wrong == NULL)
        file_note(environment);
    return wrong;
}

static const char *open_in_turn(struct environment *environment, const char *path,
                                const struct environment_options *options)
{
    if (!lock_wait(environment->turn.fd, OPENING))
        return strerror(errno);
    const char *wrong = open_or_remake(environment, path, options);
    lock_release(environment->turn.fd, OPENING);
    return wrong;
}

bool environment_open(struct environment *environment, const char *path,
                      const struct environment_options *options, char *error, size_t error_size)
{
    *environment = (struct environment){.replica = options->replica, .keeping = options->keeping};
    pthread_rwlock_init(&environment->map, NULL);
    if (!directory_prepare_inside(path, error, error_size)) {
        pthread_rwlock_destroy(&environment->map);
        return false;
    }
    int length = snprintf(environment->file, sizeof environment->file, "%s/data.mdb", path);
    int code = length > 0 && (size_t)length < sizeof environment->file
                   ? open_turn(&environment->turn, path)
                   : ENAMETOOLONG;
    const char *wrong = code == 0 ? open_in_turn(environment, path, options) : strerror(code);
    if (wrong == NULL)
        return true;
    environment->damaged = is_damage(wrong);
    snprintf(error, error_size, "cannot open the store in %s: %s%s", path, wrong,
             environment->damaged
                 ? ": restore a backup (integration-service restore FILE), or, to begin with an "
                   "empty store, remove the directory and the file of the same name with \".made\""
                 : "");
    if (code == 0)
        environment_close(environment);
    else
        pthread_rwlock_destroy(&environment->map);
    return false;
}
