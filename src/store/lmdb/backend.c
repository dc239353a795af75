/* SPDX-License-Identifier: MIT
 *
 * The embedded store: documents in LMDB. A process changes them while it holds the turn to
 * write. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "model/difference.h"
#include "store/lmdb/history.h"
#include "store/lmdb/resealing.h"

enum {
    PATH_SIZE = 512,
    READY_MS = 1000 /* whoever changes a store that is ready for changes is done sooner */
};

struct store {
    struct environment environment;
    const struct vault *vault;
};

struct store_session {
    struct documents_reader reader;
    struct arena arena; /* of the change in progress */
    struct buffer entry;
    struct buffer members;
    struct sealing sealing;
};

static bool make_path(const struct store_options *options, char path[PATH_SIZE], char *error,
                      size_t error_size)
{
    int length = snprintf(path, PATH_SIZE, "%s/store", options->directory);
    if (length > 0 && length < PATH_SIZE)
        return true;
    snprintf(error, error_size, "STATE_DIR: the path is too long");
    return false;
}

static struct store *lmdb_open(const struct store_options *options, char *error, size_t error_size)
{
    char path[PATH_SIZE];
    struct environment_options environment = {.max_bytes = options->max_bytes,
                                              .keeping = options->history};
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        snprintf(error, error_size, "no memory for the store");
    else if (make_path(options, path, error, error_size) &&
             environment_open(&store->environment, path, &environment, error, error_size)) {
        store->vault = options->vault;
        if (holdings_are_covered(&store->environment, options->vault, error, error_size))
            return store;
        environment_close(&store->environment);
    }
    free(store);
    return NULL;
}

static bool see(void *context, const struct store_record *record)
{
    (void)context;
    (void)record;
    return true;
}

/* Whether a store cannot be opened, or read to its end, because of what is in its files. If it is
 * not damaged, `message` says what else is wrong with it. */
static bool is_damaged(const char *path, uint64_t max_bytes, char *message, size_t message_size)
{
    struct environment environment;
    struct environment_options options = {.max_bytes = max_bytes};
    struct documents_reader reader;
    struct store_read read = {0};
    enum store_status status = STORE_OK;
    if (!environment_open(&environment, path, &options, message, message_size))
        return environment.damaged;
    if (documents_reader_open(&environment, &reader)) {
        status = documents_each(&reader, &read, see, NULL);
        documents_reader_close(&reader);
    }
    environment_close(&environment);
    snprintf(message, message_size, "the store in %s is not damaged, and stays", path);
    return status == STORE_DAMAGED || status == STORE_BROKEN;
}

static bool lmdb_set_aside(const struct store_options *options, char *message, size_t message_size)
{
    char path[PATH_SIZE];
    return make_path(options, path, message, message_size) &&
           is_damaged(path, options->max_bytes, message, message_size) &&
           environment_set_aside(path, message, message_size);
}

static void lmdb_close(struct store *store)
{
    environment_close(&store->environment);
    free(store);
}

static struct store_session *lmdb_session_open(struct store *store)
{
    struct store_session *session = calloc(1, sizeof *session);
    if (session != NULL && documents_reader_open(&store->environment, &session->reader)) {
        session->sealing.vault = store->vault;
        return session;
    }
    free(session);
    return NULL;
}

static void lmdb_session_close(struct store_session *session)
{
    documents_reader_close(&session->reader);
    buffer_release(&session->entry);
    buffer_release(&session->members);
    sealing_release(&session->sealing);
    arena_release(&session->arena);
    free(session);
}

static enum store_status lmdb_get(struct store_session *session, struct store_read *read,
                                  struct str id, struct store_record *record, struct buffer *out)
{
    return documents_get(&session->reader, read, id, record, out);
}

static enum store_status lmdb_each(struct store_session *session, struct store_read *read,
                                   store_visit *visit, void *context)
{
    return documents_each(&session->reader, read, visit, context);
}

static enum store_status lmdb_ready(struct store_session *session, uint64_t deadline_ns)
{
    struct turn *turn = &session->reader.environment->turn;
    struct store_stats stats;
    if (!turn_moves(turn, clock_within_ms(READY_MS, deadline_ns)))
        return STORE_AWAY;
    return documents_stats(&session->reader, &stats);
}

static enum store_status lmdb_stats(struct store_session *session, struct store_stats *stats)
{
    return documents_stats(&session->reader, stats);
}

static struct event *lmdb_commits(struct store *store)
{
    return &store->environment.turn.page->commits;
}

/* A change of a batch that is being made. */
struct making {
    struct store_session *session;
    struct documents_change *to;
    const struct store_change *change;
    const struct store_author *author;
    uint64_t now_us;
    enum history_room room;
};

/* Writes the change to the log; `before` is the document that is there, or what is known of its
 * place, with the revision 0. */
static enum store_status add_to_history(const struct making *making,
                                        const struct store_record *before)
{
    struct store_session *session = making->session;
    const struct store_change *change = making->change;
    struct store_entry entry = {.revision = making->to->meta.revision,
                                .at_us = making->now_us,
                                .previous_tag =
                                    making->to->meta.revision == making->to->before.revision + 1
                                        ? making->to->before.tag
                                        : making->now_us,
                                .operation = STORE_REPLACE,
                                .id = change->id,
                                .author = *making->author,
                                .before = *before};
    struct str after = change->document;
    if (change->operation == STORE_REMOVE) {
        entry.operation = STORE_REMOVE;
        after = (struct str){NULL, 0};
    } else if (before->revision == 0 && change->operation != STORE_RECREATE) {
        entry.operation = STORE_CREATE;
    }
    arena_reset(&session->arena);
    buffer_reset(&session->members, SIZE_MAX);
    difference_append(&session->arena, sealing_open(&session->sealing, change->id, before), after,
                      &session->members);
    if (session->arena.failed || session->members.failed)
        return STORE_AWAY;
    entry.members = buffer_str(&session->members);
    if (making->room != HISTORY_AMPLE || making->to->environment->keeping.versions == 0)
        entry.before.document = (struct str){NULL, 0};
    return history_add(making->to, &entry, making->room, &session->entry);
}

/* Makes of *record, which is all zeros, that of a document that is created. */
static enum store_status take_place(const struct making *making, struct store_record *record)
{
    struct documents_change *to = making->to;
    enum store_status found = STORE_NOT_FOUND;
    if (making->change->operation == STORE_RECREATE)
        found = history_find_place(to, making->change->id, record);
    if (found == STORE_NOT_FOUND)
        *record =
            (struct store_record){.sequence = ++to->meta.sequence, .created_us = making->now_us};
    return found == STORE_NOT_FOUND ? STORE_OK : found;
}

/* Makes one change of a batch, under the next revision. */
static enum store_status make(const struct making *making, struct store_batch *batch)
{
    struct documents_change *to = making->to;
    const struct store_change *change = making->change;
    struct store_record record = {0};
    enum store_status found = documents_find(to, change->id, &record);
    if (found == STORE_OK) {
        batch->found = store_record_version(&record);
        if (change->operation == STORE_CREATE || change->operation == STORE_RECREATE)
            return STORE_EXISTS;
        if (change->if_version.revision != 0 &&
            !store_version_equal(change->if_version, batch->found))
            return STORE_CHANGED;
    } else if (found != STORE_NOT_FOUND || change->operation == STORE_REPLACE ||
               change->operation == STORE_REMOVE) {
        return found;
    }
    to->meta.revision++;
    enum store_status status = STORE_OK;
    if (found == STORE_NOT_FOUND) {
        status = take_place(making, &record);
        batch->created++;
    }
    if (status == STORE_OK)
        status = add_to_history(making, &record);
    if (status != STORE_OK)
        return status;
    if (change->operation == STORE_REMOVE)
        return documents_remove(to, change->id, record.sequence);
    record.revision = to->meta.revision;
    record.updated_us = making->now_us;
    record.document =
        sealing_seal(&making->session->sealing, change->id, &record, change->document);
    return record.document.data == NULL ? STORE_AWAY : documents_put(to, change->id, &record);
}

/* Whether the store has the version that the batch requires. */
static bool is_wanted(const struct store_version *now, struct store_batch *batch)
{
    const struct store_version *wanted = batch->if_store;
    if (wanted == NULL || store_version_equal(*wanted, *now) ||
        (wanted->tag == 0 && wanted->revision == now->revision))
        return true;
    batch->failed = batch->len;
    batch->found = *now;
    return false;
}

/* The time of a change: now, or later than the change before if the clock was set back. */
static uint64_t moment_after(const struct store_version *before)
{
    uint64_t now_us = clock_wall_us();
    return now_us > before->tag ? now_us : before->tag + 1;
}

static enum store_status change_once(struct store_session *session, struct store_batch *batch,
                                     enum history_room room)
{
    struct documents_change change;
    enum store_status status =
        documents_begin(session->reader.environment, batch->deadline_ns, &change);
    if (status != STORE_OK)
        return status;
    if (!is_wanted(&change.before, batch)) {
        documents_cancel(&change);
        return STORE_CHANGED;
    }
    status = documents_begin_sealing(&change, &session->sealing);
    uint64_t now_us = moment_after(&change.before);
    batch->created = 0;
    for (size_t i = 0; i < batch->len && status == STORE_OK; i++) {
        const struct making making = {session,        &change, &batch->changes[i],
                                      &batch->author, now_us,  room};
        batch->failed = i;
        status = make(&making, batch);
    }
    batch->revision = change.meta.revision;
    batch->made_us = now_us;
    if (status == STORE_OK && batch->len > 0)
        status = documents_set_version(&change, &(struct store_version){batch->revision, now_us});
    return documents_end(&change, status);
}

static bool only_has(const struct store_batch *batch, enum store_operation one,
                     enum store_operation other)
{
    for (size_t i = 0; i < batch->len; i++)
        if (batch->changes[i].operation != one && batch->changes[i].operation != other)
            return false;
    return true;
}

/* Room that a batch may need: for what it writes, what was there, and that in the log. */
static uint64_t need_of(const struct store_batch *batch)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < batch->len; i++)
        bytes += 3 * (uint64_t)batch->changes[i].document.len;
    return bytes;
}

/* The log must not be what keeps a full store from being changed, and emptied: to what replaces and
 * removes, earlier versions give way, and the oldest entries; to removals, all of it. Where there
 * is room in the store, it is the disk that is full, and the log is not to blame. */
static enum store_status lmdb_change(struct store_session *session, struct store_batch *batch)
{
    struct environment *environment = session->reader.environment;
    enum history_room room = history_room(&session->reader, need_of(batch));
    enum store_status status = change_once(session, batch, room);
    bool is_to_blame = status == STORE_FULL && history_has_little_room(&session->reader);
    if (status == STORE_FULL && only_has(batch, STORE_REPLACE, STORE_REMOVE)) {
        status = change_once(session, batch, HISTORY_NONE);
        if (status == STORE_FULL && is_to_blame) {
            history_make_room(environment, batch->deadline_ns);
            status = change_once(session, batch, HISTORY_NONE);
        }
    }
    if (status == STORE_FULL && is_to_blame && only_has(batch, STORE_REMOVE, STORE_REMOVE)) {
        history_drop(environment, batch->deadline_ns);
        status = change_once(session, batch, HISTORY_NONE);
    }
    return status;
}

static enum store_status lmdb_history(struct store_session *session, struct store_read *read,
                                      struct str id, uint64_t from, store_visit_entry *visit,
                                      void *context)
{
    (void)read;
    return history_of(&session->reader, id, from, visit, context);
}

static enum store_status lmdb_log(struct store_session *session, struct store_read *read,
                                  store_visit_entry *visit, void *context)
{
    return history_log(&session->reader, read, visit, context);
}

static enum store_status lmdb_mask_key(struct store_session *session, uint64_t deadline_ns,
                                       uint8_t key[STORE_MASK_KEY_LEN])
{
    (void)deadline_ns;
    return documents_get_masks(&session->reader, key);
}

static enum store_status lmdb_reseal(struct store_session *session,
                                     struct store_resealing *resealing)
{
    return resealing_step(session->reader.environment, &session->sealing, resealing,
                          &session->entry);
}

static enum store_status lmdb_holdings(struct store_session *session, const struct store_read *read,
                                       struct store_holding *list, size_t *len)
{
    (void)read;
    return holdings_list(session->reader.environment, session->reader.txn, list, len);
}

const struct store_backend store_lmdb = {
    .name = "lmdb",
    .open = lmdb_open,
    .set_aside = lmdb_set_aside,
    .close = lmdb_close,
    .session_open = lmdb_session_open,
    .session_close = lmdb_session_close,
    .get = lmdb_get,
    .each = lmdb_each,
    .change = lmdb_change,
    .history = lmdb_history,
    .log = lmdb_log,
    .reseal = lmdb_reseal,
    .holdings = lmdb_holdings,
    .ready = lmdb_ready,
    .stats = lmdb_stats,
    .mask_key = lmdb_mask_key,
    .commits = lmdb_commits,
};
