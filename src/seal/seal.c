/* SPDX-License-Identifier: MIT */
#include "seal/seal.h"

#include <sodium.h>

#include "base/arena.h"
#include "base/text.h"
#include "model/integration.h"

enum {
    NONCE_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_LEN = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    ENDING_LEN = 2, /* "} */
    BOUND_MAX = 128 + INTEGRATION_ID_MAX
};

_Static_assert((int)VAULT_KEY_LEN == (int)crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "its key's");

static const struct str form = STR_INIT("1:");
static const struct str opening = STR_INIT(",\"settings\":\"");

/* The parts of a sealed document. */
struct parts {
    struct str before; /* up to the value of the settings */
    struct str name;   /* of the key */
    struct str base64; /* nonce, ciphertext, tag */
};

/* ---- parts ---- */

/* Nothing in a sealed text has to be escaped, so it begins at the last quotation mark but one. */
static bool split(struct str document, struct parts *parts)
{
    if (document.len < opening.len + ENDING_LEN || !str_has_suffix(document, STR("\"}")))
        return false;
    const char *end = document.data + document.len - ENDING_LEN;
    const char *quote = memrchr(document.data, '"', (size_t)(end - document.data));
    if (quote == NULL)
        return false;
    parts->before = (struct str){document.data, (size_t)(quote - document.data)};
    struct str text = {quote + 1, (size_t)(end - quote - 1)};
    struct str up_to_text = {document.data, parts->before.len + 1};
    if (!str_has_suffix(up_to_text, opening) || !str_has_prefix(text, form))
        return false;
    text = (struct str){text.data + form.len, text.len - form.len};
    if (!str_split(&text, ':', &parts->name) || text.data == NULL || parts->name.len == 0)
        return false;
    parts->base64 = text;
    return true;
}

struct str seal_key_name(struct str document)
{
    struct parts parts;
    return split(document, &parts) ? parts.name : (struct str){NULL, 0};
}

/* ---- sealing ---- */

static void append_number(struct buffer *out, uint64_t number)
{
    for (unsigned shift = 0; shift < 64; shift += 8)
        buffer_append_char(out, (char)(number >> shift & 0xFF));
}

/* Writes what is bound to a sealed text: parts of known lengths, and at the end the id. */
static struct str bind(const struct seal_place *place, const struct vault_key *key,
                       char storage[BOUND_MAX])
{
    struct buffer bound = buffer_on(storage, BOUND_MAX);
    buffer_append_str(&bound, form);
    buffer_append(&bound, key->name, VAULT_NAME_MAX); /* zeros after the name */
    buffer_append(&bound, place->store, sizeof place->store);
    append_number(&bound, place->sequence);
    append_number(&bound, place->revision);
    buffer_append_str(&bound, place->id);
    return buffer_str(&bound);
}

/* Appends bytes in Base64. */
static void append_base64(struct buffer *out, const unsigned char *bytes, size_t len)
{
    size_t size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    char *text = buffer_reserve(out, size);
    if (text == NULL)
        return;
    sodium_bin2base64(text, size, bytes, len, sodium_base64_VARIANT_ORIGINAL);
    out->len += size - 1; /* without the NUL */
}

/* Appends the sealed text of settings. */
static bool append_sealed(const struct vault_key *key, const struct seal_place *place,
                          struct str settings, struct buffer *out)
{
    char storage[BOUND_MAX];
    struct str bound = bind(place, key, storage);
    struct buffer sealed = {0};
    unsigned char *bytes =
        (unsigned char *)buffer_reserve(&sealed, NONCE_LEN + settings.len + TAG_LEN);
    if (bytes == NULL)
        return false;
    randombytes_buf(bytes, NONCE_LEN);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        bytes + NONCE_LEN, NULL, (const unsigned char *)settings.data, settings.len,
        (const unsigned char *)bound.data, bound.len, NULL, bytes, key->bytes);
    buffer_append_char(out, '"');
    buffer_append_str(out, form);
    buffer_append_str(out, str_from(key->name));
    buffer_append_char(out, ':');
    append_base64(out, bytes, NONCE_LEN + settings.len + TAG_LEN);
    buffer_append_char(out, '"');
    buffer_release(&sealed);
    return !out->failed;
}

/* Appends the members before the settings, and the name of these, as this service writes them:
 * another program may have written the document, with white space or in another order. */
static void append_members(const struct str values[INTEGRATION_FIELDS], struct buffer *out)
{
    for (unsigned field = 0; field < INTEGRATION_FIELDS; field++) {
        buffer_append_char(out, field == 0 ? '{' : ',');
        text_append_json(out, integration_field_names[field]);
        buffer_append_char(out, ':');
        if (field != INTEGRATION_SETTINGS)
            buffer_append_str(out, values[field]);
    }
}

bool seal_append(const struct vault *vault, const struct seal_place *place, struct str document,
                 struct buffer *out)
{
    struct arena arena = {0};
    struct str values[INTEGRATION_FIELDS];
    const struct vault_key *key = vault_first(vault);
    bool sealed = key != NULL && integration_split(&arena, document, values);
    if (sealed) {
        append_members(values, out);
        sealed = append_sealed(key, place, values[INTEGRATION_SETTINGS], out);
        buffer_append_char(out, '}');
    }
    arena_release(&arena);
    return sealed && !out->failed;
}

/* ---- opening ---- */

/* Decodes a sealed text to `scratch`. */
static enum seal_outcome decode(struct str base64, struct buffer *scratch)
{
    size_t len = 0;
    buffer_reset(scratch, SIZE_MAX);
    char *bytes = buffer_reserve(scratch, base64.len + 1);
    if (bytes == NULL)
        return SEAL_NO_MEMORY;
    if (sodium_base642bin((unsigned char *)bytes, base64.len, base64.data, base64.len, NULL, &len,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        len < NONCE_LEN + TAG_LEN)
        return SEAL_WRONG;
    scratch->len = len;
    return SEAL_OPENED;
}

/* Appends the settings that `sealed` holds: nonce, ciphertext, tag. */
static enum seal_outcome append_opened(const struct vault_key *key, const struct seal_place *place,
                                       struct str sealed, struct buffer *out)
{
    char storage[BOUND_MAX];
    struct str bound = bind(place, key, storage);
    const unsigned char *bytes = (const unsigned char *)sealed.data;
    unsigned long long len = 0;
    char *settings = buffer_reserve(out, sealed.len);
    if (settings == NULL)
        return SEAL_NO_MEMORY;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            (unsigned char *)settings, &len, NULL, bytes + NONCE_LEN, sealed.len - NONCE_LEN,
            (const unsigned char *)bound.data, bound.len, bytes, key->bytes) != 0)
        return SEAL_WRONG;
    out->len += len;
    return SEAL_OPENED;
}

enum seal_outcome seal_open(const struct vault *vault, const struct seal_place *place,
                            struct str document, struct buffer *scratch, struct buffer *out)
{
    struct parts parts;
    size_t before = out->len;
    if (!split(document, &parts))
        return SEAL_WRONG;
    const struct vault_key *key = vault_find(vault, parts.name);
    if (key == NULL)
        return SEAL_KEY_MISSING;
    enum seal_outcome outcome = decode(parts.base64, scratch);
    buffer_append_str(out, parts.before);
    if (outcome == SEAL_OPENED)
        outcome = append_opened(key, place, buffer_str(scratch), out);
    buffer_append_char(out, '}');
    if (outcome == SEAL_OPENED && out->failed)
        outcome = SEAL_NO_MEMORY;
    if (outcome != SEAL_OPENED)
        out->len = before;
    return outcome;
}

void seal_append_unreadable(struct str document, struct str why, struct buffer *out)
{
    struct parts parts;
    if (!split(document, &parts))
        return;
    buffer_append_str(out, parts.before);
    buffer_append_str(out, STR("{},\"unreadable\":"));
    text_append_json(out, why);
    buffer_append_char(out, '}');
}
