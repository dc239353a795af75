/* SPDX-License-Identifier: MIT
 *
 * Sealing what is in the database anew, when keys change. Replicas do so by themselves
 * (follower.c). */
#include "store/pg/resealing.h"
#include "base/arena.h"
#include "store/pg/backend.h"
#include "store/pg/replica.h"
#include "store/sealing.h"

/* Rows of a step: each of them may be as long as a request. */
#define STEP_ROWS_TEXT "16"
enum { STEP_ROWS = 16 };

/* Both have the columns: where to go on, id, sequence, revision, document. */
static const struct pg_statement select_documents = {
    "integration_unsealed_documents",
    "SELECT sequence, id, sequence, revision, document FROM integration_documents"
    " WHERE sequence > $1 AND seal_key IS DISTINCT FROM $2 ORDER BY sequence "
    "LIMIT " STEP_ROWS_TEXT};
static const struct pg_statement select_versions = {
    "integration_unsealed_versions",
    "SELECT revision, id, sequence, before_revision, before FROM integration_changes"
    " WHERE revision > $1 AND before IS NOT NULL AND before_seal_key IS DISTINCT FROM $2"
    " ORDER BY revision LIMIT " STEP_ROWS_TEXT};
static const struct pg_statement write_documents = {"integration_reseal",
                                                    "SELECT integration_reseal($1, $2, $3)"};
static const struct pg_statement write_versions = {"integration_reseal_before",
                                                   "SELECT integration_reseal_before($1, $2)"};
static const struct pg_statement select_holdings = {
    "integration_holdings",
    "SELECT k.name, sum(k.documents)::int8, sum(k.versions)::int8 FROM ("
    "SELECT seal_key AS name, count(*) AS documents, 0 AS versions FROM integration_documents"
    " WHERE seal_key IS NOT NULL GROUP BY 1 UNION ALL"
    " SELECT before_seal_key, 0, count(*) FROM integration_changes"
    " WHERE before_seal_key IS NOT NULL GROUP BY 1) k GROUP BY 1 ORDER BY 1"};

enum { COLUMN_PLACE, COLUMN_ID, COLUMN_SEQUENCE, COLUMN_REVISION, COLUMN_DOCUMENT };

/* A document as it is to be written. */
struct renewed {
    uint64_t sequence;
    uint64_t revision; /* of the document, or of the change that it was before */
    struct str document;
};

/* A step in progress. */
struct step {
    struct sealing sealing;
    struct pg *pg;
    uint64_t deadline_ns;
    bool of_versions;
    uint64_t last; /* place of the last row that was looked at */
    uint64_t unreadable;
    uint64_t written;
    struct renewed rows[STEP_ROWS];
    size_t len;
    struct arena arena;
};

static void take_row(struct step *step, const PGresult *rows, int row)
{
    const struct store_record record = {.sequence = pg_get_number(rows, row, COLUMN_SEQUENCE),
                                        .revision = pg_get_number(rows, row, COLUMN_REVISION),
                                        .document = pg_get_text(rows, row, COLUMN_DOCUMENT)};
    bool unreadable;
    struct str renewed =
        sealing_renew(&step->sealing, pg_get_text(rows, row, COLUMN_ID), &record, &unreadable);
    step->last = pg_get_number(rows, row, COLUMN_PLACE);
    if (unreadable || renewed.data == NULL)
        step->unreadable++;
    else
        step->rows[step->len++] =
            (struct renewed){record.sequence, step->of_versions ? step->last : record.revision,
                             arena_copy(&step->arena, renewed)};
}

/* Writes the rows that were taken. */
static enum pg_status write_rows(struct step *step)
{
    enum { SEQUENCES, REVISIONS, DOCUMENTS, ARRAYS };
    static const enum pg_array_kind kinds[ARRAYS] = {PG_NUMBERS, PG_NUMBERS, PG_JSONS};
    struct pg_array arrays[ARRAYS];
    struct pg_value values[ARRAYS];
    PGresult *result;
    bool has_memory = !step->arena.failed;
    for (size_t i = 0; i < ARRAYS; i++)
        pg_array_begin(&arrays[i], kinds[i], step->len);
    for (size_t i = 0; i < step->len; i++) {
        pg_array_add_number(&arrays[SEQUENCES], step->rows[i].sequence);
        pg_array_add_number(&arrays[REVISIONS], step->rows[i].revision);
        pg_array_add_text(&arrays[DOCUMENTS], step->rows[i].document);
    }
    for (size_t i = 0; i < ARRAYS; i++)
        has_memory &= pg_set_array(&values[i], &arrays[i]);
    enum pg_status status = PG_REFUSED;
    if (has_memory && step->of_versions)
        status =
            pg_query(step->pg, &write_versions, values + REVISIONS, 2, step->deadline_ns, &result);
    else if (has_memory)
        status = pg_query(step->pg, &write_documents, values, ARRAYS, step->deadline_ns, &result);
    for (size_t i = 0; i < ARRAYS; i++)
        pg_array_release(&arrays[i]);
    if (status == PG_OK) {
        step->written = pg_get_number(result, 0, 0);
        PQclear(result);
    }
    return status;
}

/* Reads some rows, and writes them as they should be. Sets *found to how many there were. */
static enum pg_status renew_rows(struct step *step, int *found)
{
    const struct vault_key *first = vault_first(step->sealing.vault);
    struct pg_value values[2];
    PGresult *rows;
    pg_set_number(&values[0], step->last);
    pg_set_text(&values[1], first == NULL ? STR("") : str_from(first->name));
    if (first == NULL)
        pg_set_null(&values[1]);
    enum pg_status status =
        pg_query(step->pg, step->of_versions ? &select_versions : &select_documents, values,
                 ARRAY_LEN(values), step->deadline_ns, &rows);
    if (status != PG_OK)
        return status;
    *found = PQntuples(rows);
    for (int row = 0; row < *found && row < STEP_ROWS; row++)
        take_row(step, rows, row);
    PQclear(rows);
    return step->len > 0 ? write_rows(step) : PG_OK;
}

/* Makes a step of the documents or, when there are no more, of the versions before. */
static enum pg_status make_step(struct step *step, struct store_resealing *resealing)
{
    int found = 0;
    enum pg_status status = pg_replica_ask_masks(step->pg, step->deadline_ns, step->sealing.store);
    step->of_versions = resealing->of_versions;
    step->last = resealing->of_versions ? resealing->revision : resealing->sequence;
    if (status == PG_OK)
        status = renew_rows(step, &found);
    if (status != PG_OK)
        return status;
    *(step->of_versions ? &resealing->revision : &resealing->sequence) = step->last;
    *(step->of_versions ? &resealing->versions : &resealing->documents) += step->written;
    resealing->unreadable += step->unreadable;
    resealing->done = step->of_versions && found == 0;
    resealing->of_versions = step->of_versions || found == 0;
    return PG_OK;
}

enum store_status pg_backend_reseal(struct store_session *session,
                                    struct store_resealing *resealing)
{
    struct pg_pooled *pooled = pg_backend_take(session, resealing->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    struct step step = {.sealing.vault = session->store->shared.options.vault,
                        .pg = &pooled->pg,
                        .deadline_ns = resealing->deadline_ns};
    enum pg_status status = make_step(&step, resealing);
    arena_release(&step.arena);
    sealing_release(&step.sealing);
    enum store_status answer =
        status == PG_OK ? STORE_OK : pg_backend_failure(session, &pooled->pg, status);
    pg_backend_give(session, pooled);
    return answer;
}

/* Reads a row of what keys hold. */
static bool read_holding(const PGresult *rows, int row, struct store_holding *holding)
{
    struct str name = pg_get_text(rows, row, 0);
    *holding =
        (struct store_holding){{0}, pg_get_number(rows, row, 1), pg_get_number(rows, row, 2)};
    if (name.len > VAULT_NAME_MAX)
        return false;
    memcpy(holding->key, name.data, name.len);
    return true;
}

enum pg_status pg_resealing_ask(struct pg *pg, uint64_t deadline_ns, struct store_holding *list,
                                size_t *len)
{
    PGresult *rows;
    enum pg_status status = pg_query(pg, &select_holdings, NULL, 0, deadline_ns, &rows);
    *len = 0;
    if (status != PG_OK)
        return status;
    for (int row = 0; row < PQntuples(rows) && *len < VAULT_KEYS_MAX; row++)
        if (read_holding(rows, row, &list[*len]))
            ++*len;
    PQclear(rows);
    return PG_OK;
}

enum store_status pg_backend_holdings(struct store_session *session, const struct store_read *read,
                                      struct store_holding *list, size_t *len)
{
    if (!read->fresh)
        return holdings_list(session->reader.environment, session->reader.txn, list, len);
    struct pg_pooled *pooled = pg_backend_take(session, read->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    enum pg_status asked = pg_resealing_ask(&pooled->pg, read->deadline_ns, list, len);
    enum store_status status =
        asked == PG_OK ? STORE_OK : pg_backend_failure(session, &pooled->pg, asked);
    pg_backend_give(session, pooled);
    return status;
}
