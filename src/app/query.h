/* SPDX-License-Identifier: MIT
 *
 * Query parameters: which integrations a client wants, and which of their members. */
#ifndef APP_QUERY_H
#define APP_QUERY_H

#include "app/call.h"
#include "model/integration.h"

enum {
    QUERY_LIMIT_MAX = 1000,
    QUERY_ETAG = INTEGRATION_FIELDS /* the entity tag, a member returned only if it is named */
};

/* For a single integration only `fields` is considered. */
enum query_kind { QUERY_OF_LIST, QUERY_OF_ONE };

struct query {
    uint64_t limit; /* 0: unlimited */
    uint64_t after; /* only integrations with a higher sequence number; 0: all */
    bool has_status;
    bool status;
    struct str text; /* case-folded; must occur in the name or the description; empty: any */
    struct str *ids;
    size_t ids_len;  /* 0: any id */
    unsigned fields; /* bit set of enum integration_field and QUERY_ETAG; 0: all members */
};

/* Parses the request's query into *query, which the caller has zeroed; unknown parameters are
 * ignored. Returns false if the request has been answered (422). */
MUST_CHECK bool query_read(const struct call *call, enum query_kind kind, struct query *query);

/* Whether the query selects an integration. `arena` and `scratch` are temporary storage, which the
 * caller may reuse afterwards. */
bool query_wants(const struct query *query, const struct store_record *record, struct arena *arena,
                 struct buffer *scratch);

/* Appends a document, or only its selected members. */
void query_append(const struct call *call, const struct query *query,
                  const struct store_record *record, struct arena *arena, struct buffer *out);

/* Adds a Link header to the next page, which starts after the sequence number `last` (RFC 8288). */
void query_tell_next(const struct call *call, uint64_t last);

#endif
