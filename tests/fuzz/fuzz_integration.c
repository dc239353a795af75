/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a request's body: what is taken is a document that is taken again, as it is, and
 * what is refused is refused in JSON; what is masked can be restored. */
#include <stdlib.h>

#include "access/mask.h"
#include "model/integration.h"
#include "model/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a patch makes of an integration is one, and the same patch leaves it as it is then. */
static void check_patch(struct arena *arena, struct str patch)
{
    static const struct integration_rules rules = {.is_json = true};
    struct str document = STR("{\"id\":\"i\",\"name\":\"n\",\"description\":\"d\",\"status\":true,"
                              "\"settings\":{\"a\":{\"b\":[1]},\"c\":\"\\u0000\"}}");
    struct integration once;
    struct integration again;
    struct faults faults = {.arena = arena};
    if (integration_patch(arena, document, patch, &rules, &once, &faults) == INTEGRATION_OK &&
        (integration_patch(arena, once.document, patch, &rules, &again, &faults) !=
             INTEGRATION_OK ||
         !str_equal(once.document, again.document)))
        abort();
}

/* Masked settings are JSON in which no text is left as it was, and they can be restored. */
static void check_masks(struct arena *arena, const struct integration *integration)
{
    static const uint8_t key[MASK_KEY_LEN] = {1};
    const struct mask_source source = {.key = key, .id = integration->id};
    struct str values[INTEGRATION_FIELDS];
    struct buffer masked = {0};
    struct buffer restored = {0};
    struct json_value root;
    struct json_error error;
    struct str member;
    if (!integration_split(arena, integration->document, values))
        abort();
    struct str plain = values[INTEGRATION_SETTINGS];
    if (!mask_append(&source, plain, arena, &masked))
        abort();
    struct str shown = arena_copy(arena, buffer_str(&masked)); /* NUL-terminated, for json_scan */
    enum mask_outcome outcome = mask_restore(&source, shown, plain, arena, &restored, &member);
    if (json_scan(arena, shown, &root, NULL, 0, &error) != JSON_OK || root.kind != JSON_OBJECT ||
        (outcome == MASK_NONE && !str_equal(shown, plain)) ||
        (outcome == MASK_RESTORED && !str_equal(buffer_str(&restored), plain)) ||
        outcome == MASK_WRONG || outcome == MASK_FAILED)
        abort();
    buffer_release(&masked);
    buffer_release(&restored);
}

static void check(struct arena *arena, struct str body)
{
    struct integration_rules rules = {.is_json = true};
    struct integration first;
    struct integration second;
    struct faults faults = {.arena = arena};
    struct buffer detail = {0};
    struct json_value root;
    struct json_error error;
    switch (integration_parse(arena, body, &rules, &first, &faults)) {
    case INTEGRATION_OK:
        if (!integration_id_is_valid(first.id) ||
            integration_parse(arena, first.document, &rules, &second, &faults) != INTEGRATION_OK ||
            !str_equal(first.document, second.document) || !str_equal(first.id, second.id))
            abort();
        check_masks(arena, &first);
        break;
    case INTEGRATION_INVALID:
        faults_append_json(&detail, &faults);
        if (json_scan(arena, buffer_str(&detail), &root, NULL, 0, &error) != JSON_OK ||
            root.kind != JSON_ARRAY || root.text.len < 3)
            abort();
        break;
    case INTEGRATION_UNREADABLE:
        break;
    case INTEGRATION_NO_MEMORY:
        abort();
    }
    buffer_release(&detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    check(&arena, (struct str){(const char *)data, size});
    check_patch(&arena, (struct str){(const char *)data, size});
    arena_release(&arena);
    return 0;
}
