/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a provider's schema, and as settings: a schema that is taken can be asked, and what
 * is refused is refused with a reason. */
#include <stdlib.h>

#include "model/json.h"
#include "model/json_texts.h"
#include "providers/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RICH                                                                                       \
    "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"string\","        \
    "\"minLength\":2,\"pattern\":\"^(x|yz)+$\",\"writeOnly\":true},\"b\":{\"type\":\"array\","     \
    "\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"integer\",\"minimum\":-1}},"              \
    "\"c\":{\"enum\":[\"u\",\"v\"]}},\"additionalProperties\":{\"type\":\"object\"}}"

/* Asks a schema about settings. */
static void use(struct arena *arena, const struct schema *schema, struct str settings)
{
    const struct fault_place place = {.root = "body"};
    struct faults faults = {.arena = arena};
    struct json_texts texts;
    struct str value;
    size_t secret = 0;
    schema_check(schema, settings, &place, &faults);
    json_texts_open(&texts, settings, arena);
    while (json_texts_next(&texts, &value))
        secret += schema_is_secret(schema, buffer_str(&texts.path));
    json_texts_close(&texts);
    for (size_t i = 0; i < faults.len; i++)
        if (faults.list[i].message.len == 0 || faults.list[i].type == NULL || secret > settings.len)
            abort();
}

static void check(struct arena *arena, struct str text)
{
    struct buffer fault = {0};
    struct json_value root;
    struct json_error error;
    const struct schema *schema = schema_read(arena, text, &fault);
    if ((schema == NULL) != (fault.len > 0))
        abort();
    buffer_release(&fault);
    if (schema != NULL) {
        use(arena, schema, arena_copy(arena, STR("{\"a\":\"xyz\",\"b\":[1,2.5],\"c\":null}")));
        schema_release(schema);
    }
    struct json_member settings = {.name = STR("settings")};
    if (json_scan(arena, text, &root, &settings, 1, &error) != JSON_OK || !settings.present ||
        settings.value.flaws != 0)
        return;
    schema = schema_read(arena, STR(RICH), &fault);
    if (schema == NULL)
        abort();
    use(arena, schema, arena_copy(arena, settings.value.text));
    schema_release(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    check(&arena, (struct str){(const char *)data, size});
    arena_release(&arena);
    return 0;
}
