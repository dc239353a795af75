/* SPDX-License-Identifier: MIT
 *
 * The request path, whole and in one process. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/clock.h"
#include "harness.h"
#include "stores.h"

static struct harness harness;

static void expect(const char *method, const char *target, const char *body, unsigned status,
                   const char *expected)
{
    const struct http_response *response = harness_send(&harness, method, target, body);
    cr_expect(response->status == status, "%s %s %s: %u", method, target, body, response->status);
    cr_expect(str_equal(buffer_str(&response->body), str_from(expected)), "%s %s %s: %.*s", method,
              target, body, (int)response->body.len, response->body.data);
    cr_expect(
        str_equal(response->content_type, expected[0] == '\0' ? STR("") : STR("application/json")),
        "%s %s", method, target);
    cr_expect(harness_header(response, "X-Request-ID").len == 32);
}

#define DOCUMENT(id, name)                                                                         \
    "{\"id\":\"" id "\",\"name\":\"" name                                                          \
    "\",\"description\":\"d\",\"status\":false,\"settings\":{}}"
#define DETAIL(text) "{\"detail\":\"" text "\"}"

static void check_resource(void)
{
    expect("GET", "/integrations", NULL, 200, "[]");
    expect("POST", "/integrations", DOCUMENT("a", "1"), 201, DOCUMENT("a", "1"));
    expect("POST", "/integrations/", DOCUMENT("b/c", "2"), 201, DOCUMENT("b/c", "2"));
    expect("POST", "/integrations", DOCUMENT("a", "3"), 400,
           DETAIL("integration id already exists"));
    expect("GET", "/integrations/?x=y", NULL, 200,
           "[" DOCUMENT("a", "1") "," DOCUMENT("b/c", "2") "]");
    expect("GET", "/integrations/b%2Fc", NULL, 200, DOCUMENT("b/c", "2"));
    expect("GET", "/%69ntegrations/b%2fc/", NULL, 200, DOCUMENT("b/c", "2"));
    expect("GET", "/admin/integrations/a", NULL, 200, DOCUMENT("a", "1"));
    expect("GET", "http://other/integrations/a?b", NULL, 200, DOCUMENT("a", "1"));
    expect("HEAD", "/integrations/a", NULL, 200, DOCUMENT("a", "1"));
    expect("PUT", "/integrations/a", DOCUMENT("a", "4"), 200, DOCUMENT("a", "4"));
    expect("PUT", "/integrations/z", DOCUMENT("z", "4"), 404, DETAIL("not found"));
    expect(
        "PUT", "/integrations/z", "{", 422,
        "{\"detail\":[{\"loc\":[\"body\",1],\"msg\":\"expecting property name enclosed in double "
        "quotes\",\"type\":\"value_error.jsondecode\"}]}");
    expect("PUT", "/integrations/z", DOCUMENT("a", "4"), 422,
           "{\"detail\":[{\"loc\":[\"body\",\"id\"],\"msg\":\"id does not match the path\","
           "\"type\":\"value_error.id_mismatch\"}]}");
    expect("DELETE", "/admin/integrations/a/", NULL, 204, "");
    expect("DELETE", "/integrations/a", NULL, 404, DETAIL("not found"));
    expect("GET", "/integrations/a", NULL, 404, DETAIL("not found"));
    expect("GET", "/admin/integrations/", NULL, 200, "[" DOCUMENT("b/c", "2") "]");
}

Test(app, keeps_the_resource)
{
    static const struct store_backend *const backends[] = {&store_lmdb, &store_memory};
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        harness_open(&harness, backends[i], NULL);
        check_resource();
        harness_close(&harness);
    }
}

/* What clients send that is wrong, each with its answer. */
static const struct {
    const char *method;
    const char *target;
    unsigned status;
    const char *detail;
    const char *allow;
} wrong_targets[] = {
    {"GET", "/", 404, "Not Found", ""},
    {"GET", "", 404, "Not Found", ""},
    {"GET", "*", 404, "Not Found", ""},
    {"OPTIONS", "*", 404, "Not Found", ""},
    {"GET", "//", 404, "Not Found", ""},
    {"GET", "//integrations", 404, "Not Found", ""},
    {"GET", "/integrations//", 404, "Not Found", ""},
    {"GET", "/integrations/a/b", 404, "Not Found", ""},
    {"GET", "/integrations/a//", 404, "Not Found", ""},
    {"GET", "/Integrations", 404, "Not Found", ""},
    {"GET", "/integrationsx", 404, "Not Found", ""},
    {"GET", "/integration", 404, "Not Found", ""},
    {"GET", "/integrations%2Fa", 404, "Not Found", ""},
    {"GET", "/integrations%00", 404, "Not Found", ""},
    {"GET", "/%2569ntegrations", 404, "Not Found", ""},
    {"GET", "/admin", 404, "Not Found", ""},
    {"GET", "/admin/", 404, "Not Found", ""},
    {"GET", "/healthz", 404, "Not Found", ""},
    {"GET", "integrations", 404, "Not Found", ""},
    {"GET", "/integrations/%FF", 404, "not found", ""},
    {"GET", "/integrations/%00", 404, "not found", ""},
    {"GET", "/integrations/%zz", 404, "not found", ""},
    {"GET", "/integrations/%", 404, "not found", ""},
    {"GET", "/integrations/%C0%AF", 404, "not found", ""},
    {"GET", "/integrations/..", 404, "not found", ""},
    {"GET", "/integrations/%2e%2e", 404, "not found", ""},
    {"GET", "/integrations/..%2F..%2Fetc%2Fpasswd", 404, "not found", ""},
    {"DELETE", "/integrations/%0a", 404, "not found", ""},
    {"DELETE", "/integrations", 405, "Method Not Allowed", "GET, HEAD, POST, OPTIONS"},
    {"PUT", "/integrations", 405, "Method Not Allowed", "GET, HEAD, POST, OPTIONS"},
    {"PATCH", "/integrations", 405, "Method Not Allowed", "GET, HEAD, POST, OPTIONS"},
    {"POST", "/integrations/a", 405, "Method Not Allowed",
     "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
    {"get", "/integrations/a", 405, "Method Not Allowed", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
    {"GET", "/integrations:batch", 405, "Method Not Allowed", "POST, OPTIONS"},
    {"TRACE", "/health", 405, "Method Not Allowed", "GET, HEAD, OPTIONS"},
    {"", "/health", 405, "Method Not Allowed", "GET, HEAD, OPTIONS"},
    {"POST", "/metrics", 405, "Method Not Allowed", "GET, HEAD, OPTIONS"},
    {"DELETE", "/readiness", 405, "Method Not Allowed", "GET, HEAD, OPTIONS"},
};

Test(app, answers_wrong_targets_and_methods)
{
    harness_open(&harness, &store_lmdb, NULL);
    for (size_t i = 0; i < ARRAY_LEN(wrong_targets); i++) {
        char detail[64];
        snprintf(detail, sizeof detail, DETAIL("%s"), wrong_targets[i].detail);
        expect(wrong_targets[i].method, wrong_targets[i].target, NULL, wrong_targets[i].status,
               detail);
        cr_expect(str_equal(harness_header(&harness.session.response, "Allow"),
                            str_from(wrong_targets[i].allow)),
                  "%s %s", wrong_targets[i].method, wrong_targets[i].target);
    }
    harness_close(&harness);
}

Test(app, tells_what_is_allowed)
{
    harness_open(&harness, &store_memory, NULL);
    expect("OPTIONS", "/integrations", NULL, 204, "");
    cr_expect(str_equal(harness_header(&harness.session.response, "Allow"),
                        STR("GET, HEAD, POST, OPTIONS")));
    harness_close(&harness);
}

Test(app, refuses_a_body_that_is_too_large)
{
    harness_open(&harness, &store_memory, NULL);
    struct http_request request = {.started_ns = clock_steady_ns(),
                                   .method = HTTP_POST,
                                   .target = STR("/integrations"),
                                   .body_too_large = true};
    const struct http_response *response = harness_call(&harness, &request);
    cr_expect(response->status == 413);
    cr_expect(str_equal(buffer_str(&response->body), STR(DETAIL("Request body too large"))));
    request.target = STR("/nowhere");
    cr_expect(harness_call(&harness, &request)->status == 404);
    request.target = STR("/health");
    cr_expect(harness_call(&harness, &request)->status == 405);
    harness_close(&harness);
}

Test(app, refuses_what_is_not_text_or_too_deep)
{
    char deep[400] = "{\"id\":\"i\",\"name\":\"n\",\"description\":\"d\",\"settings\":{\"a\":";
    size_t len = strlen(deep);
    memset(deep + len, '[', 99);
    memset(deep + len + 99, ']', 99);
    memcpy(deep + len + 198, "}}", 3);
    harness_open(&harness, &store_lmdb, NULL);
    expect("POST", "/integrations", deep, 400, DETAIL("There was an error parsing the body"));
    expect("POST", "/integrations", "\"\xFF\"", 400, DETAIL("There was an error parsing the body"));
    expect("GET", "/integrations", NULL, 200, "[]");
    harness_close(&harness);
}

Test(app, answers_each_failure_of_a_store)
{
    static const struct {
        enum store_status status;
        unsigned expected;
        const char *detail;
    } rows[] = {{STORE_FULL, 507, "store full"},
                {STORE_AWAY, 503, "db not ready"},
                {STORE_UNKNOWN, 503, "db not ready"},
                {STORE_BROKEN, 500, "Internal Server Error"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char detail[64];
        snprintf(detail, sizeof detail, DETAIL("%s"), rows[i].detail);
        store_fail_status = rows[i].status;
        harness_open(&harness, &store_fail, NULL);
        expect("GET", "/integrations", NULL, rows[i].expected, detail);
        expect("GET", "/integrations/a", NULL, rows[i].expected, detail);
        expect("POST", "/integrations", DOCUMENT("a", "1"), rows[i].expected, detail);
        expect("PUT", "/integrations/a", DOCUMENT("a", "1"), rows[i].expected, detail);
        expect("DELETE", "/integrations/a", NULL, rows[i].expected, detail);
        cr_expect(str_equal(harness_header(&harness.session.response, "Retry-After"),
                            rows[i].expected == 503 ? STR("1") : STR("")));
        cr_expect(str_equal(harness_header(&harness.session.response, "X-Outcome"),
                            rows[i].status == STORE_UNKNOWN ? STR("unknown") : STR("")));
        expect("GET", "/readiness", NULL, 503, DETAIL("db not ready"));
        expect("GET", "/ready", NULL, 503, DETAIL("db not ready"));
        expect("GET", "/health", NULL, 200, "{\"status\":\"ok\",\"app\":\"integration-service\"}");
        const struct http_response *metrics = harness_send(&harness, "GET", "/metrics", NULL);
        cr_expect(metrics->status == 200);
        buffer_append_char(&harness.session.response.body, '\0');
        cr_expect(strstr(metrics->body.data, "\nintegration_store_up 0\n") != NULL);
        cr_expect(atomic_load(&harness.app.service.broken) == (rows[i].status == STORE_BROKEN));
        harness_close(&harness);
    }
}

Test(app, says_when_it_is_ready)
{
    static const char *const environment[] = {"APP_NAME", "a \"name\"", NULL};
    harness_open(&harness, &store_lmdb, environment);
    expect("GET", "/health", NULL, 200, "{\"status\":\"ok\",\"app\":\"a \\\"name\\\"\"}");
    expect("GET", "/readiness", NULL, 200, "{\"status\":\"ready\"}");
    expect("GET", "/ready", NULL, 200, "{\"status\":\"ok\"}");
    atomic_store(&harness.app.stopping, true);
    expect("GET", "/readiness", NULL, 503, DETAIL("not ready"));
    expect("GET", "/ready", NULL, 503, DETAIL("not ready"));
    expect("GET", "/health", NULL, 200, "{\"status\":\"ok\",\"app\":\"a \\\"name\\\"\"}");
    harness_close(&harness);
}

Test(app, seeds_the_defaults_when_asked)
{
    static const char *const environment[] = {"SEED_DEFAULTS", "on", NULL};
    harness_open(&harness, &store_lmdb, environment);
    expect(
        "GET", "/integrations", NULL, 200,
        "[{\"id\":\"facebook\",\"name\":\"Facebook Messenger\",\"description\":\"Connect with "
        "Facebook Messenger\",\"status\":false,\"settings\":{\"verify\":\"ai-chatbot-framework\","
        "\"secret\":\"\",\"page_access_token\":\"\"}},{\"id\":\"chat_widget\",\"name\":\"Chat "
        "Widget\",\"description\":\"Add a chat widget to your website\",\"status\":true,"
        "\"settings\":{}}]");
    harness_close(&harness);
}

static struct str id_given(const char *id)
{
    struct http_request request = {.started_ns = clock_steady_ns(),
                                   .method = HTTP_GET,
                                   .target = STR("/health"),
                                   .id = str_from(id)};
    return harness_header(harness_call(&harness, &request), "X-Request-ID");
}

Test(app, takes_or_makes_request_ids)
{
    char long_id[130];
    memset(long_id, 'x', 129);
    long_id[129] = '\0';
    harness_open(&harness, &store_memory, NULL);
    cr_expect(str_equal(id_given("Abc-1._:/+=@9"), STR("Abc-1._:/+=@9")));
    cr_expect(str_equal(id_given(long_id + 1), str_from(long_id + 1)));
    static const char *const unfit[] = {"", "a b", "a\r\nX: y", "\"", "\xC3\xA9"};
    for (size_t i = 0; i < ARRAY_LEN(unfit); i++)
        cr_expect(id_given(unfit[i]).len == 32);
    cr_expect(id_given(long_id).len == 32);
    char first[33] = "";
    memcpy(first, id_given("").data, 32);
    cr_expect(!str_equal(id_given(""), str_from(first)));
    harness_close(&harness);
}

/* ---- CORS ---- */

static const struct http_response *call_from(const char *origin, enum http_method method,
                                             const char *wanted)
{
    struct http_request request = {.started_ns = clock_steady_ns(),
                                   .method = method,
                                   .target = STR("/integrations"),
                                   .origin = str_from(origin),
                                   .cors_method = str_from(wanted),
                                   .cors_headers = STR("X-A, Content-Type")};
    return harness_call(&harness, &request);
}

static void expect_header(const struct http_response *response, const char *name, const char *value)
{
    struct str got = harness_header(response, name);
    cr_expect(str_equal(got, str_from(value)), "%s: %.*s", name, (int)got.len, got.data);
}

Test(cors, is_off_unless_configured)
{
    harness_open(&harness, &store_memory, NULL);
    expect_header(call_from("https://a", HTTP_GET, ""), "Access-Control-Allow-Origin", "");
    cr_expect(call_from("https://a", HTTP_OPTIONS, "GET")->status == 204);
    expect_header(&harness.session.response, "Vary", "");
    harness_close(&harness);
}

Test(cors, allows_any_origin)
{
    static const char *const environment[] = {"CORS_ALLOW_ORIGINS", "https://b, *", NULL};
    harness_open(&harness, &store_memory, environment);
    const struct http_response *response = call_from("https://a", HTTP_GET, "");
    expect_header(response, "Access-Control-Allow-Origin", "*");
    /* Nobody who is not named reads what only a user may: no origin is answered with credentials.
     */
    expect_header(response, "Access-Control-Allow-Credentials", "");
    response = call_from("https://b", HTTP_GET, "");
    expect_header(response, "Access-Control-Allow-Origin", "https://b");
    expect_header(response, "Access-Control-Allow-Credentials", "true");
    expect_header(response, "Vary", "Origin");
    response = call_from("", HTTP_GET, "");
    expect_header(response, "Access-Control-Allow-Origin", "");
    response = call_from("https://a", HTTP_OPTIONS, "PUT");
    cr_expect(response->status == 200);
    cr_expect(str_equal(buffer_str(&response->body), STR("OK")));
    expect_header(response, "Access-Control-Allow-Origin", "*");
    expect_header(response, "Access-Control-Allow-Credentials", "");
    expect_header(response, "Access-Control-Allow-Methods",
                  "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
    expect_header(response, "Access-Control-Allow-Headers", "X-A, Content-Type");
    expect_header(response, "Access-Control-Max-Age", "600");
    expect_header(response, "Vary", "Origin");
    harness_close(&harness);
}

Test(cors, allows_listed_origins)
{
    static const char *const environment[] = {"CORS_ALLOW_ORIGINS", "https://a, https://b", NULL};
    harness_open(&harness, &store_memory, environment);
    expect_header(call_from("https://b", HTTP_GET, ""), "Access-Control-Allow-Origin", "https://b");
    expect_header(call_from("https://c", HTTP_GET, ""), "Access-Control-Allow-Origin", "");
    expect_header(&harness.session.response, "Vary", "Origin");
    const struct http_response *response = call_from("https://c", HTTP_OPTIONS, "PUT");
    cr_expect(response->status == 400);
    cr_expect(str_equal(buffer_str(&response->body), STR("Disallowed CORS origin")));
    response = call_from("https://a", HTTP_OPTIONS, "FOO");
    cr_expect(response->status == 400);
    cr_expect(str_equal(buffer_str(&response->body), STR("Disallowed CORS method")));
    harness_close(&harness);
}

/* ---- changes that a page of another site asks for ---- */

static const struct {
    const char *site;   /* Sec-Fetch-Site */
    const char *origin; /* Origin */
    const char *host;
    bool refused;
} sites[] = {
    {"", "", "h", false}, /* no browser */
    {"", "", "", false},
    {"same-origin", "https://elsewhere", "h", false}, /* a proxy rewrote Host */
    {"none", "", "h", false},
    {"same-site", "https://h", "h", true},
    {"cross-site", "https://h", "h", true},
    {"cross-site", "", "h", true},
    {"cross-site, same-origin", "", "h", true},
    {"Same-Origin", "", "h", true}, /* no browser writes it so */
    {"", "https://h", "h", false},
    {"", "http://h", "h", false},
    {"", "http://H:8000", "h:8000", false},
    {"", "https://h", "h:443", false},
    {"", "http://h:80", "h", false},
    {"", "http://h", "h:443", true},
    {"", "https://h:8443", "h", true},
    {"", "https://evil.example", "h", true},
    {"", "https://evil.example", "", true},
    {"", "https://h.evil.example", "h", true},
    {"", "https://evil.example/h", "h", true},
    {"", "null", "h", true},
    {"", "null", "null", true},
    {"", "h", "h", true},
    {"", "https:h", "h", true},
    {"", "https://", "", true},
    {"", "https://trusted.example", "h", false},
    {"cross-site", "https://trusted.example", "h", false},
    {"cross-site", "https://trusted.example.evil", "h", true},
};

static unsigned status_from(size_t i, enum http_method method, const char *target)
{
    struct http_request request = {.started_ns = clock_steady_ns(),
                                   .method = method,
                                   .target = str_from(target),
                                   .host = str_from(sites[i].host),
                                   .origin = str_from(sites[i].origin),
                                   .sec_fetch_site = str_from(sites[i].site)};
    return harness_call(&harness, &request)->status;
}

Test(cross_site, may_read_and_change_nothing)
{
    static const char *const environment[] = {"CORS_ALLOW_ORIGINS", "https://trusted.example",
                                              NULL};
    static const struct {
        enum http_method method;
        const char *target;
    } changes[] = {{HTTP_DELETE, "/integrations/a"},   {HTTP_PUT, "/admin/integrations/a"},
                   {HTTP_PATCH, "/integrations/a"},    {HTTP_POST, "/integrations"},
                   {HTTP_POST, "/integrations:batch"}, {HTTP_OTHER, "/integrations"}};
    harness_open(&harness, &store_memory, environment);
    for (size_t i = 0; i < ARRAY_LEN(sites); i++) {
        for (size_t j = 0; j < ARRAY_LEN(changes); j++)
            cr_expect((status_from(i, changes[j].method, changes[j].target) == 403) ==
                          sites[i].refused,
                      "%zu %s %s", i, http_method_names[changes[j].method], changes[j].target);
        cr_expect(status_from(i, HTTP_GET, "/integrations") == 200);
        cr_expect(status_from(i, HTTP_HEAD, "/integrations") == 200);
        cr_expect(status_from(i, HTTP_OPTIONS, "/integrations") == 204);
    }
    harness_close(&harness);
}

Test(cross_site, is_let_in_where_any_origin_is)
{
    static const char *const environment[] = {"CORS_ALLOW_ORIGINS", "*", NULL};
    harness_open(&harness, &store_memory, environment);
    for (size_t i = 0; i < ARRAY_LEN(sites); i++)
        if (sites[i].origin[0] != '\0')
            cr_expect(status_from(i, HTTP_DELETE, "/integrations/a") == 404, "%zu", i);
    harness_close(&harness);
}
