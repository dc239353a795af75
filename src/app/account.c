/* SPDX-License-Identifier: MIT */
#include "app/account.h"

#include <string.h>
#include <sys/random.h>

#include "app/endpoints.h"
#include "base/clock.h"
#include "core/log.h"

void account_open(struct account *account)
{
    *account = (struct account){0};
    if (getrandom(&account->seed, sizeof account->seed, 0) != (ssize_t)sizeof account->seed)
        account->seed = clock_steady_ns() ^ (uintptr_t)account;
}

/* Whether a request id can be put into headers and logs unchanged: 1 to 128 letters, digits and
 * some punctuation. */
static bool id_is_fit(struct str id)
{
    static const char others[] = "-._:/+=@";
    if (id.len == 0 || id.len > 128)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr(others, c, sizeof others - 1) == NULL)
            return false;
    }
    return true;
}

static void append_hex(char *text, uint64_t number)
{
    for (int i = 15; i >= 0; i--) {
        text[i] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
}

/* A pseudo-random number derived from the seed and a counter (SplitMix64). */
static uint64_t next_random(struct account *account)
{
    uint64_t mixed = account->seed + ++account->count * 0x9E3779B97F4A7C15U;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
}

void account_begin(struct account *account, const struct http_request *request)
{
    account->id = request->id;
    if (!id_is_fit(request->id)) {
        append_hex(account->id_text, account->seed);
        append_hex(account->id_text + 16, next_random(account));
        account->id = (struct str){account->id_text, 32};
    }
    account->trace = (struct http_trace){0};
    if (request->traceparent.len > 0)
        account->trace = http_read_traceparent(request->traceparent);
    if (account->trace.trace_id.len > 0)
        append_hex(account->span_id, next_random(account) | 1); /* an all-zero id is invalid */
}

void account_tell(struct account *account, struct http_response *response)
{
    struct buffer text = buffer_on(account->trace_text, sizeof account->trace_text);
    http_response_header(response, STR("X-Request-ID"), account->id);
    if (account->trace.trace_id.len == 0)
        return;
    /* Our own span within the client's trace (W3C Trace Context, section 3.2). */
    buffer_append(&text, "00-", 3);
    buffer_append_str(&text, account->trace.trace_id);
    buffer_append_char(&text, '-');
    buffer_append(&text, account->span_id, sizeof account->span_id);
    buffer_append_char(&text, '-');
    buffer_append_str(&text, account->trace.flags);
    http_response_header(response, STR("traceparent"), buffer_str(&text));
}

void account_end(const struct account *account, struct metrics_slot *slot,
                 const struct http_request *request, const struct http_response *response,
                 size_t endpoint)
{
    uint64_t duration_ns = clock_steady_ns() - request->started_ns;
    uint64_t bytes_out = response->without_body ? 0 : response->body.len;
    metrics_end(slot, &(struct metrics_request){
                          .endpoint = endpoint,
                          .method = request->method,
                          .status = http_status_index(response->status),
                          .duration_ns = duration_ns,
                          .bytes_in = request->body.len,
                          .bytes_out = bytes_out,
                      });
    struct log_field fields[10] = {
        LOG_STR("request_id", account->id),
        LOG_TEXT("method", http_method_names[request->method]),
        LOG_TEXT("route", endpoint_labels[endpoint]),
        LOG_NUMBER("status", response->status),
        LOG_NUMBER("us", duration_ns / 1000),
        LOG_NUMBER("bytes", bytes_out),
    };
    size_t len = 6;
    if (account->key.len > 0)
        fields[len++] = LOG_STR("key", account->key);
    if (account->trace.trace_id.len > 0) {
        fields[len++] = LOG_STR("trace_id", account->trace.trace_id);
        fields[len++] =
            LOG_STR("span_id", ((struct str){account->span_id, sizeof account->span_id}));
        fields[len++] = LOG_STR("parent_id", account->trace.parent_id);
    }
    log_fields(response->status >= 500 ? LOG_ERROR : LOG_INFO, "request", fields, len);
}
