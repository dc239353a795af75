/* SPDX-License-Identifier: MIT
 *
 * What a client asks for in a query: which integrations, and which of their members. */
#ifndef APP_QUERY_H
#define APP_QUERY_H

#include "app/call.h"
#include "model/integration.h"

enum {
    QUERY_LIMIT_MAX = 1000,
    QUERY_ETAG = INTEGRATION_FIELDS /* a member that is asked for by name only: the entity tag */
};

/* Of one integration only `fields` is read. */
enum query_kind { QUERY_OF_LIST, QUERY_OF_ONE };

struct query {
    uint64_t limit; /* 0: no limit */
    uint64_t after; /* a sequence number: only what comes behind it; 0: all */
    bool has_status;
    bool status;
    struct str text; /* folded; to be in the name or the description; empty: any */
    struct str *ids;
    size_t ids_len;  /* 0: any id */
    unsigned fields; /* a set of bits, by enum integration_field and QUERY_ETAG; 0: all members */
};

/* Reads the request's query into *query, which is zeroed; other parameters are left alone. False:
 * it has been answered (422). */
MUST_CHECK bool query_read(const struct call *call, enum query_kind kind, struct query *query);

/* Whether an integration is among those asked for. `arena` and `scratch` are the caller's to keep,
 * or to reset: nothing of them is needed later. */
bool query_wants(const struct query *query, const struct store_record *record, struct arena *arena,
                 struct buffer *scratch);

/* Appends a document, or the members of it that are asked for. */
void query_append(const struct query *query, const struct store_record *record, struct arena *arena,
                  struct buffer *out);

/* Adds the Link to the page that follows the sequence number `last` (RFC 8288). */
void query_tell_next(const struct call *call, uint64_t last);

#endif
