/* SPDX-License-Identifier: MIT */
#include "access/mask.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "model/json_texts.h"

enum { DIGITS = 12 };

static const struct str opening = STR_INIT("[secret:");

_Static_assert(MASK_KEY_LEN == crypto_auth_hmacsha256_KEYBYTES, "the HMAC's");
_Static_assert(MASK_LEN == sizeof "[secret:" - 1 + DIGITS + 1, "its parts");

/* ---- making ---- */

/* Writes the digits of the mask of a text, as it is stored, at a path. */
static void fingerprint(const struct mask_source *source, struct str path, struct str text,
                        char digits[DIGITS + 1])
{
    crypto_auth_hmacsha256_state state;
    uint8_t hash[crypto_auth_hmacsha256_BYTES];
    uint32_t lens[] = {(uint32_t)source->id.len, (uint32_t)path.len};
    crypto_auth_hmacsha256_init(&state, source->key, MASK_KEY_LEN);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)lens, sizeof lens);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)source->id.data, source->id.len);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)path.data, path.len);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.data, text.len);
    crypto_auth_hmacsha256_final(&state, hash);
    sodium_bin2hex(digits, DIGITS + 1, hash, DIGITS / 2);
}

static bool is_empty(struct str value)
{
    return value.len <= 2; /* the quotes */
}

static bool is_secret(const struct mask_source *source, struct str path)
{
    return source->schema == NULL || schema_is_secret(source->schema, path);
}

bool mask_append(const struct mask_source *source, struct str settings, struct arena *arena,
                 struct buffer *out)
{
    struct json_texts texts;
    struct str value;
    const char *kept = settings.data; /* not appended yet */
    json_texts_open(&texts, settings, arena);
    while (json_texts_next(&texts, &value)) {
        char digits[DIGITS + 1];
        if (is_empty(value) || !is_secret(source, buffer_str(&texts.path)))
            continue;
        fingerprint(source, buffer_str(&texts.path), value, digits);
        buffer_append(out, kept, (size_t)(value.data - kept));
        buffer_append_char(out, '"');
        buffer_append_str(out, opening);
        buffer_append(out, digits, DIGITS);
        buffer_append(out, "]\"", 2);
        kept = value.data + value.len;
    }
    buffer_append(out, kept, (size_t)(settings.data + settings.len - kept));
    bool done = !texts.failed && !out->failed;
    json_texts_close(&texts);
    return done;
}

/* ---- recognising ---- */

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Whether the text begins with a mask. */
static bool begins_with_mask(struct str text)
{
    if (text.len < MASK_LEN || !str_has_prefix(text, opening) || text.data[MASK_LEN - 1] != ']')
        return false;
    for (size_t i = opening.len; i < MASK_LEN - 1; i++)
        if (!is_digit(text.data[i]))
            return false;
    return true;
}

static bool has_mask(struct str text)
{
    const char *at;
    while ((at = memmem(text.data, text.len, opening.data, opening.len)) != NULL) {
        text = (struct str){at, text.len - (size_t)(at - text.data)};
        if (begins_with_mask(text))
            return true;
        text = (struct str){text.data + 1, text.len - 1};
    }
    return false;
}

bool mask_is_possible(struct str settings)
{
    return settings.len > 0 &&
           (memmem(settings.data, settings.len, opening.data, opening.len) != NULL ||
            memchr(settings.data, '\\', settings.len) != NULL);
}

/* ---- restoring ---- */

/* A stored text. */
struct stored {
    char digits[DIGITS + 1];
    struct str path;
    struct str value;
};

struct stored_list {
    struct stored *entries;
    size_t len;
    size_t cap;
};

static int compare(const void *a, const void *b)
{
    return memcmp(((const struct stored *)a)->digits, ((const struct stored *)b)->digits, DIGITS);
}

static bool add(struct stored_list *list, const struct stored *entry)
{
    if (list->len == list->cap) {
        size_t cap = list->cap == 0 ? 16 : 2 * list->cap;
        struct stored *larger = realloc(list->entries, cap * sizeof *larger);
        if (larger == NULL)
            return false;
        list->entries = larger;
        list->cap = cap;
    }
    list->entries[list->len++] = *entry;
    return true;
}

/* Lists the stored texts by their masks. */
static bool list_stored(const struct mask_source *source, struct str settings, struct arena *arena,
                        struct stored_list *list)
{
    struct json_texts texts;
    struct stored entry;
    bool listed = true;
    json_texts_open(&texts, settings, arena);
    while (listed && json_texts_next(&texts, &entry.value)) {
        if (is_empty(entry.value))
            continue;
        entry.path = arena_copy(arena, buffer_str(&texts.path));
        fingerprint(source, entry.path, entry.value, entry.digits);
        listed = !arena->failed && add(list, &entry);
    }
    listed = listed && !texts.failed;
    json_texts_close(&texts);
    if (list->len > 0)
        qsort(list->entries, list->len, sizeof *list->entries, compare);
    return listed;
}

/* Finds the stored text that a mask at this path stands for, or NULL. */
static const struct stored *find(const struct stored_list *list, struct str mask, struct str path)
{
    struct stored wanted = {.path = path};
    memcpy(wanted.digits, mask.data + opening.len, DIGITS);
    const struct stored *entry =
        list->len == 0 ? NULL : bsearch(&wanted, list->entries, list->len, sizeof wanted, compare);
    /* Others with the same digits are of the same path and text, or the one chance in 2^48. */
    return entry != NULL && str_equal(entry->path, path) ? entry : NULL;
}

struct restoring {
    const struct mask_source *source;
    struct str stored;
    struct arena *arena;
    struct buffer *out;
    struct stored_list list;
    bool listed;
    const char *kept; /* of the settings, not appended yet */
};

/* Replaces a text that holds a mask. */
static enum mask_outcome restore_one(struct restoring *restoring, const struct json_texts *texts,
                                     struct str value, struct str decoded)
{
    if (!restoring->listed && restoring->stored.len > 0 &&
        !list_stored(restoring->source, restoring->stored, restoring->arena, &restoring->list))
        return MASK_FAILED;
    restoring->listed = true;
    const struct stored *entry =
        decoded.len == MASK_LEN ? find(&restoring->list, decoded, buffer_str(&texts->path)) : NULL;
    if (entry == NULL)
        return MASK_WRONG;
    buffer_append(restoring->out, restoring->kept, (size_t)(value.data - restoring->kept));
    buffer_append_str(restoring->out, entry->value);
    restoring->kept = value.data + value.len;
    return MASK_RESTORED;
}

static enum mask_outcome restore_all(struct restoring *restoring, struct json_texts *texts,
                                     struct str *member)
{
    struct str value;
    enum mask_outcome outcome = MASK_NONE;
    while (json_texts_next(texts, &value)) {
        struct str decoded = {value.data + 1, value.len - 2};
        if (memchr(value.data, '\\', value.len) != NULL)
            decoded = json_decode_string(restoring->arena, value);
        if (!has_mask(decoded))
            continue;
        outcome = restore_one(restoring, texts, value, decoded);
        if (outcome == MASK_WRONG)
            *member = arena_copy(restoring->arena, json_texts_member(texts));
        if (outcome != MASK_RESTORED)
            return outcome;
    }
    return texts->failed ? MASK_FAILED : outcome;
}

enum mask_outcome mask_restore(const struct mask_source *source, struct str settings,
                               struct str stored, struct arena *arena, struct buffer *out,
                               struct str *member)
{
    struct json_texts texts;
    struct restoring restoring = {
        .source = source, .stored = stored, .arena = arena, .out = out, .kept = settings.data};
    if (!mask_is_possible(settings))
        return MASK_NONE;
    json_texts_open(&texts, settings, arena);
    enum mask_outcome outcome = restore_all(&restoring, &texts, member);
    json_texts_close(&texts);
    free(restoring.list.entries);
    if (outcome == MASK_RESTORED)
        buffer_append(out, restoring.kept, (size_t)(settings.data + settings.len - restoring.kept));
    return arena->failed || out->failed ? MASK_FAILED : outcome;
}
