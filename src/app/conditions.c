/* SPDX-License-Identifier: MIT */
#include "app/conditions.h"

#include "app/answer.h"

#define NEVER UINT64_MAX /* a revision that nothing has */

void conditions_tell(const struct call *call, uint64_t revision, uint64_t updated_us)
{
    struct app_session *session = call->session;
    struct buffer tag = buffer_on(session->tag_text, sizeof session->tag_text);
    struct buffer date = buffer_on(session->modified_text, sizeof session->modified_text);
    buffer_append_char(&tag, '"');
    buffer_append_u64(&tag, revision);
    buffer_append_char(&tag, '"');
    http_response_header(&session->response, STR("ETag"), buffer_str(&tag));
    /* A cache would else guess how long it may keep what has a date (RFC 9111, section 4.2.2). */
    http_response_header(&session->response, STR("Cache-Control"), STR("private, no-cache"));
    if (updated_us == 0)
        return;
    http_append_date(&date, updated_us);
    http_response_header(&session->response, STR("Last-Modified"), buffer_str(&date));
}

/* The revision that a tag names; NEVER: none of ours. */
static uint64_t revision_of(const struct http_tag *tag)
{
    uint64_t revision;
    bool ours =
        str_to_u64(tag->opaque, &revision) && (tag->opaque.data[0] != '0' || tag->opaque.len == 1);
    return ours ? revision : NEVER;
}

/* Whether a list of tags has a revision; by weak comparison, or strong (section 8.8.3.2). */
static bool names(struct str list, uint64_t revision, bool weak)
{
    struct http_tag tag;
    while (http_next_tag(&list, &tag))
        if (revision_of(&tag) == revision && (weak || !tag.weak))
            return true;
    return false;
}

uint64_t conditions_known(const struct http_request *request)
{
    struct str list = request->if_none_match;
    struct http_tag tag;
    return http_next_tag(&list, &tag) ? revision_of(&tag) : 0;
}

/* Whether something has been changed since a date; true as well if that is none. */
static bool changed_since(struct str date, uint64_t updated_us)
{
    int64_t seconds;
    return !http_read_date(date, &seconds) || (int64_t)(updated_us / 1000000) > seconds;
}

bool conditions_has(const struct call *call, uint64_t revision, uint64_t updated_us)
{
    const struct http_request *request = call->request;
    if (request->if_none_match.len == 0)
        return updated_us > 0 && !changed_since(request->if_modified_since, updated_us);
    return http_is_any(request->if_none_match) || names(request->if_none_match, revision, true);
}

/* Whether a change is conditional by date. */
static bool has_date(const struct http_request *request)
{
    int64_t seconds;
    return request->if_match.len == 0 && http_read_date(request->if_unmodified_since, &seconds);
}

/* Whether what is there fulfills all conditions of a change. */
static bool holds(const struct http_request *request, const struct store_record *record)
{
    bool wanted = request->if_match.len == 0 || http_is_any(request->if_match) ||
                  names(request->if_match, record->revision, false);
    bool unwanted =
        http_is_any(request->if_none_match) ||
        (request->if_none_match.len > 0 && names(request->if_none_match, record->revision, true)) ||
        (has_date(request) && changed_since(request->if_unmodified_since, record->updated_us));
    return wanted && !unwanted;
}

/* Conditions that one revision cannot express are held against what is there; what changes then
 * fails them. */
static bool look(const struct call *call, uint64_t *if_revision)
{
    struct store_record record;
    struct buffer *body = &call->session->response.body;
    enum store_status status = call_get_to_change(call, call->id, true, &record, body);
    buffer_reset(body, SIZE_MAX);
    /* That there is none the change itself will say, unless somebody is faster. */
    bool fulfilled = status == STORE_OK && holds(call->request, &record);
    *if_revision = fulfilled ? record.revision : NEVER;
    if (status != STORE_OK && status != STORE_NOT_FOUND)
        answer_failure(call, status);
    return status == STORE_OK || status == STORE_NOT_FOUND;
}

static bool read_if_match(const struct call *call, uint64_t *if_revision)
{
    struct str list = call->request->if_match;
    struct http_tag tag;
    if (list.len == 0 || http_is_any(list))
        return true;
    *if_revision = NEVER;
    if (!http_next_tag(&list, &tag))
        return true; /* it is no tag: nothing matches */
    if (list.len > 0)
        return look(call, if_revision);
    uint64_t revision = revision_of(&tag);
    if (!tag.weak && revision != 0) /* the store's before its first change */
        *if_revision = revision;
    return true;
}

bool conditions_read(const struct call *call, struct store_change *change)
{
    const struct http_request *request = call->request;
    if (call->session->app->config->require_if_match && request->if_match.len == 0 &&
        request->if_none_match.len == 0) {
        answer_error(call, 428,
                     STR("If-Match is required: read the integration, and send its ETag"));
        return false;
    }
    if (http_is_any(request->if_none_match) && request->if_match.len == 0 &&
        change->operation == STORE_REPLACE) {
        change->operation = STORE_CREATE;
        return true;
    }
    if (request->if_none_match.len > 0 || has_date(request))
        return look(call, &change->if_revision);
    return read_if_match(call, &change->if_revision);
}
