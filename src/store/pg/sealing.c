/* SPDX-License-Identifier: MIT */
#include "store/pg/sealing.h"

#include "model/difference.h"
#include "store/pg/replica.h"
#include "store/sealing.h"

static const struct pg_statement look = {
    "integration_look",
    "SELECT store_key, store_revision, store_sequence, sequence, revision, document"
    " FROM integration_look($1, $2)"};
enum {
    COLUMN_STORE_KEY,
    COLUMN_STORE_REVISION,
    COLUMN_STORE_SEQUENCE,
    COLUMN_SEQUENCE,
    COLUMN_REVISION,
    COLUMN_DOCUMENT
};

/* The preparation of a batch. */
struct preparation {
    struct sealing sealing;
    const struct store_batch *batch;
    const PGresult *looked;
    uint64_t revision; /* of the store, before the batch */
    uint64_t sequence; /* the last one assigned */
    struct arena *arena;
    struct pg_sealed *sealed;
    struct buffer members; /* on their way to the arena */
};

/* What a change finds. */
struct before {
    uint64_t sequence;   /* its place, or the one it had; 0: none */
    struct str document; /* opened; its data is NULL if there is none */
};

/* What change `k` finds after those before it in the batch, of which the last of the same id
 * counts. */
static struct before find_before(struct preparation *preparation, size_t k)
{
    const struct store_change *changes = preparation->batch->changes;
    for (size_t j = k; j-- > 0;)
        if (str_equal(changes[j].id, changes[k].id))
            return (struct before){preparation->sealed->sequences[j],
                                   changes[j].operation == STORE_REMOVE ? (struct str){NULL, 0}
                                                                        : changes[j].document};
    const PGresult *looked = preparation->looked;
    const struct store_record record = {.sequence = pg_get_number(looked, (int)k, COLUMN_SEQUENCE),
                                        .revision = pg_get_number(looked, (int)k, COLUMN_REVISION),
                                        .document = pg_get_text(looked, (int)k, COLUMN_DOCUMENT)};
    return (struct before){record.sequence,
                           sealing_open(&preparation->sealing, changes[k].id, &record)};
}

static void prepare_change(struct preparation *preparation, size_t k)
{
    struct store_change *change = &preparation->sealed->changes[k];
    struct before before = find_before(preparation, k);
    struct str after = {NULL, 0};
    if (before.document.data == NULL &&
        (change->operation != STORE_RECREATE || before.sequence == 0))
        before.sequence = ++preparation->sequence;
    preparation->sealed->sequences[k] = before.sequence;
    if (change->operation != STORE_REMOVE) {
        const struct store_record record = {.sequence = before.sequence,
                                            .revision = preparation->revision + k + 1};
        after = change->document;
        change->document = arena_copy(
            preparation->arena, sealing_seal(&preparation->sealing, change->id, &record, after));
        preparation->arena->failed |= change->document.len == 0;
    }
    buffer_reset(&preparation->members, SIZE_MAX);
    difference_append(preparation->arena, before.document, after, &preparation->members);
    preparation->sealed->members[k] =
        arena_copy(preparation->arena, buffer_str(&preparation->members));
    preparation->arena->failed |= preparation->members.failed;
}

/* Reads what is the same for all changes. */
static bool read_store(struct preparation *preparation)
{
    const PGresult *looked = preparation->looked;
    if (PQntuples(looked) != (int)preparation->batch->len ||
        !pg_replica_read_masks(pg_get_text(looked, 0, COLUMN_STORE_KEY),
                               preparation->sealing.store))
        return false;
    preparation->revision = pg_get_number(looked, 0, COLUMN_STORE_REVISION);
    preparation->sequence = pg_get_number(looked, 0, COLUMN_STORE_SEQUENCE);
    return true;
}

static enum pg_status prepare(struct preparation *preparation)
{
    size_t len = preparation->batch->len;
    struct pg_sealed *sealed = preparation->sealed;
    if (!read_store(preparation))
        return PG_REFUSED;
    *sealed = (struct pg_sealed){arena_alloc(preparation->arena, len * sizeof *sealed->changes),
                                 arena_alloc(preparation->arena, len * sizeof *sealed->members),
                                 arena_alloc(preparation->arena, len * sizeof *sealed->sequences)};
    if (preparation->arena->failed)
        return PG_OK;
    memcpy(sealed->changes, preparation->batch->changes, len * sizeof *sealed->changes);
    for (size_t k = 0; k < len && !preparation->arena->failed; k++)
        prepare_change(preparation, k);
    return PG_OK;
}

enum pg_status pg_sealing_prepare(struct pg *pg, const struct store_batch *batch,
                                  uint64_t server_ms, uint64_t deadline_ns, struct arena *arena,
                                  struct pg_sealed *sealed)
{
    struct pg_array ids;
    struct pg_value values[2];
    PGresult *looked;
    pg_array_begin(&ids, PG_TEXTS, batch->len);
    for (size_t i = 0; i < batch->len; i++)
        pg_array_add_text(&ids, batch->changes[i].id);
    pg_set_number(&values[1], server_ms);
    arena->failed |= !pg_set_array(&values[0], &ids);
    enum pg_status status =
        arena->failed ? PG_OK
                      : pg_query(pg, &look, values, ARRAY_LEN(values), deadline_ns, &looked);
    pg_array_release(&ids);
    if (status != PG_OK || arena->failed)
        return status;
    struct preparation preparation = {.sealing.vault = pg->settings->vault,
                                      .batch = batch,
                                      .looked = looked,
                                      .arena = arena,
                                      .sealed = sealed};
    status = prepare(&preparation);
    sealing_release(&preparation.sealing);
    buffer_release(&preparation.members);
    PQclear(looked);
    return status;
}
