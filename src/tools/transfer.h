/* SPDX-License-Identifier: MIT
 *
 * Export and import of integrations as text. An export is JSON lines, in order of creation:
 *   {"sequence":1,"revision":7,"created":"…","updated":"…","integration":{"id":…}}
 * and in the end, so that one that was cut off is recognized, how many there are:
 *   {"exported":1}
 * the settings sealed, if there is a key for it (seal/seal.h). An import accepts that format; one
 * integration per line, as mongoexport writes the chatbot framework's collection (unknown members,
 * such as "_id", are dropped); or a JSON array of integrations, as returned by GET /integrations.
 */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

#include <stdio.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "core/config.h"
#include "store/store.h"

enum { TRANSFER_ERROR_SIZE = 2048 };

/* Formats a message for users in `error`; evaluates to false. */
#define TRANSFER_FAIL(error, ...) (snprintf((error), TRANSFER_ERROR_SIZE, __VA_ARGS__), false)

/* Parsed integrations, to be written to a store in this order. */
struct transfer_list {
    struct store_change *changes; /* owned; the strings they refer to live in the arena */
    size_t len;
    size_t cap;
    bool cut_off; /* lines of an export, without the last */
};

/* Parses all of `text`; what is sealed is opened with `vault`. On failure returns false with a
 * message in `error` that names the line, but does not quote values. */
MUST_CHECK bool transfer_parse(struct arena *arena, const struct vault *vault, struct str text,
                               struct transfer_list *list, char *error);
/* Adds a change. Returns false if memory is lacking. */
MUST_CHECK bool transfer_add(struct transfer_list *list, const struct store_change *change);
void transfer_release(struct transfer_list *list);

/* What is to be written to a store, as it was read. */
struct transfer_input {
    struct arena arena;
    struct buffer text;
    struct transfer_list list;
};

/* Reads and parses all of `in`, with the keys of ENCRYPTION_KEYS_FILE. On failure like
 * transfer_parse; release it in any case. */
MUST_CHECK bool transfer_read(const struct config *config, FILE *in, struct transfer_input *input,
                              char *error);
void transfer_input_release(struct transfer_input *input);

/* Writes everything in `in` to the store, or nothing; existing ids are replaced. With a database it
 * is written in parts, so that other hosts need not wait, and a failure may leave the first of them
 * written: the message says how many. On failure returns false with a message in `error`. On
 * success prints a summary to `messages`. Progress is shown there if it is a terminal. */
MUST_CHECK bool transfer_import(const struct config *config, const struct store_backend *backend,
                                FILE *in, FILE *messages, char *error);

/* Makes the store hold what is in `in`, and nothing else, in that order. A store that is damaged is
 * put aside first; an export that was cut off is refused. Otherwise like transfer_import. */
MUST_CHECK bool transfer_restore(const struct config *config, const struct store_backend *backend,
                                 FILE *in, FILE *messages, char *error);

/* Writes all integrations to the file `path`, which appears only once it is complete, or to `out`
 * if `path` is NULL. Their settings are sealed with the first key of ENCRYPTION_KEYS_FILE, unless
 * `clear`. Those that cannot be opened are left out, and then it fails in the end. Otherwise like
 * transfer_import. */
MUST_CHECK bool transfer_export(const struct config *config, const struct store_backend *backend,
                                bool clear, const char *path, FILE *out, FILE *messages,
                                char *error);

#endif
