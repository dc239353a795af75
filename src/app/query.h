/* SPDX-License-Identifier: MIT
 *
 * Query parameters: which integrations a client wants, and which of their members. */
#ifndef APP_QUERY_H
#define APP_QUERY_H

#include "app/call.h"
#include "model/integration.h"

enum {
    QUERY_LIMIT_MAX = 1000,
    QUERY_WAIT_MAX_S = 25,          /* nginx waits 30 s */
    QUERY_ETAG = INTEGRATION_FIELDS /* the entity tag, a member returned only if it is named */
};

/* Each kind of query has its parameters; others are ignored. A bit set. */
enum query_kind { QUERY_OF_LIST = 1, QUERY_OF_ONE = 2, QUERY_OF_HISTORY = 4, QUERY_OF_CHANGES = 8 };

/* What clients call the operations of changes in the log; none has the others. */
enum { QUERY_OPERATIONS = STORE_REMOVE + 1 };
extern const struct str query_operation_names[QUERY_OPERATIONS];

struct query {
    uint64_t limit; /* 0: unlimited */
    uint64_t after; /* only integrations with a higher sequence number; in a history, only versions
                       with a lower revision; 0: all */
    bool has_status;
    bool status;
    struct str text; /* case-folded; must occur in the name or the description; empty: any */
    struct str *ids;
    size_t ids_len; /* 0: any id */
    bool has_cursor;
    struct store_version cursor; /* only changes after this version of the store */
    uint64_t wait_s;             /* how long to wait for one */
    struct str provider;         /* only integrations of this one; empty: of any */
    unsigned operations;         /* only these changes, a bit set of enum store_operation; 0: all */
    unsigned fields; /* bit set of enum integration_field and QUERY_ETAG; 0: all members */
};

/* Parses the request's query into *query, which the caller has zeroed; unknown parameters are
 * ignored. What is wrong with it is added to the session's faults. */
void query_parse(const struct call *call, enum query_kind kind, struct query *query);

/* Reads a cursor that stands in `place` of the request; likewise. */
void query_take_cursor(const struct call *call, const char *place, struct str value,
                       struct query *query);

/* Whether nothing is wrong; else the request has been answered (422). */
MUST_CHECK bool query_is_right(const struct call *call);

/* Both query_parse and query_is_right. */
MUST_CHECK bool query_read(const struct call *call, enum query_kind kind, struct query *query);

/* Whether the query selects an integration. `arena` and `scratch` are temporary storage, which the
 * caller may reuse afterwards. */
bool query_wants(const struct query *query, const struct store_record *record, struct arena *arena,
                 struct buffer *scratch);

/* Appends a document, or only its selected members. */
void query_append(const struct call *call, const struct query *query,
                  const struct store_record *record, struct arena *arena, struct buffer *out);

/* Whether a page ends after `count` items: the client wants no more, or it has become so long that
 * more would take unbounded memory. */
bool query_page_is_full(const struct query *query, uint64_t count, const struct buffer *body);

/* Append and read a revision as the caller may know it: a number or, if its key is bound to ids, a
 * text that is a number to the service alone. query_read_revision returns false if `value` is none
 * of these. */
void query_append_revision(const struct call *call, uint64_t revision, struct buffer *out);
MUST_CHECK bool query_read_revision(const struct call *call, const struct json_value *value,
                                    uint64_t *revision);

/* Appends a version of the store as the caller may know it, from which the feed of changes goes
 * on. */
void query_append_cursor(const struct call *call, struct store_version version, struct buffer *out);

/* Adds a Link header to the next page, which starts after the sequence number, or the revision,
 * `last` (RFC 8288). */
void query_tell_next(const struct call *call, enum query_kind kind, uint64_t last);

#endif
