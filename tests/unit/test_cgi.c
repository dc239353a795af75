/* SPDX-License-Identifier: MIT
 *
 * A request read from CGI's meta-variables, and an answer in CGI's form. */
#include <criterion/criterion.h>

#include "base/buffer.h"
#include "server/cgi.h"

/* What a web server passes of one request, and what its target and prefix are then. */
static const struct {
    const char *root;
    bool by_script;
    const char *uri;
    const char *script;
    const char *prefix;
    const char *target;
} places[] = {
    {"", false, "/integrations/a", "/x/integration-service.cgi", "", "/integrations/a"},
    {"", true, "/integrations/a", "/elsewhere.cgi", "", "/integrations/a"},
    {"", true, "/~u/api/integrations/a?b=c", "/~u/api/integration-service.fcgi", "/~u/api",
     "/integrations/a?b=c"},
    {"", true, "/~u/api/integration-service.cgi/integrations", "/~u/api/integration-service.cgi",
     "/~u/api/integration-service.cgi", "/integrations"},
    {"", true, "/%7eu/api/integrations", "/~u/api/integration-service.fcgi", "/%7eu/api",
     "/integrations"},
    {"", true, "/~u/apis/integrations", "/~u/api/integration-service.fcgi",
     "", /* no segment ends */
     "/~u/apis/integrations"},
    {"/api", false, "/api/integrations/%2Fa", "", "/api", "/integrations/%2Fa"},
    {"/api/", false, "/api/health", "", "/api", "/health"},
    {"/api", false, "/api", "", "/api", ""},
    {"/api", false, "/api?x=1", "", "/api", "?x=1"},
    {"/api", false, "/apis", "", "/api", "/apis"},
    {"/api", false, "/health", "", "/api", "/health"}, /* a server in front took it off */
    {"/api", true, "/api/health", "/cgi/integration-service.cgi", "/api", "/health"},
    {"/api", false, "http://h/api/health", "", "/api", "/health"},
};

static struct http_request read_place(size_t i, struct buffer *uri, struct buffer *script)
{
    struct http_request request;
    const struct cgi_place place = {str_from(places[i].root), places[i].by_script};
    buffer_printf(uri, "REQUEST_URI=%s", places[i].uri);
    buffer_printf(script, "SCRIPT_NAME=%s", places[i].script);
    buffer_append_char(uri, '\0');
    buffer_append_char(script, '\0');
    char *const variables[] = {uri->data, script->data, NULL};
    cgi_read(variables, &place, &request);
    return request;
}

Test(cgi, finds_the_service_among_the_paths)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct buffer uri = {0};
        struct buffer script = {0};
        struct http_request request = read_place(i, &uri, &script);
        cr_expect(str_equal(request.prefix, str_from(places[i].prefix)), "%zu: prefix %.*s", i,
                  (int)request.prefix.len, request.prefix.data);
        cr_expect(str_equal(request.target, str_from(places[i].target)), "%zu: target %.*s", i,
                  (int)request.target.len, request.target.data);
        buffer_release(&uri);
        buffer_release(&script);
    }
}

/* Every header of the table arrives in its member. */
Test(cgi, reads_every_header_of_the_table)
{
#define HEADER(member_, name_, variable_) variable_ "=" name_,
    static const char *const variables[] = {HTTP_REQUEST_HEADERS(HEADER) NULL};
#undef HEADER
    struct http_request request;
    cgi_read((char *const *)variables, &(struct cgi_place){{NULL, 0}, false}, &request);
#define HEADER(member_, name_, variable_) cr_expect(str_equal(request.member_, STR(name_)), name_);
    HTTP_REQUEST_HEADERS(HEADER)
#undef HEADER
}

Test(cgi, takes_the_first_of_a_doubled_variable)
{
    static const char *const variables[] = {
        "REQUEST_METHOD=PUT", "HTTP_ORIGIN=https://a", "no value",           "=",
        "HTTP_UNKNOWN=x",     "HTTP_ORIGIN=https://b", "REQUEST_METHOD=GET", NULL};
    struct http_request request;
    cgi_read((char *const *)variables, &(struct cgi_place){{NULL, 0}, false}, &request);
    cr_expect(request.method == HTTP_PUT);
    cr_expect(str_equal(request.origin, STR("https://a")));
    cr_expect(request.target.len == 0 && request.started_ns > 0);
}

static void put(void *to, struct str part)
{
    buffer_append_str(to, part);
}

static void expect_answer(const struct http_response *response, const char *expected)
{
    struct buffer out = {0};
    cgi_put_response(put, &out, response);
    cr_expect(str_equal(buffer_str(&out), str_from(expected)), "%.*s", (int)out.len, out.data);
    buffer_release(&out);
}

Test(cgi, writes_answers)
{
    struct http_response response = {.status = 200, .content_type = STR("application/json")};
    http_response_header(&response, STR("ETag"), STR("\"7\""));
    buffer_append_str(&response.body, STR("{}"));
    expect_answer(&response, "Status: 200 OK\r\nContent-Type: application/json\r\n"
                             "X-Content-Type-Options: nosniff\r\nETag: \"7\"\r\n"
                             "Content-Length: 2\r\n\r\n{}");
    response.without_body = true;
    expect_answer(&response, "Status: 200 OK\r\nContent-Type: application/json\r\n"
                             "X-Content-Type-Options: nosniff\r\nETag: \"7\"\r\n"
                             "Content-Length: 2\r\n\r\n");
    buffer_release(&response.body);
    response = (struct http_response){.status = 204};
    expect_answer(&response, "Status: 204 No Content\r\n\r\n");
    response = (struct http_response){.status = 304};
    http_response_header(&response, STR("ETag"), STR("\"7\""));
    expect_answer(&response, "Status: 304 Not Modified\r\nETag: \"7\"\r\n\r\n");
}
