/* SPDX-License-Identifier: MIT
 *
 * Integrations moved between stores, as text. Written: JSON lines,
 *   {"sequence":1,"revision":7,"created":"…","updated":"…","integration":{"id":…}}
 * in the order of creation. Read: the same; an integration a line, as mongoexport writes the
 * chatbot framework's collection (members it does not know, like "_id", are left out); or a JSON
 * array of integrations, as GET /integrations answers. */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

#include <stdio.h>

#include "base/arena.h"
#include "core/config.h"
#include "store/store.h"

enum { TRANSFER_ERROR_SIZE = 2048 };

/* Puts a sentence for people into `error`; false. */
#define TRANSFER_FAIL(error, ...) (snprintf((error), TRANSFER_ERROR_SIZE, __VA_ARGS__), false)

/* What was read: to be put into a store in this order. */
struct transfer_list {
    struct store_change *changes; /* owned; the texts they point to live in the arena */
    size_t len;
    size_t cap;
};

/* Reads all of `text`. False with a sentence in `error` that names the line; its values are not
 * repeated. */
MUST_CHECK bool transfer_parse(struct arena *arena, struct str text, struct transfer_list *list,
                               char *error);
void transfer_release(struct transfer_list *list);

/* Puts what `in` holds into the store, all of it or nothing: ids that are there are replaced. False
 * with a sentence in `error`; else a summary goes to `messages`, and on a terminal the progress
 * too. */
MUST_CHECK bool transfer_import(const struct config *config, const struct store_backend *backend,
                                FILE *in, FILE *messages, char *error);

/* Writes all integrations to the file `path`, which is there whole or not at all, or to `out` if it
 * is NULL. As transfer_import otherwise. */
MUST_CHECK bool transfer_export(const struct config *config, const struct store_backend *backend,
                                const char *path, FILE *out, FILE *messages, char *error);

#endif
