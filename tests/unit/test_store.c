/* SPDX-License-Identifier: MIT
 *
 * What every store promises, run against each of them; then what is LMDB's alone. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "core/log.h"
#include "follower.h"
#include "harness.h"
#include "postgres.h"
#include "store/lmdb/documents.h"
#include "stores.h"

static const struct store_backend *const backends[] = {&store_lmdb, &store_memory, &store_pg};

static const char *database_url = "";

static const struct vault no_keys = {0};

static const struct store_keeping keeping = {.versions = 3, .days = 90};

/* A store in a directory of its own. */
struct place {
    const struct store_backend *backend;
    char directory[64];
    struct store_options options;
    struct store *store;
    struct store_session *session;
    struct follower follower; /* of store_pg */
};

static void place_reopen(struct place *place, uint64_t max_bytes)
{
    char error[512] = "";
    place->options.directory = place->directory;
    if (place->options.vault == NULL)
        place->options.vault = &no_keys;
    place->options.max_bytes = max_bytes;
    if (place->backend->follow != NULL)
        follower_start(&place->follower, place->backend, &place->options);
    place->store = place->backend->open(&place->options, error, sizeof error);
    cr_assert(place->store != NULL, "%s", error);
    place->session = place->backend->session_open(place->store);
    cr_assert(place->session != NULL);
}

static void place_open(struct place *place, const struct store_backend *backend, uint64_t max_bytes)
{
    log_open(LOG_CRITICAL, STDERR_FILENO);
    *place = (struct place){.backend = backend,
                            .options.history = keeping,
                            .options.database = {.url = database_url,
                                                 .connections = 4,
                                                 .connections_kept = 4,
                                                 .processes = 1,
                                                 .prepare = true,
                                                 .timeout_ms = 30000}};
    directory_make(place->directory);
    place_reopen(place, max_bytes);
}

static void place_shut(struct place *place)
{
    place->backend->session_close(place->session);
    place->backend->close(place->store);
    if (place->backend->follow != NULL)
        follower_stop(&place->follower);
}

static void place_close(struct place *place)
{
    place_shut(place);
    directory_remove(place->directory);
}

enum { ENOUGH = 64 << 20 };

static uint64_t soon(void)
{
    return clock_steady_ns() + 30 * 1000000000ULL;
}

/* The documents are JSON texts, here written without their quotes. */
static enum store_status change(struct place *place, enum store_operation operation, const char *id,
                                const char *document)
{
    struct buffer quoted = {0};
    buffer_printf(&quoted, "\"%s\"", document);
    struct store_change one = {operation, str_from(id), buffer_str(&quoted), {0}};
    struct store_batch batch = {.changes = &one, .len = 1, .deadline_ns = soon()};
    enum store_status status = place->backend->change(place->session, &batch);
    buffer_release(&quoted);
    return status;
}

static enum store_status create(struct place *place, const char *id, const char *document)
{
    return change(place, STORE_CREATE, id, document);
}

static enum store_status replace(struct place *place, const char *id, const char *document)
{
    return change(place, STORE_REPLACE, id, document);
}

static enum store_status drop(struct place *place, const char *id)
{
    return change(place, STORE_REMOVE, id, "");
}

static void expect_get(struct place *place, struct str id, struct str document)
{
    struct buffer out = {0};
    struct store_record record;
    buffer_append_char(&out, '>');
    cr_expect(place->backend->get(place->session, &(struct store_read){0}, id, &record, &out) ==
              STORE_OK);
    cr_expect(out.len == document.len + 1 && memcmp(out.data + 1, document.data, document.len) == 0,
              "%s: %.*s", place->backend->name, (int)out.len, out.data);
    buffer_release(&out);
}

static bool append_document(void *context, const struct store_record *record)
{
    struct buffer *out = context;
    if (out->len > 0)
        buffer_append_char(out, ',');
    buffer_append(out, record->document.data + 1, record->document.len - 2);
    return true;
}

static void expect_list(struct place *place, const char *documents)
{
    for (int fresh = 0; fresh < 2; fresh++) {
        struct buffer out = {0};
        struct store_read read = {.fresh = fresh, .deadline_ns = soon()};
        cr_expect(place->backend->each(place->session, &read, append_document, &out) == STORE_OK);
        cr_expect(str_equal(buffer_str(&out), str_from(documents)), "%s: %.*s",
                  place->backend->name, (int)out.len, out.data);
        buffer_release(&out);
    }
}

static uint64_t revision(struct place *place)
{
    struct store_stats stats = {0};
    cr_expect(place->backend->stats(place->session, &stats) == STORE_OK);
    return stats.revision;
}

static bool see_none(void *context, const struct store_record *record)
{
    (void)context;
    (void)record;
    return false;
}

static struct store_version store_version(struct place *place)
{
    struct store_read read = {.deadline_ns = soon()};
    cr_expect(place->backend->each(place->session, &read, see_none, NULL) == STORE_OK);
    return read.version;
}

static void check_changes(struct place *place)
{
    struct buffer out = {0};
    struct store_record record;
    expect_list(place, "");
    cr_expect(place->backend->get(place->session, &(struct store_read){0}, STR("b"), &record,
                                  &out) == STORE_NOT_FOUND);
    cr_expect(replace(place, "b", "B") == STORE_NOT_FOUND);
    cr_expect(drop(place, "b") == STORE_NOT_FOUND);
    cr_expect(revision(place) == 0, "what fails changes nothing");
    cr_expect(create(place, "b", "B") == STORE_OK);
    cr_expect(create(place, "c", "C") == STORE_OK);
    cr_expect(create(place, "a", "A") == STORE_OK);
    cr_expect(create(place, "c", "again") == STORE_EXISTS);
    expect_list(place, "B,C,A");
    cr_expect(replace(place, "b", "a longer document than before") == STORE_OK);
    expect_list(place, "a longer document than before,C,A");
    cr_expect(drop(place, "c") == STORE_OK);
    cr_expect(drop(place, "c") == STORE_NOT_FOUND);
    cr_expect(create(place, "c", "last") == STORE_OK);
    expect_list(place, "a longer document than before,A,last");
    cr_expect(revision(place) == 6, "every change takes the next revision");
    buffer_release(&out);
}

/* Bytes come back as they went in, whatever they are. */
static void check_bytes(struct place *place)
{
    static const struct str ids[] = {STR_INIT(" "),   STR_INIT("a/b"),
                                     STR_INIT("%2F"), STR_INIT("\xE6\x97\xA5"),
                                     STR_INIT("A"),   STR_INIT("a")};
    struct buffer large = {0};
    char long_id[255];
    memset(long_id, 'i', sizeof long_id);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct store_change item = {STORE_CREATE,
                                    ids[i],
                                    STR("{\"n\":123456789012345678901234567890,\"u\":"
                                        "\"\\u0000\xF0\x9F\x98\x80\"}"),
                                    {0}};
        cr_expect(place->backend->change(
                      place->session,
                      &(struct store_batch){.changes = &item, .len = 1, .deadline_ns = soon()}) ==
                  STORE_OK);
        expect_get(place, item.id, item.document);
    }
    for (int i = 0; i < 100000; i++)
        buffer_printf(&large, "%d", i % 9 + 1);
    struct store_change item = {STORE_CREATE, {long_id, sizeof long_id}, buffer_str(&large), {0}};
    cr_expect(place->backend->change(
                  place->session,
                  &(struct store_batch){.changes = &item, .len = 1, .deadline_ns = soon()}) ==
              STORE_OK);
    expect_get(place, item.id, item.document);
    buffer_release(&large);
}

static void check_seed(struct place *place)
{
    const struct store_change items[] = {{STORE_CREATE, STR("x"), STR("\"X\""), {0}},
                                         {STORE_CREATE, STR("y"), STR("\"Y\""), {0}}};
    const struct store_version never_changed = {0};
    struct store_batch batch = {
        .changes = items, .len = 2, .if_store = &never_changed, .deadline_ns = soon()};
    cr_expect(place->backend->change(place->session, &batch) == STORE_OK);
    expect_list(place, "X,Y");
    cr_expect(drop(place, "x") == STORE_OK && drop(place, "y") == STORE_OK);
    cr_expect(place->backend->change(place->session, &batch) == STORE_CHANGED);
    cr_expect(batch.failed == 2 && batch.found.revision == 4);
    expect_list(place, "");
    batch.if_store = &batch.found;
    batch.len = 1;
    cr_expect(place->backend->change(place->session, &batch) == STORE_OK);
    expect_list(place, "X");
}

/* All changes of a batch or none, whichever of them fails. */
static void check_batches(struct place *place)
{
    const struct store_change good[] = {
        {STORE_CREATE, STR("a"), STR("\"A\""), {0}},   {STORE_PUT, STR("b"), STR("\"B\""), {0}},
        {STORE_REPLACE, STR("a"), STR("\"A2\""), {0}}, {STORE_CREATE, STR("c"), STR("\"C\""), {0}},
        {STORE_PUT, STR("c"), STR("\"C2\""), {0}},     {STORE_REMOVE, STR("b"), STR(""), {0}}};
    struct store_batch batch = {.changes = good, .len = ARRAY_LEN(good), .deadline_ns = soon()};
    cr_expect(place->backend->change(place->session, &batch) == STORE_OK);
    cr_expect(batch.created == 3 && batch.revision == 6 && revision(place) == 6);
    expect_list(place, "A2,C2");
    static const struct {
        struct store_change last;
        enum store_status status;
    } bad[] = {
        {{STORE_CREATE, STR_INIT("c"), STR_INIT("\"again\""), {0}}, STORE_EXISTS},
        {{STORE_REPLACE, STR_INIT("b"), STR_INIT("\"B2\""), {0}}, STORE_NOT_FOUND},
        {{STORE_REMOVE, STR_INIT("b"), STR_INIT(""), {0}}, STORE_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct store_change changes[] = {{STORE_REMOVE, STR("a"), STR(""), {0}},
                                               {STORE_CREATE, STR("d"), STR("\"D\""), {0}},
                                               {STORE_PUT, STR("c"), STR("\"C3\""), {0}},
                                               bad[i].last,
                                               {STORE_REMOVE, STR("d"), STR(""), {0}}};
        batch = (struct store_batch){
            .changes = changes, .len = ARRAY_LEN(changes), .deadline_ns = soon()};
        cr_expect(place->backend->change(place->session, &batch) == bad[i].status);
        cr_expect(batch.failed == 3 && revision(place) == 6);
        expect_list(place, "A2,C2");
    }
}

/* Makes one change under a condition. */
static enum store_status change_if(struct place *place, enum store_operation operation,
                                   struct store_version if_version, struct store_batch *batch)
{
    struct store_change one = {operation, STR("a"), STR("\"2\""), if_version};
    *batch = (struct store_batch){.changes = &one, .len = 1, .deadline_ns = soon()};
    return place->backend->change(place->session, batch);
}

static struct store_version version_of(struct place *place, const char *id)
{
    struct store_record record = {0};
    struct buffer out = {0};
    struct store_read read = {.deadline_ns = soon()};
    cr_expect(place->backend->get(place->session, &read, str_from(id), &record, &out) == STORE_OK);
    buffer_release(&out);
    return store_record_version(&record);
}

static void check_conditions(struct place *place)
{
    struct store_batch batch;
    cr_expect(change_if(place, STORE_REPLACE, (struct store_version){1, 1}, &batch) ==
              STORE_NOT_FOUND);
    cr_expect(change_if(place, STORE_REMOVE, (struct store_version){1, 1}, &batch) ==
              STORE_NOT_FOUND);
    cr_expect(create(place, "b", "B") == STORE_OK && create(place, "a", "1") == STORE_OK);
    struct store_version second = version_of(place, "a");
    cr_expect(second.revision == 2 && second.tag != 0);
    cr_expect(change_if(place, STORE_CREATE, (struct store_version){0}, &batch) == STORE_EXISTS &&
              store_version_equal(batch.found, second));
    const struct store_version wrong[] = {
        {1, second.tag}, {3, second.tag},         {2, second.tag + 1}, /* of another history */
        {2, 0},          {INT64_MAX, second.tag}, {UINT64_MAX, UINT64_MAX}};
    static const enum store_operation operations[] = {STORE_REPLACE, STORE_PUT, STORE_REMOVE};
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        for (size_t j = 0; j < ARRAY_LEN(wrong); j++)
            cr_expect(change_if(place, operations[i], wrong[j], &batch) == STORE_CHANGED &&
                      store_version_equal(batch.found, second));
    expect_list(place, "B,1");
    cr_expect(revision(place) == 2, "what fails changes nothing");
    cr_expect(change_if(place, STORE_REPLACE, second, &batch) == STORE_OK && batch.revision == 3);
    struct store_version third = version_of(place, "a");
    cr_expect(third.revision == 3 && third.tag == batch.made_us);
    cr_expect(change_if(place, STORE_REPLACE, second, &batch) == STORE_CHANGED &&
              store_version_equal(batch.found, third));
    cr_expect(change_if(place, STORE_PUT, third, &batch) == STORE_OK && batch.revision == 4);
    expect_list(place, "B,2");
    const struct store_change changes[] = {{STORE_CREATE, STR("c"), STR("\"C\""), {0}},
                                           {STORE_REPLACE, STR("b"), STR("\"B\""), {9, 1}}};
    batch = (struct store_batch){.changes = changes, .len = 2, .deadline_ns = soon()};
    cr_expect(place->backend->change(place->session, &batch) == STORE_CHANGED);
    cr_expect(batch.failed == 1 && store_version_equal(batch.found, version_of(place, "b")));
    cr_expect(change_if(place, STORE_REMOVE, version_of(place, "a"), &batch) == STORE_OK);
    expect_list(place, "B");
}

/* What a read shows of five documents, the third of which is gone; one character each. */
static void expect_shown(struct place *place, struct store_read read, const char *documents)
{
    for (int fresh = 0; fresh < 2; fresh++) {
        struct buffer out = {0};
        read.fresh = fresh;
        read.deadline_ns = soon();
        cr_expect(place->backend->each(place->session, &read, append_document, &out) == STORE_OK);
        cr_expect(str_equal(buffer_str(&out), str_from(documents)), "%s: %.*s",
                  place->backend->name, (int)out.len, out.data);
        cr_expect(read.version.revision == 6 && read.version.tag != 0);
        buffer_release(&out);
    }
}

/* Sees two documents. */
static bool see_two(void *context, const struct store_record *record)
{
    struct buffer *out = context;
    buffer_append_u64(out, record->sequence);
    return out->len < 2;
}

static void expect_known(struct place *place, struct store_version known, const char *document)
{
    for (int fresh = 0; fresh < 2; fresh++) {
        struct buffer out = {0};
        struct store_record record = {0};
        struct store_read read = {.fresh = fresh, .deadline_ns = soon(), .known = known};
        cr_expect(place->backend->get(place->session, &read, STR("d"), &record, &out) == STORE_OK);
        cr_expect(str_equal(buffer_str(&out), str_from(document)), "%.*s", (int)out.len, out.data);
        cr_expect(record.revision == 4 && record.sequence == 4);
        buffer_release(&out);
    }
}

static void check_reads(struct place *place)
{
    static const struct str ids[] = {STR_INIT("e"),    STR_INIT("c"),      STR_INIT("a"),
                                     STR_INIT("none"), STR_INIT("\"\\{}"), STR_INIT("a")};
    struct buffer out = {0};
    for (const char *id = "a\0b\0c\0d\0e\0"; *id != '\0'; id += 2)
        cr_expect(create(place, id, id) == STORE_OK);
    cr_expect(drop(place, "c") == STORE_OK);
    expect_shown(place, (struct store_read){0}, "a,b,d,e");
    expect_shown(place, (struct store_read){.after = 1}, "b,d,e");
    expect_shown(place, (struct store_read){.after = 2}, "d,e");
    expect_shown(place, (struct store_read){.after = 5}, "");
    expect_shown(place, (struct store_read){.after = INT64_MAX}, "");
    struct store_version now = store_version(place);
    expect_shown(place, (struct store_read){.known = now}, "");
    expect_shown(place, (struct store_read){.known = {5, now.tag}}, "a,b,d,e");
    expect_shown(place, (struct store_read){.known = {6, now.tag + 1}}, "a,b,d,e");
    expect_shown(place, (struct store_read){.ids = ids, .ids_len = ARRAY_LEN(ids)}, "a,e");
    expect_shown(place, (struct store_read){.ids = ids, .ids_len = 3, .after = 1}, "e");
    expect_shown(place, (struct store_read){.ids = ids + 3, .ids_len = 2}, "");
    cr_expect(place->backend->each(place->session, &(struct store_read){.after = 1, .wanted = 2},
                                   see_two, &out) == STORE_OK);
    cr_expect(str_equal(buffer_str(&out), STR("24")), "%.*s", (int)out.len, out.data);
    buffer_release(&out);
    struct store_version d = version_of(place, "d");
    expect_known(place, (struct store_version){0}, "\"d\"");
    expect_known(place, d, "");
    expect_known(place, (struct store_version){d.revision, d.tag + 1}, "\"d\"");
    expect_known(place, (struct store_version){6, d.tag}, "\"d\"");
}

static void on_each(void (*check)(struct place *place))
{
    struct postgres postgres;
    postgres_start(&postgres);
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        struct place place;
        char url[POSTGRES_URL_SIZE];
        postgres_database(&postgres, url);
        database_url = url;
        place_open(&place, backends[i], ENOUGH);
        check(&place);
        place_close(&place);
    }
    postgres_stop(&postgres);
}

Test(store, keeps_order_and_counts_changes)
{
    on_each(check_changes);
}

Test(store, keeps_bytes)
{
    on_each(check_bytes);
}

Test(store, changes_under_conditions)
{
    on_each(check_conditions);
}

Test(store, shows_what_is_asked_for)
{
    on_each(check_reads);
}

Test(store, makes_all_changes_or_none)
{
    on_each(check_batches);
}

Test(store, seeds_once)
{
    on_each(check_seed);
}

/* The history of an integration in one text: "REVISION:OPERATION:DOCUMENT-BEFORE ", the operation
 * as a number, and 0 as the revision of what is there. */
static bool append_entry(void *context, const struct store_entry *entry)
{
    struct buffer *out = context;
    buffer_printf(out, "%d:%d:%.*s ", (int)entry->revision,
                  entry->revision == 0 ? 0 : (int)entry->operation, (int)entry->before.document.len,
                  entry->before.document.data == NULL ? "" : entry->before.document.data);
    return true;
}

static void expect_history(struct place *place, const char *id, uint64_t from, const char *history)
{
    struct buffer out = {0};
    struct store_read read = {.deadline_ns = soon()};
    cr_expect(place->backend->history(place->session, &read, str_from(id), from, append_entry,
                                      &out) == STORE_OK);
    cr_expect(str_equal(buffer_str(&out), str_from(history)), "%s: %.*s", place->backend->name,
              (int)out.len, out.data);
    buffer_release(&out);
}

static void check_history(struct place *place)
{
    struct buffer log = {0};
    struct store_read read = {.deadline_ns = soon(), .after = 6, .wanted = 0};
    if (place->backend->history == NULL) /* the store of tests has none */
        return;
    expect_history(place, "a", 0, "");
    cr_expect(create(place, "a", "A") == STORE_OK && create(place, "b", "B") == STORE_OK);
    expect_history(place, "a", 0, "0:0:\"A\" 1:0: ");
    cr_expect(replace(place, "a", "A2") == STORE_OK && drop(place, "a") == STORE_OK);
    expect_history(place, "a", 0, "4:3:\"A2\" 3:1:\"A\" 1:0: ");
    expect_history(place, "a", 3, "3:1:\"A\" 1:0: ");
    expect_history(place, "a", 2, "3:1:\"A\" 1:0: ");
    cr_expect(change(place, STORE_RECREATE, "a", "A3") == STORE_OK);
    cr_expect(change(place, STORE_RECREATE, "a", "A4") == STORE_EXISTS);
    expect_list(place, "A3,B");
    expect_history(place, "a", 0, "0:0:\"A3\" 5:1: 4:3:\"A2\" 3:1:\"A\" 1:0: ");
    expect_history(place, "a", 6, "0:0:\"A3\" 5:1: 4:3:\"A2\" 3:1:\"A\" 1:0: ");
    cr_expect(replace(place, "a", "A5") == STORE_OK && replace(place, "a", "A6") == STORE_OK &&
              drop(place, "b") == STORE_OK && change(place, STORE_RECREATE, "c", "C") == STORE_OK);
    expect_list(place, "A6,C");
    /* One more than the versions that are kept, and of that one only that it was. */
    expect_history(place, "a", 0, "0:0:\"A6\" 7:1:\"A5\" 6:1:\"A3\" 5:1: 4:3: ");
    cr_expect(place->backend->log(place->session, &read, append_entry, &log) == STORE_OK);
    cr_expect(str_has_prefix(buffer_str(&log), STR("7:1: 8:3: ")), "%s: %.*s", place->backend->name,
              (int)log.len, log.data);
    buffer_release(&log);
}

Test(store, tells_what_was)
{
    on_each(check_history);
}

/* ---- LMDB ---- */

Test(lmdb, remembers)
{
    struct place place;
    place_open(&place, &store_lmdb, ENOUGH);
    cr_expect(create(&place, "b", "B") == STORE_OK && create(&place, "a", "A") == STORE_OK);
    place_shut(&place);
    place_reopen(&place, ENOUGH);
    expect_list(&place, "B,A");
    cr_expect(create(&place, "c", "C") == STORE_OK);
    expect_list(&place, "B,A,C");
    cr_expect(revision(&place) == 3);
    place_close(&place);
}

/* What the log tells, compared with what is there. */
struct comparison {
    uint64_t entries;
    uint64_t documents;
    bool fits;
};

static bool compare_entry(void *context, const struct store_entry *entry)
{
    struct comparison *comparison = context;
    comparison->fits &= entry->revision == ++comparison->entries &&
                        entry->operation == STORE_CREATE && entry->before.revision == 0;
    return true;
}

static bool count_document(void *context, const struct store_record *record)
{
    struct comparison *comparison = context;
    comparison->fits &= record->revision == ++comparison->documents;
    return true;
}

/* No change without its entry, and no entry without its change, where there were only creations. */
static void expect_log_of_creations(struct place *place)
{
    struct comparison comparison = {.fits = true};
    struct store_read read = {.deadline_ns = soon()};
    cr_expect(place->backend->log(place->session, &read, compare_entry, &comparison) == STORE_OK);
    cr_expect(place->backend->each(place->session, &read, count_document, &comparison) == STORE_OK);
    cr_expect(comparison.fits && comparison.entries == comparison.documents &&
                  comparison.entries == revision(place),
              "%lu entries, %lu documents", (unsigned long)comparison.entries,
              (unsigned long)comparison.documents);
}

/* A process that writes i0, i1, … until it is killed; the last one acknowledged goes to `pipe`. */
static void write_until_killed(const char *directory, int pipe)
{
    struct place place = {.backend = &store_lmdb, .options.history = keeping};
    snprintf(place.directory, sizeof place.directory, "%s", directory);
    place_reopen(&place, ENOUGH);
    for (int i = 0;; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d-%d", getpid(), i);
        if (create(&place, id, id) != STORE_OK || write(pipe, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

Test(lmdb, loses_nothing_acknowledged_when_writers_are_killed, .timeout = 60)
{
    struct place place;
    struct store_record record;
    struct buffer out = {0};
    place_open(&place, &store_lmdb, ENOUGH);
    place_shut(&place);
    for (int round = 0; round < 10; round++) {
        int pipes[2][2];
        pid_t pids[2];
        for (int i = 0; i < 2; i++) {
            cr_assert(pipe(pipes[i]) == 0);
            pids[i] = fork();
            if (pids[i] == 0)
                write_until_killed(place.directory, pipes[i][1]);
            close(pipes[i][1]);
        }
        for (int i = 0; i < 2; i++) /* each has begun */
            cr_assert(poll(&(struct pollfd){pipes[i][0], POLLIN, 0}, 1, 30000) == 1);
        usleep(30000);
        for (int i = 0; i < 2; i++)
            kill(pids[i], SIGKILL);
        place_reopen(&place, ENOUGH);
        expect_log_of_creations(&place);
        for (int i = 0; i < 2; i++) {
            int last = -1;
            waitpid(pids[i], NULL, 0);
            while (read(pipes[i][0], &last, sizeof last) == sizeof last) {
                char id[32];
                snprintf(id, sizeof id, "%d-%d", pids[i], last);
                buffer_reset(&out, SIZE_MAX);
                cr_expect(place.backend->get(place.session, &(struct store_read){0}, str_from(id),
                                             &record, &out) == STORE_OK,
                          "%s", id);
            }
            cr_expect(last >= 0, "writer %d was acknowledged nothing", i);
            close(pipes[i][0]);
        }
        place_shut(&place);
    }
    buffer_release(&out);
    directory_remove(place.directory);
}

/* Makes a process that takes the turn to write, as one that was frozen in the middle of a change.
 */
static pid_t take_the_turn(const struct place *place)
{
    int pipe_fds[2];
    char byte;
    char path[128];
    cr_assert(pipe(pipe_fds) == 0);
    snprintf(path, sizeof path, "%s/store/turn", place->directory);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || !lock_wait(fd, 0) || write(pipe_fds[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipe_fds[1]);
    cr_assert(read(pipe_fds[0], &byte, 1) == 1);
    close(pipe_fds[0]);
    return pid;
}

static void kill_and_wait(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static uint64_t after_ms(uint64_t ms)
{
    return clock_steady_ns() + ms * 1000000;
}

Test(lmdb, does_not_wait_for_a_frozen_writer_forever)
{
    struct place place;
    place_open(&place, &store_lmdb, ENOUGH);
    log_open(LOG_CRITICAL + 1, STDERR_FILENO);
    cr_expect(create(&place, "a", "A") == STORE_OK);
    pid_t pid = take_the_turn(&place);
    struct store_change removal = {STORE_REMOVE, STR("a"), STR(""), {0}};
    struct store_batch batch = {.changes = &removal, .len = 1, .deadline_ns = after_ms(200)};
    cr_expect(place.backend->change(place.session, &batch) == STORE_AWAY);
    cr_expect(clock_steady_ns() >= batch.deadline_ns, "it does wait");
    cr_expect(place.backend->ready(place.session, after_ms(200)) == STORE_AWAY);
    expect_list(&place, "A");
    kill_and_wait(pid);
    cr_expect(place.backend->ready(place.session, soon()) == STORE_OK);
    expect_list(&place, "A");
    cr_expect(drop(&place, "a") == STORE_OK);
    place_close(&place);
}

/* A visitor that stays until its process is killed. */
static bool stay(void *context, const struct store_record *record)
{
    const int *pipe = context;
    (void)record;
    if (write(*pipe, "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static pid_t read_until_killed(struct place *place)
{
    int pipe_fds[2];
    char byte;
    cr_assert(pipe(pipe_fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        place_reopen(place, ENOUGH);
        (void)place->backend->each(place->session, &(struct store_read){0}, stay, &pipe_fds[1]);
        _exit(1);
    }
    close(pipe_fds[1]);
    cr_assert(read(pipe_fds[0], &byte, 1) == 1);
    close(pipe_fds[0]);
    return pid;
}

/* The statistics once readers have been checked again, with one more change before. */
static struct store_stats next_stats(struct place *place)
{
    struct store_stats stats;
    usleep(1100000); /* they are checked once a second */
    cr_assert(change(place, STORE_PUT, "a", "again") == STORE_OK);
    cr_assert(place->backend->stats(place->session, &stats) == STORE_OK);
    return stats;
}

Test(lmdb, forgets_readers_that_were_killed, .timeout = 60)
{
    struct place place;
    struct store_stats stats;
    place_open(&place, &store_lmdb, ENOUGH);
    cr_expect(create(&place, "a", "A") == STORE_OK);
    place_shut(&place);
    pid_t pid = read_until_killed(&place);
    place_reopen(&place, ENOUGH);
    log_open(LOG_CRITICAL + 1, STDERR_FILENO);
    (void)next_stats(&place);
    (void)next_stats(&place); /* here it is seen first */
    stats = next_stats(&place);
    cr_expect(stats.oldest_reader_ms >= 900, "%lu ms", (unsigned long)stats.oldest_reader_ms);
    kill_and_wait(pid);
    stats = next_stats(&place);
    cr_expect(stats.oldest_reader_ms == 0, "%lu ms", (unsigned long)stats.oldest_reader_ms);
    for (int i = 0; i < 200; i++)
        cr_assert(change(&place, STORE_PUT, "a", "and again") == STORE_OK);
    uint64_t used_bytes = stats.used_bytes;
    cr_assert(place.backend->stats(place.session, &stats) == STORE_OK);
    cr_expect(stats.used_bytes <= used_bytes + 16384, "it grew from %lu to %lu bytes",
              (unsigned long)used_bytes, (unsigned long)stats.used_bytes);
    place_close(&place);
}

Test(lmdb, says_when_it_is_full_and_goes_on)
{
    struct place place;
    struct buffer document = {0};
    enum store_status status = STORE_OK;
    int stored = 0;
    place_open(&place, &store_lmdb, 1 << 20);
    log_open(LOG_CRITICAL + 1, STDERR_FILENO);
    for (int i = 0; i < 10000; i++)
        buffer_append_char(&document, 'x');
    buffer_append_char(&document, '\0');
    while (status == STORE_OK) {
        char id[16];
        snprintf(id, sizeof id, "i%d", stored);
        status = create(&place, id, document.data);
        stored += status == STORE_OK;
    }
    cr_expect(status == STORE_FULL && stored > 20, "%d stored", stored);
    struct buffer quoted = {0};
    buffer_printf(&quoted, "\"%s\"", document.data);
    expect_get(&place, STR("i0"), buffer_str(&quoted));
    buffer_release(&quoted);
    cr_expect(revision(&place) == (uint64_t)stored);
    place_shut(&place);
    place_reopen(&place, ENOUGH);
    cr_expect(create(&place, "one more", document.data) == STORE_OK, "a larger limit is taken");
    place_close(&place);
    buffer_release(&document);
}

Test(lmdb, gives_its_log_a_part_of_the_room)
{
    struct place place;
    struct store_stats stats;
    char document[10001];
    memset(document, 'x', sizeof document - 1);
    document[sizeof document - 1] = '\0';
    place_open(&place, &store_lmdb, 2 << 20);
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        cr_assert(create(&place, id, document) == STORE_OK);
    }
    for (int i = 0; i < 500; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i % 50);
        cr_assert(replace(&place, id, document) == STORE_OK, "change %d", i);
    }
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        cr_assert(drop(&place, id) == STORE_OK, "removal %d", i);
    }
    cr_expect(place.backend->stats(place.session, &stats) == STORE_OK);
    cr_expect(stats.integrations == 0);
    place_close(&place);
}

Test(lmdb, can_be_emptied_when_it_is_full)
{
    static const struct {
        uint64_t max_bytes;
        size_t document_len;
    } cases[] = {{1 << 20, 100}, {1 << 20, 20000}, {4 << 20, 200000}, {4 << 20, 2000}};
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        struct place place;
        char id[16];
        int stored = 0;
        char *document = malloc(cases[n].document_len + 1);
        memset(document, 'x', cases[n].document_len);
        document[cases[n].document_len] = '\0';
        place_open(&place, &store_lmdb, cases[n].max_bytes);
        log_open(LOG_CRITICAL + 1, STDERR_FILENO);
        do
            snprintf(id, sizeof id, "i%d", stored++);
        while (create(&place, id, document) == STORE_OK);
        for (int i = 0; i < stored - 1; i++) {
            snprintf(id, sizeof id, "i%d", i);
            if (i == 0)
                cr_expect(replace(&place, id, "short") == STORE_OK, "%zu", n);
            cr_expect(drop(&place, id) == STORE_OK, "%zu: %d of %d", n, i, stored);
        }
        cr_expect(create(&place, "anew", document) == STORE_OK);
        place_close(&place);
        free(document);
    }
}

Test(lmdb, lets_go_of_many_versions)
{
    struct place place;
    struct buffer history = {0};
    struct store_read read = {0};
    place_open(&place, &store_lmdb, ENOUGH);
    place_shut(&place);
    place.options.history.versions = 100;
    place_reopen(&place, ENOUGH);
    for (int i = 0; i < 12 * 150; i++) { /* the revisions of one fill a good part of a page */
        char id[16];
        snprintf(id, sizeof id, "c%d", i % 12);
        cr_assert(change(&place, STORE_PUT, id, "x") == STORE_OK, "change %d", i);
    }
    cr_expect(place.backend->history(place.session, &read, STR("c3"), 0, append_entry, &history) ==
              STORE_OK);
    size_t entries = 0;
    for (size_t i = 0; i < history.len; i++)
        entries += history.data[i] == ' ';
    cr_expect(entries == 1 + 100 + 1, "%zu", entries);
    buffer_release(&history);
    place_close(&place);
}

/* Expects what keys hold, as "k1 1 2, …": documents and versions. */
static void expect_holdings(struct place *place, const char *expected)
{
    struct store_holding held[VAULT_KEYS_MAX];
    size_t len = 0;
    struct buffer text = {0};
    struct store_read read = {.fresh = true};
    cr_assert(place->backend->holdings(place->session, &read, held, &len) == STORE_OK);
    for (size_t i = 0; i < len; i++)
        buffer_printf(&text, "%s%s %" PRIu64 " %" PRIu64, i == 0 ? "" : ", ", held[i].key,
                      held[i].documents, held[i].versions);
    cr_expect(str_equal(buffer_str(&text), str_from(expected)), "%.*s", (int)text.len, text.data);
    buffer_release(&text);
}

static void reseal(struct place *place)
{
    struct store_resealing resealing = {.done = false};
    while (!resealing.done) {
        resealing.deadline_ns = soon();
        cr_assert(place->backend->reseal(place->session, &resealing) == STORE_OK);
    }
    cr_expect_eq(resealing.unreadable, 0);
}

/* An integration of that id, in a buffer. */
static struct buffer integration_of(const char *id)
{
    struct buffer document = {0};
    buffer_printf(
        &document,
        "{\"id\":\"%s\",\"name\":\"n\",\"description\":\"d\",\"status\":true,\"settings\":"
        "{\"a\":1}}",
        id);
    return document;
}

static void put_integration(struct place *place, const char *id)
{
    struct buffer document = integration_of(id);
    struct store_change one = {STORE_PUT, str_from(id), buffer_str(&document), {0}};
    struct store_batch batch = {.changes = &one, .len = 1, .deadline_ns = soon()};
    cr_expect_eq(place->backend->change(place->session, &batch), STORE_OK);
    buffer_release(&document);
}

static void expect_integration(struct place *place, const char *id)
{
    struct buffer document = integration_of(id);
    struct buffer got = {0};
    struct store_read read = {.fresh = true};
    struct store_record record;
    cr_expect_eq(place->backend->get(place->session, &read, str_from(id), &record, &got), STORE_OK);
    cr_expect(str_equal(buffer_str(&got), buffer_str(&document)));
    buffer_release(&document);
    buffer_release(&got);
}

Test(lmdb, counts_what_keys_hold)
{
    struct place place;
    struct vault one;
    struct vault two;
    char fault[VAULT_FAULT_SIZE];
    cr_assert(vault_parse(STR("k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), &one, fault));
    cr_assert(vault_parse(STR("k2 AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
                              "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
                          &two, fault));
    place_open(&place, &store_lmdb, ENOUGH);
    put_integration(&place, "clear");
    expect_holdings(&place, "");
    place_shut(&place);
    place.options.vault = &one;
    place_reopen(&place, ENOUGH);
    put_integration(&place, "a");
    put_integration(&place, "b");
    expect_holdings(&place, "k1 2 0");
    for (int i = 0; i < 10; i++) /* of which `keeping` keeps 3 */
        put_integration(&place, "a");
    expect_holdings(&place, "k1 2 3");
    put_integration(&place, "clear");
    cr_expect_eq(drop(&place, "b"), STORE_OK);
    expect_holdings(&place, "k1 2 4");
    place_shut(&place);
    place.options.vault = &two;
    place_reopen(&place, ENOUGH);
    put_integration(&place, "a");
    expect_holdings(&place, "k1 1 4, k2 1 0");
    struct store_version before = store_version(&place);
    reseal(&place);
    expect_holdings(&place, "k2 2 5"); /* also the version that was in clear */
    cr_expect(store_version_equal(store_version(&place), before));
    place_shut(&place);
    two.seals = false;
    place_reopen(&place, ENOUGH);
    reseal(&place);
    expect_holdings(&place, "");
    expect_integration(&place, "clear");
    expect_integration(&place, "a");
    place_close(&place);
    vault_release(&one);
    vault_release(&two);
}

static bool see_entry(void *context, const struct store_entry *entry)
{
    (void)context;
    (void)entry;
    return true;
}

/* Who has followed the log so far goes on, although what was told last is not kept any more. */
Test(lmdb, knows_where_followers_are)
{
    struct place place;
    place_open(&place, &store_lmdb, ENOUGH);
    place_shut(&place);
    place.options.history.days = 0;
    place_reopen(&place, ENOUGH);
    for (int i = 0; i < 3; i++) {
        struct store_version before = store_version(&place);
        struct store_read read = {.after = before.revision};
        usleep(10);
        cr_assert(change(&place, STORE_PUT, "a", "x") == STORE_OK);
        cr_expect(place.backend->log(place.session, &read, see_entry, NULL) == STORE_OK);
        cr_expect(store_version_equal(read.known, before), "%d", i);
        cr_expect(store_version_equal(read.version, store_version(&place)));
    }
    place_close(&place);
}

Test(lmdb, keeps_its_log_for_some_days)
{
    struct place place;
    place_open(&place, &store_lmdb, ENOUGH);
    cr_expect(create(&place, "a", "A") == STORE_OK && replace(&place, "a", "A2") == STORE_OK);
    place_shut(&place);
    place.options.history.days = 0;
    place_reopen(&place, ENOUGH);
    usleep(10);
    expect_history(&place, "a", 0, "0:0:\"A2\" ");
    cr_expect(replace(&place, "a", "A3") == STORE_OK);
    place_shut(&place);
    place.options.history.days = 90;
    place_reopen(&place, ENOUGH);
    expect_history(&place, "a", 0, "0:0:\"A3\" 3:1:\"A2\" ");
    place_close(&place);
}

/* Opens a store that cannot be opened. */
static void expect_refusal(const char *directory, const char *part)
{
    char error[512] = "";
    struct store_options options = {.directory = directory, .vault = &no_keys, .max_bytes = ENOUGH};
    struct store *store = store_lmdb.open(&options, error, sizeof error);
    cr_expect(store == NULL);
    cr_expect(strstr(error, part) != NULL && strstr(error, directory) != NULL, "%s", error);
    if (store != NULL)
        store_lmdb.close(store);
}

static void write_bytes(const char *directory, const char *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/store", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/store/data.mdb", directory);
    FILE *file = fopen(path, "we");
    cr_assert(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

Test(lmdb, refuses_a_file_of_another_kind)
{
    char directory[64];
    char garbage[16384];
    memset(garbage, 0x5A, sizeof garbage);
    directory_make(directory);
    write_bytes(directory, garbage, sizeof garbage);
    expect_refusal(directory, "not an LMDB file");
    directory_remove(directory);
    expect_refusal(directory, "No such file or directory");
}

/* Puts one record into an environment as another program, or another version, would have. */
static void put_foreign(const char *directory, const char *database, const char *key,
                        const void *value, size_t size)
{
    char path[128];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {strlen(key), (void *)key};
    MDB_val v = {size, (void *)value};
    snprintf(path, sizeof path, "%s/store", directory);
    mkdir(path, 0700);
    cr_assert(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0);
    cr_assert(mdb_env_open(env, path, 0, 0600) == 0 && mdb_txn_begin(env, NULL, 0, &txn) == 0);
    cr_assert(mdb_dbi_open(txn, database, MDB_CREATE, &dbi) == 0);
    cr_assert(mdb_put(txn, dbi, &k, &v, 0) == 0 && mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

/* What a change was like after the clock was set back an hour, or after a program that does not
 * know versions has made one. */
Test(lmdb, keeps_times_in_order_and_knows_what_it_does_not_know)
{
    struct place place;
    place_open(&place, &store_lmdb, ENOUGH);
    cr_assert(create(&place, "a", "1") == STORE_OK);
    struct store_version ahead = {1, clock_wall_us() + 3600000000ULL};
    place_shut(&place);
    put_foreign(place.directory, "meta", "version", &ahead, sizeof ahead);
    place_reopen(&place, ENOUGH);
    cr_expect(store_version_equal(store_version(&place), ahead));
    cr_assert(replace(&place, "a", "2") == STORE_OK);
    cr_expect(version_of(&place, "a").tag == ahead.tag + 1);
    place_shut(&place);
    ahead.revision = 1; /* the store has had another change since */
    put_foreign(place.directory, "meta", "version", &ahead, sizeof ahead);
    place_reopen(&place, ENOUGH);
    cr_expect(store_version(&place).revision == 2 && store_version(&place).tag != ahead.tag);
    cr_assert(replace(&place, "a", "3") == STORE_OK);
    cr_expect(version_of(&place, "a").tag < ahead.tag);
    cr_expect(store_version_equal(store_version(&place), version_of(&place, "a")));
    place_close(&place);
}

Test(lmdb, refuses_an_environment_of_another_program)
{
    char directory[64];
    directory_make(directory);
    put_foreign(directory, "theirs", "a", "b", 1);
    expect_refusal(directory, "another program");
    put_foreign(directory, "meta", "store", "short", 5);
    expect_refusal(directory, "another program");
    directory_remove(directory);
}

Test(lmdb, refuses_a_newer_format)
{
    char directory[64];
    const uint64_t meta[] = {2, 5, 5};
    directory_make(directory);
    put_foreign(directory, "meta", "store", meta, sizeof meta);
    expect_refusal(directory, "newer version");
    directory_remove(directory);
}

/* ---- writers that are killed ---- */

enum { WRITERS = 3, WRITER_THREADS = 4, KILLS = 150 };

/* What processes of this test share. */
struct turns {
    atomic_bool stop;
    struct environment environment; /* each process opens its own */
};

static void *take_turns(void *argument)
{
    struct turns *turns = argument;
    struct documents_change change;
    while (!atomic_load(&turns->stop))
        if (documents_begin(&turns->environment, soon(), &change) == STORE_OK)
            documents_cancel(&change);
    return NULL;
}

static void be_writer(struct turns *shared, const char *directory)
{
    char path[128];
    static struct turns turns;
    const struct environment_options options = {.max_bytes = 1 << 20};
    pthread_t threads[WRITER_THREADS];
    char error[512];
    snprintf(path, sizeof path, "%s/store", directory); /* files are put beside it */
    if (!environment_open(&turns.environment, path, &options, error, sizeof error))
        _exit(1);
    for (size_t i = 0; i < WRITER_THREADS; i++)
        pthread_create(&threads[i], NULL, take_turns, &turns);
    while (!atomic_load(&shared->stop))
        usleep(100);
    atomic_store(&turns.stop, true);
    for (size_t i = 0; i < WRITER_THREADS; i++)
        pthread_join(threads[i], NULL);
    _exit(0);
}

/* Kills one of them, and lets the others end. */
static void kill_one(struct turns *shared, const char *path, unsigned after_us)
{
    pid_t pids[WRITERS];
    atomic_store(&shared->stop, false);
    for (size_t i = 0; i < WRITERS; i++)
        if ((pids[i] = fork()) == 0)
            be_writer(shared, path);
    usleep(after_us);
    kill(pids[0], SIGKILL);
    atomic_store(&shared->stop, true);
    for (size_t i = 0; i < WRITERS; i++) {
        int status;
        cr_assert(waitpid(pids[i], &status, 0) == pids[i]);
        cr_assert(i == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    }
}

Test(lmdb, nobody_waits_for_a_writer_that_was_killed, .timeout = 300)
{
    char directory[64];
    struct turns *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(shared != MAP_FAILED);
    directory_make(directory);
    for (unsigned i = 0; i < KILLS; i++)
        kill_one(shared, directory, 5000 + i * 37 % 3000);
    munmap(shared, sizeof *shared);
    directory_remove(directory);
}
