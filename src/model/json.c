/* SPDX-License-Identifier: MIT */
#include "model/json.h"

#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>

#include "base/text.h"

/* Name of a member of an object being scanned. */
struct key {
    struct str name; /* decoded */
    const char *at;  /* in the text; shows which one came first */
};

struct scanner {
    struct arena *arena;
    const char *start;
    const char *at;
    const char *end;
    unsigned depth;
    enum json_status status;
    struct json_error *error;
    /* Where flaws are recorded: the current member of the outermost object. */
    struct json_value *value;
    struct key *keys; /* of all open objects, the innermost last */
    size_t keys_len;
    size_t keys_cap;
    struct json_member *members;
    size_t members_len;
};

static bool fail(struct scanner *scanner, enum json_status status, const char *message)
{
    scanner->status = status;
    scanner->error->offset = (size_t)(scanner->at - scanner->start);
    scanner->error->message = message;
    return false;
}

static bool syntax_error(struct scanner *scanner, const char *message)
{
    return fail(scanner, JSON_SYNTAX, message);
}

static bool no_memory(struct scanner *scanner)
{
    return fail(scanner, JSON_NO_MEMORY, "out of memory");
}

/* Returns the next character, or 0 at the end. (A NUL in the text is not allowed anywhere by the
 * grammar either.) */
static char peek(const struct scanner *scanner)
{
    if (scanner->at == scanner->end)
        return '\0';
    return *scanner->at;
}

static bool take(struct scanner *scanner, char c)
{
    if (scanner->at == scanner->end || *scanner->at != c)
        return false;
    scanner->at++;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end && is_space(*scanner->at))
        scanner->at++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool scan_literal(struct scanner *scanner, struct str literal)
{
    if ((size_t)(scanner->end - scanner->at) < literal.len ||
        memcmp(scanner->at, literal.data, literal.len) != 0)
        return syntax_error(scanner, "expecting value");
    scanner->at += literal.len;
    return true;
}

static bool scan_digits(struct scanner *scanner)
{
    if (!is_digit(peek(scanner)))
        return syntax_error(scanner, "expecting digit");
    while (is_digit(peek(scanner)))
        scanner->at++;
    return true;
}

static bool scan_number(struct scanner *scanner, struct json_value *value)
{
    const char *start = scanner->at;
    value->kind = JSON_INTEGER;
    take(scanner, '-');
    if (!take(scanner, '0') && !scan_digits(scanner))
        return false;
    if (take(scanner, '.')) {
        value->kind = JSON_REAL;
        if (!scan_digits(scanner))
            return false;
    }
    if (take(scanner, 'e') || take(scanner, 'E')) {
        value->kind = JSON_REAL;
        if (!take(scanner, '+'))
            take(scanner, '-');
        if (!scan_digits(scanner))
            return false;
    }
    struct str text = {start, (size_t)(scanner->at - start)};
    if (value->kind == JSON_REAL && isinf(json_decode_number(text)))
        scanner->value->flaws |= JSON_FLAW_RANGE;
    return true;
}

/* Scans the four hex digits after "\u". Returns the code unit, or -1. */
static int scan_code_unit(struct scanner *scanner)
{
    int unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = peek(scanner);
        int digit = is_digit(c)              ? c - '0'
                    : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                    : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                             : -1;
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
        scanner->at++;
    }
    return unit;
}

static bool is_high_surrogate(int unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* Scans the rest of an escape after "\u". A high surrogate must be followed by the escape of a low
 * one. */
static bool scan_unicode_escape(struct scanner *scanner)
{
    int unit = scan_code_unit(scanner);
    while (is_high_surrogate(unit)) {
        if (scanner->end - scanner->at < 2 || memcmp(scanner->at, "\\u", 2) != 0) {
            scanner->value->flaws |= JSON_FLAW_SURROGATE;
            return true;
        }
        scanner->at += 2;
        unit = scan_code_unit(scanner);
        if (is_low_surrogate(unit))
            return true;
        scanner->value->flaws |= JSON_FLAW_SURROGATE;
    }
    if (unit < 0)
        return syntax_error(scanner, "invalid \\uXXXX escape");
    if (is_low_surrogate(unit))
        scanner->value->flaws |= JSON_FLAW_SURROGATE;
    return true;
}

static bool scan_escape(struct scanner *scanner)
{
    char c = peek(scanner);
    if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
        return syntax_error(scanner, "invalid \\escape");
    scanner->at++;
    return c != 'u' || scan_unicode_escape(scanner);
}

static bool scan_string(struct scanner *scanner)
{
    if (!take(scanner, '"'))
        return syntax_error(scanner, "expecting string");
    while (scanner->at < scanner->end) {
        unsigned char c = (unsigned char)*scanner->at;
        if (c < 0x20)
            return syntax_error(scanner, "invalid control character");
        scanner->at++;
        if (c == '"')
            return true;
        if (c == '\\' && !scan_escape(scanner))
            return false;
    }
    return syntax_error(scanner, "unterminated string");
}

static bool scan_value(struct scanner *scanner, struct json_value *value);

static bool scan_array(struct scanner *scanner)
{
    struct json_value item;
    scanner->at++;
    skip_space(scanner);
    if (take(scanner, ']'))
        return true;
    do {
        skip_space(scanner);
        if (!scan_value(scanner, &item))
            return false;
        skip_space(scanner);
    } while (take(scanner, ','));
    return take(scanner, ']') || syntax_error(scanner, "expecting ',' delimiter");
}

static bool push_key(struct scanner *scanner, struct str name, const char *at)
{
    if (scanner->keys_len == scanner->keys_cap) {
        size_t cap = scanner->keys_cap == 0 ? 32 : scanner->keys_cap * 2;
        struct key *keys = arena_alloc(scanner->arena, cap * sizeof *keys);
        if (keys == NULL)
            return no_memory(scanner);
        if (scanner->keys_len > 0)
            memcpy(keys, scanner->keys, scanner->keys_len * sizeof *keys);
        scanner->keys = keys;
        scanner->keys_cap = cap;
    }
    scanner->keys[scanner->keys_len++] = (struct key){name, at};
    return true;
}

/* Orders keys by name, and equal names by position. */
static int compare_keys(const void *left, const void *right)
{
    const struct key *a = left;
    const struct key *b = right;
    int order = str_compare(a->name, b->name);
    if (order != 0)
        return order;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Records the first repeated name of the innermost object, whose keys start at `first`, and drops
 * those keys. */
static void find_duplicate(struct scanner *scanner, size_t first)
{
    size_t len = scanner->keys_len - first;
    const struct key *found = NULL;
    scanner->keys_len = first;
    if (len < 2 || (scanner->value->flaws & JSON_FLAW_DUPLICATE) != 0)
        return;
    struct key *keys = scanner->keys + first;
    qsort(keys, len, sizeof *keys, compare_keys);
    for (size_t i = 1; i < len; i++)
        if (str_equal(keys[i - 1].name, keys[i].name) && (found == NULL || keys[i].at < found->at))
            found = &keys[i];
    if (found == NULL)
        return;
    scanner->value->flaws |= JSON_FLAW_DUPLICATE;
    scanner->value->duplicate = found->name;
}

/* Scans and decodes the name of a member. */
static bool scan_name(struct scanner *scanner, struct str *name)
{
    const char *start = scanner->at;
    if (peek(scanner) != '"')
        return syntax_error(scanner, "expecting property name enclosed in double quotes");
    if (!scan_string(scanner))
        return false;
    *name = (struct str){start + 1, (size_t)(scanner->at - start) - 2};
    if (memchr(name->data, '\\', name->len) != NULL)
        *name =
            json_decode_string(scanner->arena, (struct str){start, (size_t)(scanner->at - start)});
    return name->data != NULL || no_memory(scanner);
}

static bool scan_colon(struct scanner *scanner)
{
    skip_space(scanner);
    if (!take(scanner, ':'))
        return syntax_error(scanner, "expecting ':' delimiter");
    skip_space(scanner);
    return true;
}

/* Scans a member of the outermost object. Its flaws are recorded separately, and the caller may
 * have asked for it. */
static bool scan_outer_member(struct scanner *scanner)
{
    struct json_value value = {0};
    struct json_value *root = scanner->value;
    struct str name;
    if (!scan_name(scanner, &name) || !scan_colon(scanner))
        return false;
    scanner->value = &value;
    bool scanned = scan_value(scanner, &value);
    scanner->value = root;
    for (size_t i = 0; scanned && i < scanner->members_len; i++)
        if (str_equal(scanner->members[i].name, name)) {
            scanner->members[i].present = true;
            scanner->members[i].value = value;
        }
    return scanned;
}

static bool scan_inner_member(struct scanner *scanner)
{
    struct json_value value;
    struct str name;
    const char *at = scanner->at;
    return scan_name(scanner, &name) && push_key(scanner, name, at) && scan_colon(scanner) &&
           scan_value(scanner, &value);
}

static bool scan_object(struct scanner *scanner)
{
    bool outermost = scanner->depth == 1;
    size_t first_key = scanner->keys_len;
    scanner->at++;
    skip_space(scanner);
    if (take(scanner, '}'))
        return true;
    do {
        skip_space(scanner);
        if (outermost ? !scan_outer_member(scanner) : !scan_inner_member(scanner))
            return false;
        skip_space(scanner);
    } while (take(scanner, ','));
    if (!take(scanner, '}'))
        return syntax_error(scanner, "expecting ',' delimiter");
    find_duplicate(scanner, first_key);
    return true;
}

static bool scan_nested(struct scanner *scanner, bool (*scan)(struct scanner *))
{
    if (scanner->depth == JSON_DEPTH_MAX)
        return fail(scanner, JSON_TOO_DEEP, "nested too deep");
    scanner->depth++;
    bool scanned = scan(scanner);
    scanner->depth--;
    return scanned;
}

static bool scan_kind(struct scanner *scanner, struct json_value *value)
{
    switch (peek(scanner)) {
    case '{':
        value->kind = JSON_OBJECT;
        return scan_nested(scanner, scan_object);
    case '[':
        value->kind = JSON_ARRAY;
        return scan_nested(scanner, scan_array);
    case '"':
        value->kind = JSON_STRING;
        return scan_string(scanner);
    case 't':
        value->kind = JSON_BOOLEAN;
        return scan_literal(scanner, STR("true"));
    case 'f':
        value->kind = JSON_BOOLEAN;
        return scan_literal(scanner, STR("false"));
    case 'n':
        value->kind = JSON_NULL;
        return scan_literal(scanner, STR("null"));
    default:
        if (peek(scanner) != '-' && !is_digit(peek(scanner)))
            return syntax_error(scanner, "expecting value");
        return scan_number(scanner, value);
    }
}

static bool scan_value(struct scanner *scanner, struct json_value *value)
{
    const char *start = scanner->at;
    if (!scan_kind(scanner, value))
        return false;
    value->text = (struct str){start, (size_t)(scanner->at - start)};
    return true;
}

enum json_status json_scan(struct arena *arena, struct str text, struct json_value *root,
                           struct json_member *members, size_t members_len,
                           struct json_error *error)
{
    *root = (struct json_value){0};
    *error = (struct json_error){0};
    for (size_t i = 0; i < members_len; i++)
        members[i].present = false;
    /* strtod, which reads the numbers, needs a NUL at the end. */
    text = arena_copy(arena, text);
    if (text.data == NULL)
        return JSON_NO_MEMORY;
    if (!text_is_utf8(text))
        return JSON_ENCODING;
    struct scanner scanner = {.arena = arena,
                              .start = text.data,
                              .at = text.data,
                              .end = text.data + text.len,
                              .error = error,
                              .value = root,
                              .members = members,
                              .members_len = members_len};
    skip_space(&scanner);
    if (!scan_value(&scanner, root))
        return scanner.status;
    skip_space(&scanner);
    if (scanner.at != scanner.end)
        (void)syntax_error(&scanner, "extra data");
    return scanner.status;
}

struct str json_decode_string(struct arena *arena, struct str text)
{
    struct str decoded = {NULL, 0};
    struct json_tokener *tokener = json_tokener_new();
    if (tokener == NULL)
        return decoded;
    struct json_object *string = json_tokener_parse_ex(tokener, text.data, (int)text.len);
    if (string != NULL)
        decoded = arena_copy(arena, (struct str){json_object_get_string(string),
                                                 (size_t)json_object_get_string_len(string)});
    json_object_put(string);
    json_tokener_free(tokener);
    return decoded;
}

double json_decode_number(struct str text)
{
    return strtod(text.data, NULL);
}
