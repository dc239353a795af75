/* SPDX-License-Identifier: MIT
 *
 * Any bytes as JSON: what is taken stays JSON when its white space goes, and json-c, which is more
 * lenient, takes it too. */
#include <json-c/json.h>
#include <stdlib.h>

#include "model/json.h"
#include "model/json_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct arena *arena, struct str text)
{
    struct json_value root;
    struct json_error error;
    struct json_member member = {.name = STR("a")};
    struct buffer compact = {0};
    struct buffer again = {0};
    if (json_scan(arena, text, &root, &member, 1, &error) != JSON_OK)
        return;
    json_walk_compact(&compact, root.text);
    if (json_scan(arena, buffer_str(&compact), &root, &member, 1, &error) != JSON_OK)
        abort();
    json_walk_compact(&again, buffer_str(&compact));
    if (!str_equal(buffer_str(&compact), buffer_str(&again)))
        abort();
    buffer_append_char(&compact, '\0');
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
    json_object_put(json_tokener_parse_ex(tokener, compact.data, (int)compact.len));
    if (json_tokener_get_error(tokener) != json_tokener_success)
        abort();
    json_tokener_free(tokener);
    if (member.present && member.value.kind == JSON_STRING && member.value.flaws == 0 &&
        json_decode_string(arena, member.value.text).data == NULL)
        abort();
    buffer_release(&compact);
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    check(&arena, (struct str){(const char *)data, size});
    arena_release(&arena);
    return 0;
}
