/* SPDX-License-Identifier: MIT
 *
 * What the service offers beside the contract: conditions, partial changes, pages, batches, problem
 * details. In one process, on the embedded store. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "harness.h"
#include "stores.h"

static struct harness harness;

#define DOCUMENT(id, name)                                                                         \
    "{\"id\":\"" id "\",\"name\":\"" name                                                          \
    "\",\"description\":\"d\",\"status\":false,\"settings\":{}}"
#define DETAIL(text) "{\"detail\":\"" text "\"}"

static void open_service(void)
{
    harness_open(&harness, &store_lmdb, NULL);
}

static void close_service(void)
{
    harness_close(&harness);
}

TestSuite(api, .init = open_service, .fini = close_service);

/* The tests write the tag of revision 7 as "7"; the version's tag, which belongs behind it, is
 * noted from the answers. */
static char tags[16][44];

static void note_tag(struct str tag)
{
    size_t revision = tag.len > 2 ? strtoul(tag.data + 1, NULL, 10) : ARRAY_LEN(tags);
    if (revision < ARRAY_LEN(tags))
        snprintf(tags[revision], sizeof tags[0], "%.*s", (int)tag.len - 2, tag.data + 1);
}

/* Notes the tags in the text of an answer. */
static void note_tags_in(struct str body)
{
    static const char lead[] = "\"etag\":\"\\\"";
    const char *at = body.data;
    while (at != NULL &&
           (at = memmem(at, (size_t)(body.data + body.len - at), lead, sizeof lead - 1)) != NULL) {
        at += sizeof lead - 2;
        note_tag((struct str){at, strcspn(at + 1, "\\") + 2});
    }
}

/* Appends `text` with the whole tag in place of each number that follows `lead`, a quote. */
static const char *complete(struct buffer *out, const char *text, const char *lead)
{
    if (text == NULL)
        return NULL;
    while (*text != '\0') {
        char *end = (char *)text;
        unsigned long revision = ARRAY_LEN(tags);
        if (str_has_suffix(buffer_str(out), str_from(lead)) && *text >= '0' && *text <= '9')
            revision = strtoul(text, &end, 10);
        if (end == text + 1 && revision < ARRAY_LEN(tags) && (*end == *lead || *end == '-')) {
            bool known = tags[revision][0] != '\0';
            buffer_append_char(out, *text);
            buffer_append_str(out, known ? str_from(tags[revision] + 1) : STR("-1"));
            text = end;
        } else {
            buffer_append_char(out, *text++);
        }
    }
    buffer_append_char(out, '\0');
    return out->data;
}

/* A request with what this file's tests vary. */
struct sent {
    const char *method;
    const char *target;
    const char *body;
    const char *type; /* NULL: application/json, if there is a body */
    const char *if_match;
    const char *if_none_match;
    const char *accept;
    const char *if_modified_since;
    const char *if_unmodified_since;
};

static const struct http_response *send(const struct sent *sent)
{
    struct buffer if_match = {0};
    struct buffer if_none_match = {0};
    struct buffer body = {0};
    struct http_request request = {
        .started_ns = clock_steady_ns(),
        .method = http_method_from(str_from(sent->method)),
        .target = str_from(sent->target),
        .body = str_from(complete(&body, sent->body, "\\\"")),
        .content_type = str_from(sent->type),
        .if_match = str_from(complete(&if_match, sent->if_match, "\"")),
        .if_none_match = str_from(complete(&if_none_match, sent->if_none_match, "\"")),
        .accept = str_from(sent->accept),
        .if_modified_since = str_from(sent->if_modified_since),
        .if_unmodified_since = str_from(sent->if_unmodified_since)};
    if (sent->type == NULL && sent->body != NULL)
        request.content_type = STR("application/json");
    const struct http_response *response = harness_call(&harness, &request);
    note_tag(harness_header(response, "ETag"));
    note_tags_in(buffer_str(&response->body));
    buffer_release(&if_match);
    buffer_release(&if_none_match);
    buffer_release(&body);
    return response;
}

/* Whether an answer has the tag of this revision ("": none). */
static bool has_tag(const struct http_response *response, const char *tag)
{
    struct str got = harness_header(response, "ETag");
    size_t len = strlen(tag);
    if (len == 0)
        return got.len == 0;
    return got.len > len && memcmp(got.data, tag, len - 1) == 0 && got.data[len - 1] == '-';
}

/* Holds an answer against a status, a body (NULL: any) and an ETag (NULL: any, "": none). */
static void expect_sent(const struct sent *sent, unsigned status, const char *body, const char *tag)
{
    const struct http_response *response = send(sent);
    struct buffer expected = {0};
    struct str got = harness_header(response, "ETag");
    cr_expect(response->status == status, "%s %s %s: %u %.*s", sent->method, sent->target,
              sent->body, response->status, (int)response->body.len, response->body.data);
    cr_expect(body == NULL || str_equal(buffer_str(&response->body),
                                        str_from(complete(&expected, body, "\\\""))),
              "%s %s %s: %.*s", sent->method, sent->target, sent->body, (int)response->body.len,
              response->body.data);
    cr_expect(tag == NULL || has_tag(response, tag), "%s %s: ETag %.*s", sent->method, sent->target,
              (int)got.len, got.data);
    buffer_release(&expected);
}

#define TO(method_, target_) .method = (method_), .target = (target_)
#define EXPECT(status, body, tag, ...) expect_sent(&(struct sent){__VA_ARGS__}, status, body, tag)

/* ---- conditions ---- */

Test(api, every_answer_with_an_integration_has_its_tag)
{
    EXPECT(200, "[]", "\"0\"", TO("GET", "/integrations"));
    EXPECT(201, DOCUMENT("a", "1"), "\"1\"", TO("POST", "/integrations"),
           .body = DOCUMENT("a", "1"));
    EXPECT(200, DOCUMENT("a", "1"), "\"1\"", TO("GET", "/integrations/a"));
    EXPECT(200, DOCUMENT("a", "2"), "\"2\"", TO("PUT", "/integrations/a"),
           .body = DOCUMENT("a", "2"));
    EXPECT(201, NULL, "\"3\"", TO("POST", "/admin/integrations/"), .body = DOCUMENT("b", "1"));
    EXPECT(200, NULL, "\"2\"", TO("GET", "/admin/integrations/a"));
    EXPECT(200, DOCUMENT("a", "3"), "\"4\"", TO("PATCH", "/integrations/a"),
           .body = "{\"name\":\"3\"}");
    EXPECT(200, NULL, "\"4\"", TO("GET", "/integrations/a?fields=id"));
    EXPECT(200, NULL, "\"4\"", TO("GET", "/integrations"));
    EXPECT(204, "", "", TO("DELETE", "/integrations/b"));
    EXPECT(200, NULL, "\"5\"", TO("GET", "/integrations?limit=1"));
    EXPECT(404, NULL, "", TO("GET", "/integrations/b"));
}

Test(api, tells_when_and_where)
{
    const struct http_response *response = send(
        &(struct sent){TO("POST", "/admin/integrations/"), .body = DOCUMENT("\xC3\xA9/%", "1")});
    struct str location = harness_header(response, "Location");
    struct str modified = harness_header(response, "Last-Modified");
    cr_expect(str_equal(location, STR("/admin/integrations/%C3%A9%2F%25")), "%.*s",
              (int)location.len, location.data);
    cr_expect(modified.len == 29 && modified.data[3] == ',' &&
              str_equal((struct str){modified.data + 26, 3}, STR("GMT")));
    EXPECT(200, NULL, "\"1\"", TO("GET", "/integrations/%C3%A9%2F%25"));
    cr_expect(harness_header(&harness.session.response, "Last-Modified").len == 29);
    EXPECT(201, NULL, "\"2\"", TO("PUT", "/integrations/new/"), .body = DOCUMENT("new", "1"),
           .if_none_match = "*");
    cr_expect(
        str_equal(harness_header(&harness.session.response, "Location"), STR("/integrations/new")));
    struct http_request request = {.started_ns = clock_steady_ns(),
                                   .method = HTTP_POST,
                                   .prefix = STR("/~me/api"),
                                   .target = STR("/integrations?x\"<y"),
                                   .body = STR(DOCUMENT("c", "1"))};
    response = harness_call(&harness, &request);
    cr_expect(str_equal(harness_header(response, "Location"), STR("/~me/api/integrations/c")));
    request.method = HTTP_GET;
    request.target = STR("/integrations?limit=1&x\"<y>=\xC3\xA9&after=0");
    struct str link = harness_header(harness_call(&harness, &request), "Link");
    cr_expect(str_equal(link, STR("</~me/api/integrations?limit=1&after=1>; rel=\"next\"")), "%.*s",
              (int)link.len, link.data);
}

Test(api, reads_what_the_client_has_not)
{
    EXPECT(200, "[]", "\"0\"", TO("GET", "/integrations"), .if_none_match = "\"1\"");
    EXPECT(304, "", "\"0\"", TO("GET", "/integrations"), .if_none_match = "\"0\"");
    send(&(struct sent){TO("POST", "/integrations"), .body = DOCUMENT("a", "1")});
    send(&(struct sent){TO("POST", "/integrations"), .body = DOCUMENT("b", "1")});
    static const struct {
        const char *target;
        const char *condition;
        unsigned status;
    } rows[] = {
        {"/integrations/a", "\"1\"", 304},
        {"/integrations/a", "W/\"1\"", 304},
        {"/integrations/a", " \"7\" , W/\"x,y\",\"1\"", 304},
        {"/integrations/a", "*", 304},
        {"/integrations/a", "\"2\"", 200},
        {"/integrations/a", "\"01\"", 200},
        {"/integrations/a", "1", 200},
        {"/integrations/a", "\"1", 200},
        {"/integrations/a", "\"1\"x", 200},
        {"/integrations/a", "\"18446744073709551617\"", 200},
        {"/integrations/a", "\"\"", 200},
        {"/integrations/a?fields=name", "\"1\"", 304},
        {"/integrations", "\"2\"", 304},
        {"/integrations", "\"1\"", 200},
        {"/integrations", "\"3\",\"2\"", 304},
        {"/integrations?q=nothing&limit=1", "\"2\"", 304},
        {"/integrations?id=b", "*", 304},
        {"/integrations/none", "*", 404},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        EXPECT(rows[i].status, rows[i].status == 304 ? "" : NULL, NULL, TO("GET", rows[i].target),
               .if_none_match = rows[i].condition);
        cr_expect((harness.session.response.content_type.len > 0) == (rows[i].status != 304));
    }
    EXPECT(304, "", "\"1\"", TO("HEAD", "/integrations/a"), .if_none_match = "\"1\"");
}

Test(api, changes_under_conditions)
{
    static const char changed[] = DETAIL("the integration has been changed meanwhile");
    static const struct {
        const char *if_match;
        const char *if_none_match;
        bool made; /* on the integration with revision 2 */
    } rows[] = {
        {"\"2\"", NULL, true},        {"*", NULL, true},
        {"\"9\", \"2\"", NULL, true}, {"\"1\"", NULL, false},
        {"W/\"2\"", NULL, true},      {"W/\"1\",W/\"2\"", NULL, true},
        {"\"2-gzip\"", NULL, true},   {"W/\"2-br\"", NULL, true},
        {"\"2-zip\"", NULL, false},   {"\"2-\"", NULL, false},
        {"\"-gzip\"", NULL, false},   {"\"02\"", NULL, false},
        {"\"1-gzip\"", NULL, false},  {"\"x\"", NULL, false},
        {"\"0\"", NULL, false},       {NULL, "\"2-gzip\"", false},
        {NULL, "\"2\"", false},       {NULL, "W/\"2\"", false},
        {NULL, "\"1\"", true},        {"\"2\"", "\"1\"", true},
        {"\"2\"", "\"2\"", false},    {"\"2\"", "*", false},
        {"\"1\"", "\"1\"", false},    {"\"18446744073709551615\"", NULL, false},
    };
    static const char *const methods[] = {"PUT", "PATCH", "DELETE"};
    static const char *const bodies[] = {DOCUMENT("a", "2"), "{\"name\":\"2\"}", NULL};
    static const unsigned successes[] = {200, 200, 204};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t j = 0; j < ARRAY_LEN(methods); j++) {
            EXPECT(201, NULL, "\"1\"", TO("POST", "/integrations"), .body = DOCUMENT("b", "1"));
            EXPECT(201, NULL, "\"2\"", TO("POST", "/integrations"), .body = DOCUMENT("a", "1"));
            EXPECT(rows[i].made ? successes[j] : 412,
                   rows[i].made ? bodies[j] == NULL ? "" : DOCUMENT("a", "2") : changed,
                   !rows[i].made ? "\"2\""
                   : j == 2      ? ""
                                 : "\"3\"",
                   TO(methods[j], "/integrations/a"), .body = bodies[j],
                   .if_match = rows[i].if_match, .if_none_match = rows[i].if_none_match);
            EXPECT(404, DETAIL("not found"), "", TO(methods[j], "/integrations/none"),
                   .body = j == 0 ? DOCUMENT("none", "1") : bodies[j],
                   .if_match = rows[i].if_match != NULL ? rows[i].if_match : "\"1\"");
            close_service();
            open_service();
        }
}

Test(api, says_what_is_no_tag)
{
    static const char *const lists[] = {"1", "\"2\", 1", "\"1"};
    EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = DOCUMENT("a", "1"));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        EXPECT(
            412,
            DETAIL("If-Match names no entity tag: send the ETag as it was answered, in its quotes"),
            "\"1\"", TO("DELETE", "/integrations/a"), .if_match = lists[i]);
    EXPECT(412, DETAIL("If-None-Match is *, but the integration exists"), "\"1\"",
           TO("PUT", "/integrations/a"), .body = DOCUMENT("a", "1"), .if_none_match = "*");
}

Test(api, understands_dates)
{
    static const char *const past[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                       "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994"};
    static const char *const none[] = {"", "yesterday", "Sun, 06 Nov 1994 08:49:37 GMT+1"};
    static const char future[] = "Tue, 31 Dec 2199 23:59:59 GMT";
    EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = DOCUMENT("a", "1"));
    struct str modified = harness_header(&harness.session.response, "Last-Modified");
    char now[40] = "";
    memcpy(now, modified.data, modified.len);
    EXPECT(304, "", "\"1\"", TO("GET", "/integrations/a"), .if_modified_since = now);
    EXPECT(304, "", "\"1\"", TO("GET", "/integrations/a"), .if_modified_since = future);
    EXPECT(200, NULL, NULL, TO("GET", "/integrations"), .if_modified_since = future);
    EXPECT(200, NULL, NULL, TO("GET", "/integrations/a"), .if_modified_since = future,
           .if_none_match = "\"7\"");
    for (size_t i = 0; i < 3; i++) {
        EXPECT(200, NULL, NULL, TO("GET", "/integrations/a"), .if_modified_since = past[i]);
        EXPECT(200, NULL, NULL, TO("GET", "/integrations/a"), .if_modified_since = none[i]);
        EXPECT(412, NULL, NULL, TO("PUT", "/integrations/a"), .body = DOCUMENT("a", "2"),
               .if_unmodified_since = past[i]);
        EXPECT(412, NULL, NULL, TO("PATCH", "/integrations/a"), .body = "{}",
               .if_unmodified_since = past[i]);
        EXPECT(412, NULL, NULL, TO("DELETE", "/integrations/a"), .if_unmodified_since = past[i]);
        EXPECT(200, NULL, NULL, TO("PATCH", "/integrations/a"), .body = "{}",
               .if_unmodified_since = none[i]);
        EXPECT(200, NULL, NULL, TO("PATCH", "/integrations/a"), .body = "{}", .if_match = "*",
               .if_unmodified_since = past[i]);
    }
    EXPECT(200, NULL, NULL, TO("PUT", "/integrations/a"), .body = DOCUMENT("a", "2"),
           .if_unmodified_since = future);
}

Test(api, creates_by_put_if_asked)
{
    EXPECT(404, NULL, NULL, TO("PUT", "/integrations/a"), .body = DOCUMENT("a", "1"));
    EXPECT(422, NULL, NULL, TO("PUT", "/integrations/a"), .body = "{}", .if_none_match = "*");
    EXPECT(201, DOCUMENT("a", "1"), "\"1\"", TO("PUT", "/integrations/a"),
           .body = DOCUMENT("a", "1"), .if_none_match = "*");
    EXPECT(412, NULL, "\"1\"", TO("PUT", "/integrations/a"), .body = DOCUMENT("a", "2"),
           .if_none_match = "*");
    EXPECT(400, NULL, "", TO("POST", "/integrations"), .body = DOCUMENT("a", "2"));
    EXPECT(412, NULL, "\"1\"", TO("DELETE", "/integrations/a"), .if_none_match = "*");
}

Test(api, checks_conditions_of_reads)
{
    static const char past[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const char future[] = "Tue, 31 Dec 2199 23:59:59 GMT";
    static const char other[] = DETAIL("it is not the one that the condition asks for");
    static const struct {
        const char *target;
        const char *if_match;
        const char *if_unmodified_since;
        unsigned status;
    } rows[] = {
        {"/integrations/a", "\"1\"", NULL, 200},    {"/integrations/a", "*", NULL, 200},
        {"/integrations/a", "\"9\"", NULL, 412},    {"/integrations/a", NULL, past, 412},
        {"/integrations/a", NULL, future, 200},     {"/integrations/a", "\"1\"", past, 200},
        {"/integrations/none", "\"9\"", NULL, 404}, {"/integrations", "\"1\"", NULL, 200},
        {"/integrations", "\"9\"", NULL, 412},      {"/integrations", NULL, past, 200},
    };
    EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = DOCUMENT("a", "1"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int head = 0; head < 2; head++)
            EXPECT(rows[i].status, rows[i].status == 412 && !head ? other : NULL,
                   rows[i].status == 404 ? "" : "\"1\"", TO(head ? "HEAD" : "GET", rows[i].target),
                   .if_match = rows[i].if_match,
                   .if_unmodified_since = rows[i].if_unmodified_since);
    /* If-Match comes first (RFC 9110, section 13.2.2). */
    EXPECT(412, other, "\"1\"", TO("GET", "/integrations/a"), .if_match = "\"9\"",
           .if_none_match = "\"1\"");
}

/* A POST adds to the list: its conditions are about the list's tag. */
Test(api, checks_conditions_of_the_list)
{
    static const char batch[] =
        "{\"operations\":[{\"op\":\"create\",\"integration\":" DOCUMENT("b", "1") "}]}";
    static const char *const targets[] = {"/integrations", "/integrations:batch"};
    static const struct {
        const char *if_match;
        const char *if_none_match;
        bool made;
    } rows[] = {
        {"\"1\"", NULL, true},  {"*", NULL, true},         {NULL, "\"7\"", true},
        {"\"7\"", NULL, false}, {"1", NULL, false},        {NULL, "\"1\"", false},
        {NULL, "*", false},     {"\"1\"", "\"1\"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t j = 0; j < ARRAY_LEN(targets); j++) {
            EXPECT(201, NULL, "\"1\"", TO("POST", "/integrations"), .body = DOCUMENT("a", "1"));
            EXPECT(!rows[i].made ? 412
                   : j == 0      ? 201
                                 : 200,
                   NULL,
                   !rows[i].made ? "\"1\""
                   : j == 0      ? "\"2\""
                                 : "",
                   TO("POST", targets[j]), .body = j == 0 ? DOCUMENT("b", "1") : batch,
                   .if_match = rows[i].if_match, .if_none_match = rows[i].if_none_match);
            EXPECT(rows[i].made ? 200 : 404, NULL, NULL, TO("GET", "/integrations/b"));
            close_service();
            open_service();
        }
}

Test(api_required, asks_for_conditions)
{
    static const char *const environment[] = {"REQUIRE_IF_MATCH", "on", NULL};
    harness_open(&harness, &store_lmdb, environment);
    EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = DOCUMENT("a", "1"));
    EXPECT(428, NULL, "", TO("PUT", "/integrations/a"), .body = DOCUMENT("a", "2"));
    EXPECT(428, NULL, "", TO("PATCH", "/integrations/a"), .body = "{}");
    EXPECT(428, NULL, "", TO("DELETE", "/integrations/a"));
    EXPECT(428, NULL, "", TO("POST", "/integrations:batch"),
           .body = "{\"operations\":[{\"op\":\"delete\",\"id\":\"a\"}]}");
    EXPECT(200, NULL, "\"2\"", TO("PUT", "/integrations/a"), .body = DOCUMENT("a", "2"),
           .if_match = "\"1\"");
    EXPECT(201, NULL, NULL, TO("PUT", "/integrations/b"), .body = DOCUMENT("b", "2"),
           .if_none_match = "*");
    EXPECT(204, NULL, NULL, TO("DELETE", "/integrations/a"), .if_match = "*");
    harness_close(&harness);
}

/* ---- partial changes ---- */

#define FULL(settings)                                                                             \
    "{\"id\":\"a\",\"name\":\"n\",\"description\":\"d\",\"status\":true,\"settings\":" settings "}"
#define FAULT(place, message, type)                                                                \
    "{\"detail\":[{\"loc\":[\"body\"" place "],\"msg\":\"" message "\",\"type\":\"" type "\"}]}"

Test(api, patches)
{
    static const struct {
        const char *patch;
        unsigned status;
        const char *body;
    } rows[] = {
        {"{}", 200,
         FULL("{\"n\":1.50,\"\\u0061\":\"\\u0000\",\"l\":[1, 2],\"o\":{\"x\":1,\"y\":2}}")},
        {"{\"settings\":{\"o\":{\"x\":null,\"z\":[null]}}}", 200,
         FULL("{\"n\":1.50,\"\\u0061\":\"\\u0000\",\"l\":[1, 2],\"o\":{\"y\":2,\"z\":[null]}}")},
        {"{\"settings\":{\"a\":3,\"new\":{\"k\":null,\"j\":1E400}}}", 422,
         FAULT(",\"settings\"", "number out of range: larger than a double can be",
               "value_error.number_range")},
        {"{\"settings\":{\"a\":3,\"new\":{\"k\":null,\"j\":123456789012345678901234567890}}}", 200,
         FULL("{\"n\":1.50,\"\\u0061\":3,\"l\":[1, 2],\"o\":{\"x\":1,\"y\":2},"
              "\"new\":{\"j\":123456789012345678901234567890}}")},
        {"{\"status\":\"off\",\"name\":7,\"x\":1,\"settings\":null}", 200,
         "{\"id\":\"a\",\"name\":\"7\",\"description\":\"d\",\"status\":false,\"settings\":{}}"},
        {"{\"status\":null}", 200, NULL},
        {"{\"name\":null}", 422, FAULT(",\"name\"", "field required", "value_error.missing")},
        {"{\"id\":\"b\"}", 422,
         FAULT(",\"id\"", "id does not match the path", "value_error.id_mismatch")},
        {"{\"settings\":{\"a\":1,\"a\":2}}", 422,
         FAULT(",\"settings\"", "duplicate key: \\\"a\\\"", "value_error.duplicate_key")},
        {"{\"settings\":{\"a\":\"\\ud800\"}}", 422, NULL},
        {"{\"settings\":{\"\\ud800\":null}}", 422, NULL},
        {"{\"settings\":[]}", 422,
         FAULT(",\"settings\"", "value is not a valid dict", "type_error.dict")},
        {"{\"name\":\"1\",\"name\":\"2\"}", 200, NULL},
        {"[]", 422, FAULT("", "value is not a valid dict", "type_error.dict")},
        {"null", 422, FAULT("", "field required", "value_error.missing")},
        {"", 422, FAULT("", "field required", "value_error.missing")},
        {"{\"a\"}", 422, FAULT(",4", "expecting ':' delimiter", "value_error.jsondecode")},
        {"\"\xFF\"", 400, DETAIL("There was an error parsing the body")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        EXPECT(201, NULL, NULL, TO("POST", "/integrations"),
               .body = FULL(
                   "{\"n\": 1.50,\"\\u0061\":\"\\u0000\",\"l\":[1, 2],\"o\":{\"x\":1,\"y\":2}}"));
        EXPECT(200, NULL, NULL, TO("PATCH", "/integrations/a"), .body = "{}",
               .type = "application/merge-patch+json; a=b");
        EXPECT(rows[i].status, NULL, NULL, TO("PATCH", "/integrations/a"), .body = rows[i].patch);
        struct buffer expected = {0};
        for (const char *c = rows[i].body; c != NULL && *c != '\0'; c++)
            if (*c != ' ' || c[-1] != ',') /* settings are kept without white space */
                buffer_append_char(&expected, *c);
        if (rows[i].body != NULL)
            cr_expect(str_equal(buffer_str(&harness.session.response.body), buffer_str(&expected)),
                      "%s: %.*s", rows[i].patch, (int)harness.session.response.body.len,
                      harness.session.response.body.data);
        buffer_release(&expected);
        EXPECT(204, NULL, NULL, TO("DELETE", "/integrations/a"));
    }
}

Test(api, takes_merge_patches_only)
{
    send(&(struct sent){TO("POST", "/integrations"), .body = DOCUMENT("a", "1")});
    static const char *const types[] = {"application/json-patch+json", "text/plain", "json", ";"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        EXPECT(415, DETAIL("Unsupported Media Type"), NULL, TO("PATCH", "/integrations/a"),
               .body = "{}", .type = types[i]);
        cr_expect(str_equal(harness_header(&harness.session.response, "Accept-Patch"),
                            STR("application/merge-patch+json, application/json")));
    }
    EXPECT(200, NULL, NULL, TO("PATCH", "/integrations/a"), .body = "{}",
           .type = "Application/MERGE-patch+JSON");
    EXPECT(404, DETAIL("not found"), NULL, TO("PATCH", "/integrations/b"), .body = "{}");
    EXPECT(404, DETAIL("not found"), NULL, TO("PATCH", "/integrations/%00"), .body = "{}");
    send(&(struct sent){TO("OPTIONS", "/integrations/a")});
    cr_expect(harness_header(&harness.session.response, "Accept-Patch").len > 0);
}

Test(api, keeps_patched_integrations_within_the_limit)
{
    struct buffer patch = {0};
    send(&(struct sent){TO("POST", "/integrations"), .body = DOCUMENT("a", "1")});
    for (int i = 0; i < 4; i++) {
        buffer_reset(&patch, SIZE_MAX);
        buffer_printf(&patch, "{\"settings\":{\"k%d\":\"", i);
        for (int j = 0; j < 300000; j++)
            buffer_append_char(&patch, 'x');
        buffer_append(&patch, "\"}}", 4);
        EXPECT(i < 3 ? 200 : 413, i < 3 ? NULL : DETAIL("The integration would become too large"),
               NULL, TO("PATCH", "/integrations/a"), .body = patch.data);
    }
    EXPECT(200, NULL, "\"4\"", TO("GET", "/integrations/a?fields=id"));
    struct buffer batch = {0};
    buffer_append_str(&batch, STR("{\"operations\":[{\"op\":\"patch\",\"id\":\"a\",\"patch\":"));
    buffer_append(&batch, patch.data, patch.len - 1);
    buffer_append(&batch, "}]}", 4);
    EXPECT(422,
           FAULT(",\"operations\",0,\"patch\"", "the integrations would become too large",
                 "value_error.too_large"),
           NULL, TO("POST", "/integrations:batch"), .body = batch.data);
    buffer_release(&batch);
    buffer_release(&patch);
}

/* DEL is written as six characters, so what is stored may be longer than what was sent. */
Test(api, keeps_nothing_that_could_not_be_written_back)
{
    struct buffer body = {0};
    buffer_append_str(&body, STR("{\"id\":\"a\",\"description\":\"\",\"name\":\""));
    for (int i = 0; i < 400000; i++)
        buffer_append_char(&body, '\x7F');
    buffer_append(&body, "\"}", 3);
    static const char detail[] = DETAIL("The integration would become too large");
    EXPECT(413, detail, NULL, TO("POST", "/integrations"), .body = body.data);
    EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = DOCUMENT("a", "1"));
    EXPECT(413, detail, NULL, TO("PUT", "/integrations/a"), .body = body.data);
    struct buffer batch = {0};
    buffer_append_str(&batch, STR("{\"operations\":[{\"op\":\"put\",\"integration\":"));
    buffer_append(&batch, body.data, body.len - 1);
    buffer_append(&batch, "}]}", 4);
    EXPECT(422, NULL, NULL, TO("POST", "/integrations:batch"), .body = batch.data);
    EXPECT(200, DOCUMENT("a", "1"), NULL, TO("GET", "/integrations/a"));
    buffer_release(&batch);
    buffer_release(&body);
}

/* ---- lists ---- */

static void create(const char *id, const char *name, const char *description, bool status)
{
    struct buffer body = {0};
    buffer_printf(&body,
                  "{\"id\":\"%s\",\"name\":\"%s\",\"description\":\"%s\",\"status\":%s,"
                  "\"settings\":{\"token\":\"Kebab\"}}",
                  id, name, description, status ? "true" : "false");
    buffer_append_char(&body, '\0');
    EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = body.data);
    buffer_release(&body);
}

/* The ids of a list, one character each. */
static void expect_ids(const char *target, const char *ids, uint64_t next)
{
    const struct http_response *response = send(&(struct sent){TO("GET", target)});
    struct buffer got = {0};
    char link[32] = "";
    const char *at = response->body.data;
    for (size_t i = 0; i + 6 < response->body.len; i++)
        if (memcmp(at + i, "\"id\":\"", 6) == 0)
            buffer_append_char(&got, at[i + 6]);
    cr_expect(response->status == 200 && str_equal(buffer_str(&got), str_from(ids)), "%s: %.*s",
              target, (int)response->body.len, at);
    struct str told = harness_header(response, "Link");
    if (next > 0)
        snprintf(link, sizeof link, "after=%d>; rel=\"next\"", (int)next);
    cr_expect(next == 0 ? told.len == 0 : str_has_suffix(told, str_from(link)), "%s: %.*s", target,
              (int)told.len, told.data);
    buffer_release(&got);
}

Test(api, ends_a_page_before_it_becomes_too_long)
{
    enum { DOCUMENTS = 20, SIZE = 1000000 };
    struct buffer body = {0};
    char target[64] = "/integrations";
    for (int i = 0; i < DOCUMENTS; i++) {
        buffer_reset(&body, SIZE_MAX);
        buffer_append_str(&body, STR("{\"id\":\"x\",\"name\":\"\",\"description\":\""));
        memset(buffer_reserve(&body, SIZE), 'd', SIZE);
        body.len += SIZE;
        buffer_append(&body, "\"}", sizeof "\"}");
        body.data[7] = (char)('a' + i);
        EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = body.data);
    }
    for (int first = 0; first < DOCUMENTS; first += 9) {
        char ids[10];
        int len = DOCUMENTS - first < 9 ? DOCUMENTS - first : 9; /* 8 MiB, and what passed it */
        for (int i = 0; i < len; i++)
            ids[i] = (char)('a' + first + i);
        ids[len] = '\0';
        expect_ids(target, ids, first + len < DOCUMENTS ? (uint64_t)(first + len) : 0);
        snprintf(target, sizeof target, "/integrations?after=%d", first + len);
    }
    expect_ids("/integrations?limit=15&q=d", "abcdefghi", 9);
    buffer_release(&body);
}

Test(api, lists_what_is_asked_for)
{
    create("a", "Facebook Messenger", "first", true);
    create("b", "Chat \\\"Widget\\\"", "\xC3\x84rger", false);
    create("c", "\xCE\xA3\xCE\x91", "x\\ty", true);
    create("d", "z", "messenger", false);
    create("e", "\\u00e9", "last", true);
    EXPECT(204, NULL, NULL, TO("DELETE", "/integrations/c"));
    expect_ids("/integrations", "abde", 0);
    expect_ids("/integrations?", "abde", 0);
    expect_ids("/integrations?other=1&&=&x", "abde", 0);
    expect_ids("/integrations?limit=2", "ab", 2);
    expect_ids("/integrations?limit=2&after=2", "de", 0);
    expect_ids("/integrations/?after=1&limit=1", "b", 2);
    expect_ids("/admin/integrations?limit=3", "abd", 4);
    expect_ids("/integrations?limit=4", "abde", 0);
    expect_ids("/integrations?limit=1000", "abde", 0);
    expect_ids("/integrations?limit=5&limit=1", "a", 1);
    expect_ids("/integrations?after=99", "", 0);
    expect_ids("/integrations?after=", "abde", 0);
    expect_ids("/integrations?status=true", "ae", 0);
    expect_ids("/integrations?status=OFF", "bd", 0);
    expect_ids("/integrations?status=0&limit=1", "b", 2);
    expect_ids("/integrations?status=0&limit=1&after=2", "d", 0);
    expect_ids("/integrations?q=messeng", "ad", 0);
    expect_ids("/integrations?q=MESSENGER&status=on", "a", 0);
    expect_ids("/integrations?q=%C3%A4RGER", "b", 0);
    expect_ids("/integrations?q=%22w", "b", 0);
    expect_ids("/integrations?q=chat+%22", "b", 0);
    expect_ids("/integrations?q=%C3%89", "e", 0);
    expect_ids("/integrations?q=E%CC%81", "e", 0); /* decomposed */
    expect_ids("/integrations?q=a%CC%88rger", "b", 0);
    expect_ids("/integrations?q=Kebab", "", 0);
    expect_ids("/integrations?q=%FF", "", 0);
    expect_ids("/integrations?q=", "abde", 0);
    expect_ids("/integrations?id=e&id=a&id=none&id=a", "ae", 0);
    expect_ids("/integrations?id=e&id=a&limit=1", "a", 1);
    expect_ids("/integrations?id=", "", 0);
    expect_ids("/integrations?id=%00&id=d", "d", 0);
    expect_ids("/integrations?%69d=b&q=rg", "b", 0);
    EXPECT(200, "[{\"id\":\"a\",\"status\":true,\"etag\":\"\\\"1\\\"\"}]", "\"6\"",
           TO("GET", "/integrations?fields=etag,status,id&limit=1"));
    EXPECT(200, "{\"id\":\"d\",\"name\":\"z\"}", NULL,
           TO("GET", "/integrations/d?fields=name&fields=id"));
    EXPECT(200, "{\"name\":\"z\"}", "\"4\"", TO("GET", "/integrations/d?fields=name"));
    EXPECT(200, "{\"settings\":{\"token\":\"Kebab\"}}", NULL,
           TO("GET", "/integrations/d?fields=%20settings%2Csettings"));
}

/* Somebody wrote it into a database, not through this service. */
Test(api, searches_what_is_written_otherwise)
{
    static const struct store_change foreign[] = {
        {STORE_CREATE,
         STR_INIT("a"),
         STR_INIT("{ \"id\": \"a\", \"name\": 5, \"description\": \"found\", \"status\": true, "
                  "\"settings\": {} }"),
         {0}},
        {STORE_CREATE,
         STR_INIT("b"),
         STR_INIT("{\"id\":\"b\",\"name\":\"\",\"description\":[]}"),
         {0}},
        {STORE_CREATE, STR_INIT("c"), STR_INIT("7"), {0}}};
    struct store_batch batch = {.changes = foreign, .len = 3, .deadline_ns = UINT64_MAX};
    cr_assert(harness.app.service.backend->change(harness.session.service.store, &batch) ==
              STORE_OK);
    create("d", "", "", false);
    expect_ids("/integrations?q=zzz", "", 0);
    EXPECT(200, "[{\"name\":5}]", NULL, TO("GET", "/integrations?q=FOUND&fields=name"));
    EXPECT(200, "[{\"status\":true}]", NULL, TO("GET", "/integrations?status=1&fields=status"));
}

#define QUERY_FAULT(name, message, type)                                                           \
    "{\"loc\":[\"query\",\"" name "\"],\"msg\":\"" message "\",\"type\":\"" type "\"}"

Test(api, refuses_bad_parameters)
{
    static const char *const rows[][2] = {
        {"limit=0", QUERY_FAULT("limit", "ensure this value is greater than or equal to 1",
                                "value_error.number.not_ge")},
        {"limit=1001", QUERY_FAULT("limit", "ensure this value is less than or equal to 1000",
                                   "value_error.number.not_le")},
        {"limit=-1", QUERY_FAULT("limit", "value is not a valid integer", "type_error.integer")},
        {"limit", QUERY_FAULT("limit", "value is not a valid integer", "type_error.integer")},
        {"after=x", QUERY_FAULT("after", "value is none that a Link gave", "value_error.cursor")},
        {"after=9223372036854775808",
         QUERY_FAULT("after", "value is none that a Link gave", "value_error.cursor")},
        {"status=maybe",
         QUERY_FAULT("status", "value could not be parsed to a boolean", "type_error.bool")},
        {"fields=id,secret",
         QUERY_FAULT("fields",
                     "value is not a list of id, name, description, status, settings and etag",
                     "value_error.fields")},
        {"fields=", QUERY_FAULT("fields",
                                "value is not a list of id, name, description, status, settings "
                                "and etag",
                                "value_error.fields")},
        {"status=&limit=x",
         QUERY_FAULT("status", "value could not be parsed to a boolean",
                     "type_error.bool") "," QUERY_FAULT("limit", "value is not a valid integer",
                                                        "type_error.integer")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char target[64];
        char body[600];
        snprintf(target, sizeof target, "/integrations?%s", rows[i][0]);
        snprintf(body, sizeof body, "{\"detail\":[%s]}", rows[i][1]);
        EXPECT(422, body, "", TO("GET", target));
    }
    struct buffer many = {0};
    buffer_printf(&many, "/integrations?");
    for (int i = 0; i < 101; i++)
        buffer_printf(&many, "id=%d&", i);
    buffer_append_char(&many, '\0');
    EXPECT(422, NULL, "", TO("GET", many.data));
    buffer_release(&many);
}

/* ---- batches ---- */

static void expect_batch(const char *operations, unsigned status, const char *body)
{
    char text[2000];
    snprintf(text, sizeof text, "{\"operations\":[%s]}", operations);
    EXPECT(status, body, "", TO("POST", "/integrations:batch"), .body = text);
}

#define CREATE(id, name) "{\"op\":\"create\",\"integration\":" DOCUMENT(id, name) "}"
#define AT(place, message, type)                                                                   \
    "{\"loc\":[\"body\",\"operations\"" place "],\"msg\":\"" message "\",\"type\":\"" type "\"}"

Test(api, makes_batches)
{
    expect_batch("", 200, "{\"results\":[]}");
    EXPECT(201, NULL, "\"1\"", TO("POST", "/integrations"), .body = DOCUMENT("old", "1"));
    expect_batch(
        CREATE("a", "1") ",{\"op\":\"patch\",\"id\":\"old\",\"patch\":{\"name\":\"2\"}},"
                         "{\"op\":\"patch\",\"id\":\"a\",\"patch\":{\"status\":true}},"
                         "{\"op\":\"put\",\"integration\":" DOCUMENT(
                             "old", "3") "},"
                                         "{\"op\":\"delete\",\"id\":\"old\"}," CREATE("old", "4"),
        200,
        "{\"results\":[{\"status\":201,\"id\":\"a\",\"etag\":\"\\\"2\\\"\"},"
        "{\"status\":200,\"id\":\"old\",\"etag\":\"\\\"3\\\"\"},"
        "{\"status\":200,\"id\":\"a\",\"etag\":\"\\\"4\\\"\"},"
        "{\"status\":200,\"id\":\"old\",\"etag\":\"\\\"5\\\"\"},"
        "{\"status\":204,\"id\":\"old\"},"
        "{\"status\":201,\"id\":\"old\",\"etag\":\"\\\"7\\\"\"}]}");
    EXPECT(200,
           "[{\"id\":\"a\",\"name\":\"1\",\"description\":\"d\",\"status\":true,\"settings\":{}}"
           "," DOCUMENT("old", "4") "]",
           "\"7\"", TO("GET", "/integrations"));
    expect_batch("{\"op\":\"delete\",\"id\":\"a\",\"if_match\":\"\\\"4\\\"\"}", 200, NULL);
}

Test(api, makes_all_of_a_batch_or_nothing)
{
    EXPECT(201, NULL, "\"1\"", TO("POST", "/integrations"), .body = DOCUMENT("old", "1"));
    static const char *const rows[][2] = {
        {CREATE("old", "2"), AT(",1", "integration id already exists", "value_error.exists")},
        {CREATE("a", "2"), AT(",1", "integration id already exists", "value_error.exists")},
        {"{\"op\":\"put\",\"integration\":" DOCUMENT("z", "2") "}",
         AT(",1", "not found", "value_error.not_found")},
        {"{\"op\":\"delete\",\"id\":\"z\"}", AT(",1", "not found", "value_error.not_found")},
        {"{\"op\":\"patch\",\"id\":\"z\",\"patch\":{}}",
         AT(",1", "not found", "value_error.not_found")},
        {"{\"op\":\"delete\",\"id\":\"old\",\"if_match\":\"\\\"2\\\"\"}",
         AT(",1", "the integration has been changed meanwhile", "value_error.changed")},
        {"{\"op\":\"patch\",\"id\":\"old\",\"patch\":{},\"if_match\":\"\\\"2\\\"\"}",
         AT(",1", "the integration has been changed meanwhile", "value_error.changed")},
        {"{\"op\":\"delete\",\"id\":\"a\"},{\"op\":\"patch\",\"id\":\"a\",\"patch\":{}}",
         AT(",2", "not found", "value_error.not_found")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char operations[1000];
        char body[400];
        snprintf(operations, sizeof operations, CREATE("a", "1") ",%s", rows[i][0]);
        snprintf(body, sizeof body, "{\"detail\":[%s]}", rows[i][1]);
        expect_batch(operations, 409, body);
        EXPECT(200, "[" DOCUMENT("old", "1") "]", "\"1\"", TO("GET", "/integrations"));
    }
}

Test(api, bounds_what_patches_make)
{
    struct buffer body = {0};
    buffer_printf(&body, "{\"id\":\"a\",\"name\":\"");
    for (int i = 0; i < 900000; i++)
        buffer_append_char(&body, 'x');
    buffer_printf(&body, "\",\"description\":\"\"}");
    buffer_append_char(&body, '\0');
    EXPECT(201, NULL, NULL, TO("POST", "/integrations"), .body = body.data);
    for (int i = 8; i < 200; i += 150) {
        buffer_reset(&body, SIZE_MAX);
        buffer_printf(&body, "{\"operations\":[");
        for (int j = 0; j < i; j++)
            buffer_printf(&body, "%s{\"op\":\"patch\",\"id\":\"a\",\"patch\":{}}",
                          j == 0 ? "" : ",");
        buffer_append(&body, "]}", 3);
        EXPECT(i == 8 ? 200 : 422, NULL, NULL, TO("POST", "/integrations:batch"),
               .body = body.data);
    }
    cr_expect(memmem(harness.session.response.body.data, harness.session.response.body.len,
                     "value_error.too_large", 21) != NULL);
    buffer_release(&body);
}

Test(api, reads_batches_strictly)
{
    static const char *const rows[][2] = {
        {"1", AT(",0", "value is not a valid dict", "type_error.dict")},
        {"{}", AT(",0,\"op\"", "field required", "value_error.missing")},
        {"{\"op\":\"merge\"}",
         AT(",0,\"op\"", "value is not one of create, put, patch, delete", "value_error.const")},
        {"{\"op\":\"delete\"}", AT(",0,\"id\"", "field required", "value_error.missing")},
        {"{\"op\":\"delete\",\"id\":\"..\"}",
         AT(",0,\"id\"", "no integration can have this id", "value_error.id")},
        {"{\"op\":\"delete\",\"id\":7}", AT(",0,\"id\"", "str type expected", "type_error.str")},
        {"{\"op\":\"create\"}", AT(",0,\"integration\"", "field required", "value_error.missing")},
        {"{\"op\":\"patch\",\"id\":\"a\"}",
         AT(",0,\"patch\"", "field required", "value_error.missing")},
        {"{\"op\":\"put\",\"id\":\"b\",\"integration\":" DOCUMENT("a", "1") "}",
         AT(",0,\"integration\",\"id\"", "id does not match the path", "value_error.id_mismatch")},
        {"{\"op\":\"delete\",\"id\":\"a\",\"if_match\":\"\\\"07\\\"\"}",
         AT(",0,\"if_match\"", "value is no ETag of an integration", "value_error.etag")},
        {"{\"op\":\"delete\",\"id\":\"a\",\"if_match\":\"7\"}",
         AT(",0,\"if_match\"", "value is no ETag of an integration", "value_error.etag")},
        {CREATE("a", "1") ",{\"op\":\"patch\",\"id\":\"a\",\"patch\":{\"id\":\"b\"}},"
                          "{\"op\":\"patch\",\"id\":\"a\",\"patch\":{}}",
         AT(",1,\"patch\",\"id\"", "id does not match the path", "value_error.id_mismatch")},
        {CREATE("x", "1") ",{\"op\":\"create\",\"integration\":{\"id\":\"y\",\"name\":null}},[]",
         AT(",1,\"integration\",\"name\"", "none is not an allowed value",
            "type_error.none.not_allowed") "," AT(",1,\"integration\",\"description\"",
                                                  "field required",
                                                  "value_error.missing") "," AT(",2",
                                                                                "value is not a "
                                                                                "valid dict",
                                                                                "type_error.dict")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[600];
        snprintf(body, sizeof body, "{\"detail\":[%s]}", rows[i][1]);
        expect_batch(rows[i][0], 422, body);
    }
    static const struct {
        const char *body;
        const char *type;
        unsigned status;
        const char *answer;
    } whole[] = {
        {"", NULL, 422, FAULT("", "field required", "value_error.missing")},
        {"{}", NULL, 422, FAULT(",\"operations\"", "field required", "value_error.missing")},
        {"{\"operations\":{}}", NULL, 422,
         FAULT(",\"operations\"", "value is not a valid list", "type_error.list")},
        {"[]", NULL, 422, FAULT("", "value is not a valid dict", "type_error.dict")},
        {"{}", "text/plain", 422, FAULT("", "value is not a valid dict", "type_error.dict")},
        {"{\"a\"}", NULL, 422, FAULT(",4", "expecting ':' delimiter", "value_error.jsondecode")},
        {"\"\xFF\"", NULL, 400, DETAIL("There was an error parsing the body")},
    };
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        EXPECT(whole[i].status, whole[i].answer, "", TO("POST", "/integrations:batch"),
               .body = whole[i].body, .type = whole[i].type);
    struct buffer many = {0};
    buffer_printf(&many, "{\"operations\":[0");
    for (int i = 0; i < 1000; i++)
        buffer_append_str(&many, STR(",0"));
    buffer_append(&many, "]}", 3);
    EXPECT(422,
           FAULT(",\"operations\"", "ensure this value has at most 1000 items",
                 "value_error.list.max_items"),
           "", TO("POST", "/integrations:batch"), .body = many.data);
    buffer_release(&many);
    EXPECT(200, "[]", "\"0\"", TO("GET", "/integrations"));
}

/* ---- problem details ---- */

Test(api, tells_problems_as_details)
{
    EXPECT(404,
           "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
           "\"detail\":\"not found\"}",
           NULL, TO("GET", "/integrations/a"), .accept = "application/problem+json");
    cr_expect(str_equal(harness.session.response.content_type, STR("application/problem+json")));
    cr_expect(str_equal(harness_header(&harness.session.response, "Vary"), STR("Accept")));
    EXPECT(422,
           "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
           "\"detail\":\"The request has faults\",\"errors\":[{\"loc\":[\"body\"],\"msg\":"
           "\"field required\",\"type\":\"value_error.missing\"}]}",
           NULL, TO("POST", "/integrations"), .body = "",
           .accept = "application/json;q=0.5, application/problem+json");
    static const char *const others[] = {"*/*",
                                         "application/*",
                                         "application/json",
                                         "",
                                         "application/problem+json;q=0",
                                         "application/problem+json;q=0.2, application/json"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        EXPECT(404, DETAIL("not found"), NULL, TO("GET", "/integrations/a"), .accept = others[i]);
        cr_expect(str_equal(harness.session.response.content_type, STR("application/json")));
    }
    EXPECT(200, "[]", NULL, TO("GET", "/integrations"), .accept = "application/problem+json");
}
