/* SPDX-License-Identifier: MIT */
#include "access/key.h"

#include <sodium.h>
#include <stdlib.h>

enum { PREFIX_LEN = 4, RANDOM_LEN = 43, CHECK_LEN = 6, BASE = 62 };

_Static_assert(KEY_LEN == PREFIX_LEN + RANDOM_LEN + CHECK_LEN, "its parts");
_Static_assert(KEY_DIGEST_LEN == crypto_hash_sha256_BYTES, "the digest's");

static const char prefix[] = "isk_";
static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Four bits at a time: this runs for each request. */
static uint32_t crc32_of(const char *text, size_t len)
{
    static const uint32_t steps[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
                                       0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                       0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)text[i];
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return ~crc;
}

/* Writes the checksum of what is before it. */
static void write_check(char *text)
{
    uint32_t rest = crc32_of(text, PREFIX_LEN + RANDOM_LEN);
    for (size_t i = KEY_LEN; i > PREFIX_LEN + RANDOM_LEN; i--) {
        text[i - 1] = digits[rest % BASE];
        rest /= BASE;
    }
}

void key_make(char text[KEY_LEN + 1])
{
    if (sodium_init() < 0)
        abort(); /* no randomness: there can be no key */
    memcpy(text, prefix, PREFIX_LEN);
    for (size_t i = 0; i < RANDOM_LEN; i++)
        text[PREFIX_LEN + i] = digits[randombytes_uniform(BASE)];
    write_check(text);
    text[KEY_LEN] = '\0';
}

bool key_has_form(struct str text)
{
    char expected[KEY_LEN];
    if (text.len != KEY_LEN || memcmp(text.data, prefix, PREFIX_LEN) != 0)
        return false;
    memcpy(expected, text.data, KEY_LEN);
    write_check(expected);
    bool same = memcmp(expected, text.data, KEY_LEN) == 0;
    sodium_memzero(expected, sizeof expected);
    return same;
}

void key_digest(struct str text, uint8_t digest[KEY_DIGEST_LEN])
{
    crypto_hash_sha256(digest, (const unsigned char *)text.data, text.len);
}
