/* SPDX-License-Identifier: MIT
 *
 * Checking settings against schemas. The messages and types of faults are those of pydantic 1, as
 * they are elsewhere in the contract. */
#include <math.h>

#include "model/json.h"
#include "model/json_walk.h"
#include "providers/internal.h"
#include "providers/pattern.h"

struct checker {
    struct faults *faults;
    struct fault_place place;
};

static bool has_enough(const struct checker *checker)
{
    return checker->faults->len >= SCHEMA_FAULTS_MAX;
}

static void fault(struct checker *checker, struct str message, const char *type)
{
    if (has_enough(checker))
        return;
    faults_add(checker->faults, &checker->place, message, type);
}

/* Adds a fault with a number in its message. */
static void fault_of_number(struct checker *checker, const char *before, double number,
                            const char *after, const char *type)
{
    struct buffer message = {0};
    buffer_printf(&message, "%s%.15g%s", before, number, after);
    fault(checker, arena_copy(checker->faults->arena, buffer_str(&message)), type);
    buffer_release(&message);
}

static void check(struct checker *checker, const struct schema *schema, struct str value);

/* Checks a part, one step further down; what is too deep to be named is reported where it is in.
 * The functions that check recurse as deeply as the schema is nested, which is at most
 * JSON_DEPTH_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void check_part(struct checker *checker, const struct fault_place *place,
                       const struct schema *schema, struct str value)
{
    struct checker part = {checker->faults, *place};
    if (schema != NULL && !has_enough(checker))
        check(&part, schema, value);
}

static struct fault_place member_place(const struct checker *checker, struct str name)
{
    return checker->place.steps_len < FAULT_STEPS_MAX ? fault_place_member(&checker->place, name)
                                                      : checker->place;
}

static struct fault_place item_place(const struct checker *checker, size_t number)
{
    return checker->place.steps_len < FAULT_STEPS_MAX ? fault_place_number(&checker->place, number)
                                                      : checker->place;
}

/* ---- types ---- */

bool schema_is_number(struct str value)
{
    return value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9');
}

/* 1.0 is an integer (JSON Schema Validation, section 6.1.1). */
static bool is_integer(struct str value)
{
    return schema_is_number(value) && floor(json_decode_number(value)) == json_decode_number(value);
}

static bool has_type(const struct schema *schema, struct str value)
{
    switch (schema->type) {
    case SCHEMA_STRING:
        return value.data[0] == '"';
    case SCHEMA_INTEGER:
        return is_integer(value);
    case SCHEMA_NUMBER:
        return schema_is_number(value);
    case SCHEMA_BOOLEAN:
        return value.data[0] == 't' || value.data[0] == 'f';
    case SCHEMA_OBJECT:
        return value.data[0] == '{';
    case SCHEMA_ARRAY:
        return value.data[0] == '[';
    default:
        return true;
    }
}

static void fault_of_type(struct checker *checker, enum schema_type type)
{
    static const struct {
        struct str message;
        const char *type;
    } words[SCHEMA_TYPES] = {
        [SCHEMA_STRING] = {STR_INIT("str type expected"), "type_error.str"},
        [SCHEMA_INTEGER] = {STR_INIT("value is not a valid integer"), "type_error.integer"},
        [SCHEMA_NUMBER] = {STR_INIT("value is not a valid float"), "type_error.float"},
        [SCHEMA_BOOLEAN] = {STR_INIT("value is not a valid boolean"), "value_error.strictboolean"},
        [SCHEMA_OBJECT] = {STR_INIT("value is not a valid dict"), "type_error.dict"},
        [SCHEMA_ARRAY] = {STR_INIT("value is not a valid list"), "type_error.list"},
    };
    fault(checker, words[type].message, words[type].type);
}

/* ---- texts and numbers ---- */

static uint64_t count_characters(struct str text)
{
    uint64_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        len += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return len;
}

/* Adds a fault if a length is out of range. */
static void check_len(struct checker *checker, const struct schema_range *range, uint64_t len,
                      const char *unit, const char *type_if_less, const char *type_if_more)
{
    if (len < range->least)
        fault_of_number(checker, "ensure this value has at least ", (double)range->least, unit,
                        type_if_less);
    else if (len > range->most)
        fault_of_number(checker, "ensure this value has at most ", (double)range->most, unit,
                        type_if_more);
}

static void check_text(struct checker *checker, const struct schema *schema, struct str value)
{
    struct str text = json_decode_string(checker->faults->arena, value);
    if (text.data == NULL)
        return; /* the failure is recorded in the arena */
    uint64_t len = count_characters(text);
    if (schema->choices.len > 0 && !str_is_among(text, schema->choices.list, schema->choices.len))
        fault(checker, STR("value is not a valid enumeration member"), "type_error.enum");
    check_len(checker, &schema->text_len, len, " characters", "value_error.any_str.min_length",
              "value_error.any_str.max_length");
    if (len >= schema->text_len.least && len <= schema->text_len.most && schema->pattern != NULL &&
        !pattern_matches(schema->pattern, text))
        fault(checker, STR("string does not match the pattern of its provider"),
              "value_error.str.regex");
}

static void check_number(struct checker *checker, const struct schema *schema, struct str value)
{
    double number = json_decode_number(value);
    if (number < schema->least)
        fault_of_number(checker, "ensure this value is greater than or equal to ", schema->least,
                        "", "value_error.number.not_ge");
    else if (number > schema->most)
        fault_of_number(checker, "ensure this value is less than or equal to ", schema->most, "",
                        "value_error.number.not_le");
}

/* ---- objects and arrays ---- */

static bool has_member(struct checker *checker, struct str object, struct str wanted)
{
    struct str name;
    struct str value;
    while (json_walk_next(&object, &name, &value))
        if (str_equal(json_decode_string(checker->faults->arena, name), wanted))
            return true;
    return false;
}

// NOLINTNEXTLINE(misc-no-recursion)
static void check_object(struct checker *checker, const struct schema *schema, struct str value)
{
    struct str rest = value;
    struct str name;
    struct str member;
    for (size_t i = 0; i < schema->required.len; i++)
        if (!has_member(checker, value, schema->required.list[i])) {
            struct checker missing = {checker->faults,
                                      member_place(checker, schema->required.list[i])};
            fault(&missing, STR("field required"), "value_error.missing");
        }
    while (json_walk_next(&rest, &name, &member)) {
        struct str decoded = json_decode_string(checker->faults->arena, name);
        const struct schema *part = schema_member(schema, decoded);
        struct fault_place place = member_place(checker, decoded);
        if (part == NULL && schema->others.none && !has_enough(checker))
            faults_add(checker->faults, &place, STR("extra fields not permitted"),
                       "value_error.extra");
        check_part(checker, &place, part, member);
    }
}

// NOLINTNEXTLINE(misc-no-recursion)
static void check_array(struct checker *checker, const struct schema *schema, struct str value)
{
    struct str name;
    struct str item;
    size_t len = 0;
    while (json_walk_next(&value, &name, &item)) {
        struct fault_place place = item_place(checker, len++);
        check_part(checker, &place, schema->items, item);
    }
    check_len(checker, &schema->items_len, len, " items", "value_error.list.min_items",
              "value_error.list.max_items");
}

// NOLINTNEXTLINE(misc-no-recursion)
static void check(struct checker *checker, const struct schema *schema, struct str value)
{
    if (!has_type(schema, value)) {
        fault_of_type(checker, schema->type);
        return;
    }
    if (schema->choices.len > 0 && value.data[0] != '"')
        fault(checker, STR("value is not a valid enumeration member"), "type_error.enum");
    if (value.data[0] == '"')
        check_text(checker, schema, value);
    else if (value.data[0] == '{')
        check_object(checker, schema, value);
    else if (value.data[0] == '[')
        check_array(checker, schema, value);
    else if (schema_is_number(value))
        check_number(checker, schema, value);
}

void schema_check(const struct schema *schema, struct str value, const struct fault_place *place,
                  struct faults *faults)
{
    struct checker checker = {faults, *place};
    check(&checker, schema, value);
}
