/* SPDX-License-Identifier: MIT
 *
 * Any bytes as method, target and headers, a line each, and the rest as body: the whole request
 * path on a store in memory. Every answer is complete, and every error is JSON. */
#include <stdlib.h>

#include "base/clock.h"
#include "harness.h"
#include "model/json.h"
#include "stores.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct harness harness;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const environment[] = {"CORS_ALLOW_ORIGINS", "https://a,https://b", NULL};
    (void)argc;
    (void)argv;
    harness_open(&harness, &store_memory, environment);
    return 0;
}

static struct str next_line(struct str *rest)
{
    struct str line = {NULL, 0};
    (void)str_split(rest, '\n', &line);
    return line;
}

static void check_error(const struct http_response *response)
{
    struct json_value root;
    struct json_error error;
    struct json_member detail = {.name = STR("detail")};
    struct arena arena = {0};
    if (json_scan(&arena, buffer_str(&response->body), &root, &detail, 1, &error) != JSON_OK ||
        !detail.present)
        abort();
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct http_request request = {.started_ns = clock_steady_ns()};
    request.method = http_method_from(next_line(&rest));
    request.target = next_line(&rest);
    request.content_type = next_line(&rest);
    request.id = next_line(&rest);
    request.origin = next_line(&rest);
    request.cors_method = next_line(&rest);
    request.cors_headers = next_line(&rest);
    request.if_match = next_line(&rest);
    request.if_none_match = next_line(&rest);
    request.accept = next_line(&rest);
    request.body = rest.data == NULL ? STR("") : rest;
    const struct http_response *response = harness_call(&harness, &request);
    if (response->status >= 500 || response->body.failed)
        abort();
    if (response->status >= 400 && response->content_type.data[0] == 'a') /* JSON, or a problem */
        check_error(response);
    for (size_t i = 0; i < response->headers_len; i++)
        if (memchr(response->headers[i].value.data, '\n', response->headers[i].value.len) != NULL)
            abort();
    return 0;
}
