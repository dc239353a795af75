/* SPDX-License-Identifier: MIT */
#include "app/admission.h"

#include "app/answer.h"
#include "base/clock.h"

/* What WWW-Authenticate says after the scheme (RFC 6750, section 3). */
#define REALM "Bearer realm=\"integrations\""

/* The key that the request carries, or an empty text. Another scheme of Authorization is for a
 * server in front of us. */
static struct str find_key(const struct http_request *request)
{
    struct str rest = str_trim(request->authorization);
    struct str scheme;
    if (str_split(&rest, ' ', &scheme) && str_equal_ignore_case(scheme, STR("Bearer")))
        return str_trim(rest);
    return str_trim(request->api_key);
}

void admission_identify(struct call *call)
{
    struct app_session *session = call->session;
    struct str remote_user = session->app->config->trust_remote_user ? call->request->remote_user
                                                                     : (struct str){NULL, 0};
    keyring_judge(session->app->keyring, find_key(call->request), remote_user, &session->arena,
                  &session->grant);
    if (session->grant.verdict == KEY_VALID)
        metrics_note_key(session->app->metrics, session->grant.number,
                         clock_wall_us() / US_PER_MINUTE);
    call->caller.author.actor = str_from(session->grant.name);
    call->caller.providers = session->app->providers;
    call->caller.keyed = session->grant.verdict != KEY_NOT_NEEDED;
    call->caller.masked = (session->grant.scopes & SCOPE_SECRETS) == 0;
}

/* Refuses who has no valid key. */
static void answer_unauthorized(const struct call *call, enum key_verdict verdict)
{
    struct str challenge = STR(REALM);
    struct str detail =
        STR("a key is needed, as \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\"");
    if (verdict == KEY_UNKNOWN) {
        challenge =
            STR(REALM ", error=\"invalid_token\", error_description=\"the key is unknown\"");
        detail = STR("the key is unknown");
    } else if (verdict == KEY_EXPIRED) {
        challenge =
            STR(REALM ", error=\"invalid_token\", error_description=\"the key has expired\"");
        detail = STR("the key has expired");
    }
    http_response_header(&call->session->response, STR("WWW-Authenticate"), challenge);
    answer_error(call, 401, detail);
}

bool admission_covers(const struct call *call, struct str id)
{
    const struct key_grant *grant = &call->session->grant;
    if (grant->ids == NULL || str_is_among(id, grant->ids, grant->ids_len))
        return true;
    http_response_header(&call->session->response, STR("WWW-Authenticate"),
                         STR(REALM ", error=\"insufficient_scope\", error_description=\"the key is "
                                   "bound to other integrations\""));
    answer_error(call, 403, STR("the key is bound to other integrations"));
    return false;
}

/* Prepares the veil of a key that is bound to ids. */
static bool open_veil(const struct call *call)
{
    struct app_session *session = call->session;
    uint8_t key[STORE_MASK_KEY_LEN];
    enum store_status status = service_mask_key(&session->service, &call->caller, key);
    if (status == STORE_OK)
        veil_open(&session->veil, key);
    else
        answer_failure(call, status);
    return status == STORE_OK;
}

/* Refuses a key that may do other things. */
static void answer_forbidden(const struct call *call, unsigned needed)
{
    struct app_session *session = call->session;
    struct buffer challenge = {0};
    struct buffer detail = {0};
    buffer_append_str(&challenge, STR(REALM ", error=\"insufficient_scope\", scope=\""));
    scopes_append(&challenge, needed, ' ');
    buffer_append_char(&challenge, '"');
    buffer_append_str(&detail, STR("the key lacks a scope: "));
    scopes_append(&detail, needed & ~session->grant.scopes, ' ');
    answer_header(call, STR("WWW-Authenticate"), &challenge);
    struct str text = arena_copy(&session->arena, buffer_str(&detail));
    session->arena.failed |= detail.failed;
    buffer_release(&detail);
    answer_error(call, 403, text);
}

bool admission_admit(const struct call *call, const struct operation *operation)
{
    const struct key_grant *grant = &call->session->grant;
    if (grant->verdict == KEY_NOT_NEEDED || operation->scopes == SCOPE_NONE)
        return true;
    if (grant->verdict != KEY_VALID)
        answer_unauthorized(call, grant->verdict);
    else if ((operation->scopes & ~grant->scopes) != 0)
        answer_forbidden(call, operation->scopes);
    else if (grant->ids == NULL || operation->kind == OPERATION_PLAIN)
        return true;
    else
        return (call->id.len == 0 || admission_covers(call, call->id)) && open_veil(call);
    return false;
}

void admission_add_headers(const struct call *call, const struct endpoint *endpoint)
{
    const struct operation *operation = endpoint_operation(endpoint, call->request->method);
    struct app_session *session = call->session;
    struct buffer scopes = buffer_on(session->scopes_text, sizeof session->scopes_text);
    if (session->grant.verdict == KEY_NOT_NEEDED || operation->scopes == SCOPE_NONE)
        return;
    http_response_header(&session->response, STR("Vary"), STR("Authorization, X-API-Key"));
    if (session->grant.verdict != KEY_VALID)
        return;
    scopes_append(&scopes, session->grant.scopes, ',');
    http_response_header(&session->response, STR("X-Key-Scopes"), buffer_str(&scopes));
}
