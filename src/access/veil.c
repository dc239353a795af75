/* SPDX-License-Identifier: MIT */
#include "access/veil.h"

#include <sodium.h>
#include <string.h>

enum { TAG_LEN = 16, SEALED_LEN = TAG_LEN + sizeof(struct veil_numbers) };

_Static_assert(VEIL_LEN == 2 * SEALED_LEN, "each byte has two digits");
_Static_assert(VEIL_KEY_LEN == crypto_kdf_KEYBYTES && VEIL_KEY_LEN == crypto_stream_KEYBYTES,
               "one length for all keys");

void veil_open(struct veil *veil, const uint8_t key[VEIL_KEY_LEN])
{
    static const char context[crypto_kdf_CONTEXTBYTES + 1] = "versions";
    crypto_kdf_derive_from_key(veil->of_tags, VEIL_KEY_LEN, 1, context, key);
    crypto_kdf_derive_from_key(veil->of_numbers, VEIL_KEY_LEN, 2, context, key);
}

static void make_tag(const struct veil *veil, const struct veil_numbers *numbers,
                     uint8_t tag[TAG_LEN])
{
    crypto_generichash(tag, TAG_LEN, (const unsigned char *)numbers, sizeof *numbers, veil->of_tags,
                       VEIL_KEY_LEN);
}

/* Encrypts or decrypts; the tag makes the nonce. */
static void exchange(const struct veil *veil, const uint8_t tag[TAG_LEN], const uint8_t *from,
                     uint8_t *to)
{
    uint8_t nonce[crypto_stream_NONCEBYTES] = {0};
    memcpy(nonce, tag, TAG_LEN);
    crypto_stream_xor(to, from, sizeof(struct veil_numbers), nonce, veil->of_numbers);
}

void veil_append(const struct veil *veil, struct veil_numbers numbers, struct buffer *out)
{
    uint8_t sealed[SEALED_LEN];
    char text[VEIL_LEN + 1];
    make_tag(veil, &numbers, sealed);
    exchange(veil, sealed, (const uint8_t *)&numbers, sealed + TAG_LEN);
    sodium_bin2hex(text, sizeof text, sealed, sizeof sealed);
    buffer_append(out, text, VEIL_LEN);
}

bool veil_read(const struct veil *veil, struct str text, struct veil_numbers *numbers)
{
    uint8_t sealed[SEALED_LEN];
    uint8_t tag[TAG_LEN];
    size_t len;
    if (text.len != VEIL_LEN ||
        sodium_hex2bin(sealed, sizeof sealed, text.data, text.len, NULL, &len, NULL) != 0 ||
        len != sizeof sealed)
        return false;
    exchange(veil, sealed, sealed + TAG_LEN, (uint8_t *)numbers);
    make_tag(veil, numbers, tag);
    return sodium_memcmp(tag, sealed, TAG_LEN) == 0;
}

void veil_append_once(const struct veil *veil, struct veil_numbers numbers, struct buffer *out)
{
    uint64_t once;
    randombytes_buf(&once, sizeof once);
    veil_append(veil, (struct veil_numbers){numbers.first, once}, out);
    veil_append(veil, (struct veil_numbers){numbers.second, once}, out);
}

bool veil_read_once(const struct veil *veil, struct str text, struct veil_numbers *numbers)
{
    struct veil_numbers parts[2];
    for (size_t i = 0; i < 2; i++)
        if (text.len != 2 * (size_t)VEIL_LEN ||
            !veil_read(veil, (struct str){text.data + i * VEIL_LEN, VEIL_LEN}, &parts[i]))
            return false;
    *numbers = (struct veil_numbers){parts[0].first, parts[1].first};
    return parts[0].second == parts[1].second;
}
