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
#include "store/lmdb/file.h"

enum {
    FORMAT = 1,
    READERS_MAX = 16384, /* for the sessions of all processes, with the most workers and threads and
                            twice as many during a reload; set by the first process to open the
                            environment */
    DATABASES = 4,
    OPENING = 1,         /* byte of the turn's file that is locked to open the environment */
    LEAST_ROOM = 1 << 20 /* with less free space than this, the disk counts as full */
};

static const char not_lmdb[] = "data.mdb is not an LMDB file that this version can read";

static const char other_program[] = "it is an LMDB environment of another program";
static const char same_process[] =
    "a process with this one's number, in another PID namespace (of a container), is using it: try "
    "again, or let both share the namespace";
static const char newer_format[] = "it was written by a newer version of integration-service";

static const struct str meta_key = STR_INIT("store");

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

int environment_read_meta(const struct environment *environment, MDB_txn *txn,
                          struct environment_meta *meta)
{
    MDB_val key = environment_value(meta_key.data, meta_key.len);
    MDB_val value;
    int code = mdb_get(txn, environment->meta, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size != sizeof *meta)
        return MDB_INVALID;
    if (code == MDB_SUCCESS)
        memcpy(meta, value.mv_data, sizeof *meta);
    return code;
}

int environment_write_meta(struct environment *environment, MDB_txn *txn,
                           struct environment_meta *meta)
{
    MDB_val key = environment_value(meta_key.data, meta_key.len);
    MDB_val value = environment_value(meta, sizeof *meta);
    return mdb_put(txn, environment->meta, &key, &value, 0);
}

static MDB_val version_key(const struct environment *environment)
{
    return environment->replica ? environment_value("replica", 7) : environment_value("version", 7);
}

/* What is stored of a version: all of it, or its tag alone. */
static MDB_val version_value(const struct environment *environment,
                             const struct store_version *version)
{
    return environment->replica ? environment_value(&version->tag, sizeof version->tag)
                                : environment_value(version, sizeof *version);
}

int environment_read_version(const struct environment *environment, MDB_txn *txn,
                             const struct environment_meta *meta, struct store_version *version)
{
    struct store_version stored = {.revision = meta->revision};
    MDB_val key = version_key(environment);
    MDB_val value;
    int code = mdb_get(txn, environment->meta, &key, &value);
    if (code == MDB_SUCCESS && value.mv_size == sizeof stored)
        memcpy(&stored, value.mv_data, sizeof stored);
    else if (code == MDB_SUCCESS && value.mv_size == sizeof stored.tag)
        memcpy(&stored.tag, value.mv_data, sizeof stored.tag);
    else if (code == MDB_SUCCESS)
        return MDB_INVALID;
    bool known = code == MDB_SUCCESS && stored.revision == meta->revision;
    *version = (struct store_version){meta->revision, known ? stored.tag : ENVIRONMENT_TAG_UNKNOWN};
    return code == MDB_NOTFOUND && !environment->replica ? MDB_SUCCESS : code;
}

int environment_write_version(struct environment *environment, MDB_txn *txn,
                              const struct store_version *version)
{
    MDB_val key = version_key(environment);
    MDB_val value = version_value(environment, version);
    return mdb_put(txn, environment->meta, &key, &value, 0);
}

/* ---- its databases ---- */

/* Whether an environment without our "meta" database contains data of another program. */
static bool holds_anything(MDB_txn *txn)
{
    MDB_dbi main;
    MDB_stat stat;
    return mdb_dbi_open(txn, NULL, 0, &main) != MDB_SUCCESS ||
           mdb_stat(txn, main, &stat) != MDB_SUCCESS || stat.ms_entries > 0;
}

static int open_databases(struct environment *environment, MDB_txn *txn)
{
    int code = mdb_dbi_open(txn, "meta", MDB_CREATE, &environment->meta);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "ids", MDB_CREATE, &environment->ids);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "documents", MDB_CREATE | MDB_INTEGERKEY, &environment->documents);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "sums", MDB_CREATE | MDB_INTEGERKEY, &environment->sums);
    return code;
}

/* Checks that the format is ours, or initializes a new environment. Returns NULL, or an error
 * message. */
static const char *check_format(struct environment *environment, MDB_txn *txn)
{
    struct environment_meta meta = {.format = FORMAT};
    int code = mdb_dbi_open(txn, "meta", 0, &environment->meta);
    if (code == MDB_NOTFOUND && holds_anything(txn))
        return other_program;
    if (code == MDB_NOTFOUND) {
        code = open_databases(environment, txn);
        if (code == MDB_SUCCESS)
            code = environment_write_meta(environment, txn, &meta);
        if (code == MDB_SUCCESS && !environment->replica)
            code = environment_write_version(environment, txn,
                                             &(struct store_version){0, clock_wall_us()});
        return code == MDB_SUCCESS ? NULL : mdb_strerror(code);
    }
    if (code == MDB_SUCCESS)
        code = environment_read_meta(environment, txn, &meta);
    if (code == MDB_NOTFOUND || code == MDB_INVALID)
        return other_program;
    if (code == MDB_SUCCESS && meta.format != FORMAT)
        return newer_format;
    if (code == MDB_SUCCESS)
        code = open_databases(environment, txn);
    return code == MDB_SUCCESS ? NULL : mdb_strerror(code);
}

/* ---- opening and closing ---- */

/* Opens existing databases without waiting for a writer. If that fails, *code tells whether this
 * process cannot read at all. */
static bool open_existing(struct environment *environment, int *code)
{
    MDB_txn *txn;
    struct environment_meta meta = {0};
    *code = mdb_txn_begin(environment->env, NULL, MDB_RDONLY, &txn);
    if (*code != MDB_SUCCESS)
        return false;
    bool opened =
        mdb_dbi_open(txn, "meta", 0, &environment->meta) == MDB_SUCCESS &&
        mdb_dbi_open(txn, "ids", 0, &environment->ids) == MDB_SUCCESS &&
        mdb_dbi_open(txn, "documents", MDB_INTEGERKEY, &environment->documents) == MDB_SUCCESS &&
        mdb_dbi_open(txn, "sums", MDB_INTEGERKEY, &environment->sums) == MDB_SUCCESS &&
        environment_read_meta(environment, txn, &meta) == MDB_SUCCESS && meta.format == FORMAT;
    if (opened)
        return mdb_txn_commit(txn) == MDB_SUCCESS; /* keeps the database handles */
    mdb_txn_abort(txn);
    return false;
}

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
    if (open_existing(environment, &code)) {
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
        wrong = check_format(environment, txn);
        if (wrong != NULL)
            mdb_txn_abort(txn);
        else
            code = mdb_txn_commit(txn);
    }
    turn_give(&environment->turn);
    return code == MDB_SUCCESS ? wrong : mdb_strerror(code);
}

/* Whether a value ends in a page that was missing: such pages are all zeros. */
static bool is_zero(MDB_val value)
{
    return value.mv_size == 0 || ((const char *)value.mv_data)[value.mv_size - 1] == '\0';
}

/* Reads all records of a database. */
static int read_all(MDB_txn *txn, MDB_dbi database, bool are_texts)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int code = mdb_cursor_open(txn, database, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    do
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    while (code == MDB_SUCCESS && !(are_texts && is_zero(value)));
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : MDB_CORRUPTED;
}

/* Whether every record can be read, whichever version wrote it. */
static bool can_be_read(const struct environment *environment)
{
    MDB_txn *txn;
    MDB_dbi database;
    int code = mdb_txn_begin(environment->env, NULL, MDB_RDONLY, &txn);
    if (code != MDB_SUCCESS)
        return false;
    code = mdb_dbi_open(txn, "ids", 0, &database);
    if (code == MDB_SUCCESS)
        code = read_all(txn, database, false);
    if (code == MDB_SUCCESS)
        code = mdb_dbi_open(txn, "documents", MDB_INTEGERKEY, &database);
    if (code == MDB_SUCCESS)
        code = read_all(txn, database, true);
    mdb_txn_abort(txn); /* closes the handles */
    return code == MDB_SUCCESS;
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
    bool readable = setjmp(beyond) == 0 && can_be_read(environment);
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
    mdb_env_set_maxdbs(environment->env, DATABASES);
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
    if (options->replica && (is_damage(wrong) || wrong == other_program || wrong == newer_format)) {
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
    *environment = (struct environment){.replica = options->replica};
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
