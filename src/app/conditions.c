/* SPDX-License-Identifier: MIT */
#include "app/conditions.h"

#include "app/answer.h"
#include "base/clock.h"

/* A version that nothing ever has. */
static const struct store_version never = {UINT64_MAX, UINT64_MAX};

void conditions_append_tag(const struct call *call, struct buffer *buffer,
                           struct store_version version)
{
    const struct app_session *session = call->session;
    if (session->grant.ids != NULL) {
        veil_append(&session->veil, (struct veil_numbers){version.revision, version.tag}, buffer);
        return;
    }
    buffer_append_u64(buffer, version.revision);
    buffer_append_char(buffer, '-');
    buffer_append_u64(buffer, version.tag);
}

void conditions_tell(const struct call *call, struct store_version version, uint64_t updated_us)
{
    struct app_session *session = call->session;
    struct buffer tag = buffer_on(session->tag_text, sizeof session->tag_text);
    struct buffer date = buffer_on(session->modified_text, sizeof session->modified_text);
    if (conditions_is_version(version)) {
        buffer_append_char(&tag, '"');
        conditions_append_tag(call, &tag, version);
        buffer_append_char(&tag, '"');
        http_response_header(&session->response, STR("ETag"), buffer_str(&tag));
    }
    answer_privately(call);
    if (updated_us == 0)
        return;
    /* After the clock was set back, it must not be later than Date (RFC 9110, section 8.8.2.1). */
    uint64_t now_us = clock_wall_us();
    http_append_date(&date, updated_us < now_us ? updated_us : now_us);
    http_response_header(&session->response, STR("Last-Modified"), buffer_str(&date));
}

/* Removes what a server that compresses appends to a tag. */
static struct str without_coding(struct str opaque)
{
    static const struct str codings[] = {STR_INIT("-gzip"), STR_INIT("-br"), STR_INIT("-zstd"),
                                         STR_INIT("-deflate")};
    for (size_t i = 0; i < ARRAY_LEN(codings); i++)
        if (str_has_suffix(opaque, codings[i]))
            return (struct str){opaque.data, opaque.len - codings[i].len};
    return opaque;
}

/* Reads a number as we write it. */
static bool read_number(struct str digits, uint64_t *number)
{
    return str_to_u64(digits, number) && (digits.data[0] != '0' || digits.len == 1);
}

static struct store_version unveil(const struct veil *veil, struct str tag)
{
    struct veil_numbers numbers;
    return veil_read(veil, tag, &numbers) ? (struct store_version){numbers.first, numbers.second}
                                          : never;
}

static struct store_version read_plain(struct str tag)
{
    struct store_version version;
    struct str revision;
    bool ours = str_split(&tag, '-', &revision) && read_number(revision, &version.revision) &&
                read_number(tag, &version.tag) && version.tag != 0;
    return ours ? version : never;
}

struct store_version conditions_version(const struct call *call, struct str opaque)
{
    struct str tag = without_coding(opaque);
    return call->session->grant.ids != NULL ? unveil(&call->session->veil, tag) : read_plain(tag);
}

bool conditions_is_version(struct store_version version)
{
    return !store_version_equal(version, never);
}

struct store_version conditions_list_version(const struct call *call, struct store_version version)
{
    return call->session->grant.ids == NULL ? version : never;
}

/* Whether a list of tags contains a version. */
static bool names(const struct call *call, struct str list, struct store_version version)
{
    struct http_tag tag;
    while (conditions_is_version(version) && http_next_tag(&list, &tag))
        if (store_version_equal(conditions_version(call, tag.opaque), version))
            return true;
    return false;
}

struct store_version conditions_claimed(const struct http_request *request)
{
    struct str list = request->if_none_match;
    struct http_tag tag;
    return http_next_tag(&list, &tag) ? read_plain(without_coding(tag.opaque))
                                      : (struct store_version){0};
}

struct store_version conditions_known(const struct call *call)
{
    struct str list = call->request->if_none_match;
    struct http_tag tag;
    return http_next_tag(&list, &tag) ? conditions_version(call, tag.opaque)
                                      : (struct store_version){0};
}

/* Whether something has been changed since a date; also true if the date is invalid. */
static bool changed_since(struct str date, uint64_t updated_us)
{
    int64_t seconds;
    return !http_read_date(date, &seconds) || (int64_t)(updated_us / 1000000) > seconds;
}

/* Whether If-None-Match names the version. */
static bool is_unwanted(const struct call *call, struct store_version version)
{
    struct str list = call->request->if_none_match;
    return http_is_any(list) || names(call, list, version);
}

bool conditions_has(const struct call *call, struct store_version version, uint64_t updated_us)
{
    const struct http_request *request = call->request;
    if (request->if_none_match.len == 0)
        return updated_us > 0 && !changed_since(request->if_modified_since, updated_us);
    return is_unwanted(call, version);
}

/* Whether If-Match, if there is one, names the version. */
static bool is_wanted(const struct call *call, struct store_version version)
{
    struct str list = call->request->if_match;
    return list.len == 0 || http_is_any(list) || names(call, list, version);
}

/* Whether If-Unmodified-Since counts: no If-Match is given, and it is a date. */
static bool has_date(const struct http_request *request)
{
    int64_t seconds;
    return request->if_match.len == 0 && http_read_date(request->if_unmodified_since, &seconds);
}

/* Whether If-Match and If-Unmodified-Since allow a request for what was last changed at updated_us
 * (0: unknown). */
static bool is_allowed(const struct call *call, struct store_version version, uint64_t updated_us)
{
    const struct http_request *request = call->request;
    return is_wanted(call, version) && (updated_us == 0 || !has_date(request) ||
                                        !changed_since(request->if_unmodified_since, updated_us));
}

/* Whether the current document satisfies all conditions of a change. */
static bool holds(const struct call *call, const struct store_record *record)
{
    struct store_version version = store_record_version(record);
    return is_allowed(call, version, record->updated_us) && !is_unwanted(call, version);
}

static bool is_malformed(struct str list)
{
    struct http_tag tag;
    if (http_is_any(list))
        return false;
    while (http_next_tag(&list, &tag))
        ;
    return list.len > 0;
}

static void answer_unmet(const struct call *call, struct str otherwise)
{
    const struct http_request *request = call->request;
    struct str why = otherwise;
    if (is_malformed(request->if_match))
        why = STR("If-Match names no entity tag: send the ETag as it was answered, in its quotes");
    else if (request->if_match.len == 0 && http_is_any(request->if_none_match))
        why = request->method == HTTP_POST ? STR("If-None-Match is *, but the list exists: to "
                                                 "create an integration so, use PUT")
                                           : STR("If-None-Match is *, but the integration exists");
    answer_error(call, 412, why);
}

bool conditions_refuse(const struct call *call, struct store_version version, uint64_t updated_us)
{
    if (is_allowed(call, version, updated_us))
        return false;
    answer_unmet(call, STR("it is not the one that the condition asks for"));
    return true;
}

void conditions_answer_changed(const struct call *call)
{
    answer_unmet(call, call->request->method == HTTP_POST
                           ? STR("the list has been changed meanwhile")
                           : STR("the integration has been changed meanwhile"));
}

bool conditions_read_list(const struct call *call, struct store_version *version,
                          const struct store_version **if_store)
{
    const struct http_request *request = call->request;
    *if_store = NULL;
    if ((request->if_match.len == 0 || http_is_any(request->if_match)) &&
        request->if_none_match.len == 0)
        return true;
    enum store_status status = service_version(&call->session->service, version);
    if (status != STORE_OK) {
        answer_failure(call, status);
        return false;
    }
    *version = conditions_list_version(call, *version);
    if (conditions_is_version(*version))
        *if_store = version;
    if (is_wanted(call, *version) && !is_unwanted(call, *version))
        return true;
    conditions_tell(call, *version, 0);
    answer_unmet(call, STR("the list is not the one that the condition asks for"));
    return false;
}

/* Checks conditions that a single version cannot express against the current document. If it
 * satisfies them, its version becomes the condition of the change, so that a concurrent change
 * makes it fail. */
static bool look(const struct call *call, struct store_version *if_version)
{
    struct store_record record;
    struct buffer *body = &call->session->response.body;
    enum store_status status = call_get_to_change(call, call->id, true, &record, body);
    buffer_reset(body, SIZE_MAX);
    /* A missing document is reported by the change itself, or by `never` if somebody creates it
     * meanwhile. */
    bool fulfilled = status == STORE_OK && holds(call, &record);
    *if_version = fulfilled ? store_record_version(&record) : never;
    if (status != STORE_OK && status != STORE_NOT_FOUND)
        answer_failure(call, status);
    return status == STORE_OK || status == STORE_NOT_FOUND;
}

static bool read_if_match(const struct call *call, struct store_version *if_version)
{
    struct str list = call->request->if_match;
    struct http_tag tag;
    if (list.len == 0 || http_is_any(list))
        return true;
    *if_version = never;
    if (!http_next_tag(&list, &tag))
        return true; /* not a valid tag: nothing matches */
    if (list.len > 0)
        return look(call, if_version);
    struct store_version version = conditions_version(call, tag.opaque);
    /* Revision 0 is the list's before the first change, never that of a document. */
    if (version.revision != 0)
        *if_version = version;
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
        return look(call, &change->if_version);
    return read_if_match(call, &change->if_version);
}
