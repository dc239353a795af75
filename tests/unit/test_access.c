/* SPDX-License-Identifier: MIT
 *
 * The form of keys, their file, and the gate that asks for them. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <unistd.h>

#include "access/keyring.h"
#include "access/veil.h"
#include "base/clock.h"
#include "harness.h"

/* With the checksum of Python's zlib.crc32, and hashlib's SHA-256. */
#define KEY "isk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2Yasxq"
#define DIGEST "bde9f3c1eb5598285cafccdbd95113ea72fa1f6463878546c26b0ad184b67a54"

Test(access, knows_the_form_of_a_key)
{
    char text[KEY_LEN + 1];
    char made[KEY_LEN + 1];
    cr_expect(key_has_form(STR(KEY)));
    memcpy(text, KEY, sizeof text);
    for (size_t i = 0; i < KEY_LEN; i++) { /* any character that is another */
        for (int c = 1; c < 256; c++) {
            text[i] = (char)c;
            cr_expect(key_has_form(str_from(text)) == (text[i] == KEY[i]), "%zu: %d", i, c);
        }
        text[i] = KEY[i];
    }
    cr_expect(!key_has_form((struct str){text, KEY_LEN - 1}));
    cr_expect(!key_has_form(STR(KEY "0")));
    cr_expect(!key_has_form(STR("")));
    key_make(text);
    key_make(made);
    cr_expect(key_has_form(str_from(text)) && key_has_form(str_from(made)));
    cr_expect(strcmp(text, made) != 0);
}

Test(access, reads_what_it_writes)
{
    static const char line[] = "bot secrets,metrics " DIGEST " expires=2027-01-31T23:59:59Z\n";
    struct keys keys;
    char fault[KEYS_FAULT_SIZE];
    char written[256] = "";
    uint8_t digest[KEY_DIGEST_LEN];
    cr_assert(keys_parse(STR("# a comment\n\n  bot   secrets,metrics " DIGEST
                             "  expires=2027-01-31T23:59:59Z  \n"),
                         &keys, fault),
              "%s", fault);
    key_digest(STR(KEY), digest);
    const struct key_entry *entry = keys_find(&keys, digest);
    cr_assert(entry != NULL);
    cr_expect(entry->scopes == (SCOPE_SECRETS | SCOPE_METRICS) && entry->expires_s == 1801439999);
    FILE *out = fmemopen(written, sizeof written, "w");
    keys_write_entry(entry, out);
    fclose(out);
    cr_expect_str_eq(written, line);
    digest[31] ^= 1;
    cr_expect(keys_find(&keys, digest) == NULL);
    keys_release(&keys);
}

Test(access, finds_each_of_many)
{
    enum { MANY = 1000 };
    struct buffer text = {0};
    struct keys keys;
    char fault[KEYS_FAULT_SIZE];
    uint8_t digest[KEY_DIGEST_LEN] = {0};
    for (unsigned i = 0; i < MANY; i++)
        buffer_printf(&text, "key%u write %064x\n", i, i * 7919 % MANY);
    cr_assert(keys_parse(buffer_str(&text), &keys, fault), "%s", fault);
    for (unsigned i = 0; i <= MANY; i++) {
        digest[30] = (uint8_t)(i >> 8);
        digest[31] = (uint8_t)i;
        cr_expect((keys_find(&keys, digest) != NULL) == (i < MANY), "%u", i);
    }
    keys_release(&keys);
    buffer_release(&text);
}

Test(access, veils_numbers)
{
    static const uint8_t key[VEIL_KEY_LEN] = {1};
    static const uint8_t other_key[VEIL_KEY_LEN] = {2};
    struct veil veil;
    struct veil other;
    struct veil_numbers read;
    struct buffer text = {0};
    struct buffer again = {0};
    veil_open(&veil, key);
    veil_open(&other, other_key);
    veil_append(&veil, (struct veil_numbers){7, UINT64_MAX}, &text);
    veil_append(&veil, (struct veil_numbers){7, UINT64_MAX}, &again);
    cr_assert(text.len == VEIL_LEN && str_equal(buffer_str(&text), buffer_str(&again)));
    cr_assert(veil_read(&veil, buffer_str(&text), &read));
    cr_expect(read.first == 7 && read.second == UINT64_MAX);
    cr_expect(!veil_read(&other, buffer_str(&text), &read));
    cr_expect(!veil_read(&veil, (struct str){text.data, VEIL_LEN - 2}, &read));
    for (size_t i = 0; i < VEIL_LEN; i++) { /* each digit counts */
        char before = text.data[i];
        text.data[i] = before == '0' ? '1' : '0';
        cr_expect(!veil_read(&veil, buffer_str(&text), &read), "%zu", i);
        text.data[i] = before;
    }
    /* Once only. */
    struct buffer once[2] = {{0}, {0}};
    for (size_t i = 0; i < 2; i++) {
        veil_append_once(&veil, (struct veil_numbers){7, 9}, &once[i]);
        cr_assert(once[i].len == (size_t)2 * VEIL_LEN &&
                  veil_read_once(&veil, buffer_str(&once[i]), &read));
        cr_expect(read.first == 7 && read.second == 9);
        cr_expect(!veil_read_once(&other, buffer_str(&once[i]), &read));
        cr_expect(!veil_read_once(&veil, (struct str){once[i].data, VEIL_LEN}, &read));
    }
    cr_expect(!str_equal(buffer_str(&once[0]), buffer_str(&once[1])));
    memcpy(once[0].data, once[1].data, VEIL_LEN); /* halves of two */
    cr_expect(!veil_read_once(&veil, buffer_str(&once[0]), &read));
    buffer_release(&once[0]);
    buffer_release(&once[1]);
    /* The next numbers look nothing like these. */
    size_t same = 0;
    buffer_reset(&again, SIZE_MAX);
    veil_append(&veil, (struct veil_numbers){8, UINT64_MAX}, &again);
    for (size_t i = 0; i < VEIL_LEN; i++)
        same += text.data[i] == again.data[i];
    cr_expect(same < VEIL_LEN / 2, "%zu", same);
    buffer_release(&text);
    buffer_release(&again);
}

static void write_keys(const struct harness *harness, const char *text)
{
    FILE *file = fopen(harness->keyring.path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
    usleep(30000); /* younger ones are looked at again */
}

static unsigned ask(struct harness *harness, struct str authorization, struct str api_key)
{
    struct http_request request = {.started_ns = clock_steady_ns(),
                                   .method = HTTP_GET,
                                   .target = STR("/integrations"),
                                   .authorization = authorization,
                                   .api_key = api_key};
    return harness_call(harness, &request)->status;
}

Test(access, expires_to_the_second)
{
    struct harness harness;
    char line[256];
    uint64_t now_s = clock_wall_us() / 1000000;
    harness_open(&harness, &store_lmdb, NULL);
    FILE *out = fmemopen(line, sizeof line, "w");
    fputs("a secrets " DIGEST " expires=", out);
    keys_write_time(now_s + 2, out);
    fclose(out);
    write_keys(&harness, line);
    keyring_look(&harness.keyring);
    cr_expect(ask(&harness, STR("Bearer " KEY), STR("")) == 200);
    while (clock_wall_us() / 1000000 < now_s + 2)
        usleep(10000);
    cr_expect(ask(&harness, STR("Bearer " KEY), STR("")) == 401);
    harness_close(&harness);
}

/* A million headers like the right one, and none that gets in. */
Test(access, lets_in_nothing_that_is_nearly_a_key, .timeout = 300)
{
    enum { TRIES = 1000000, ROOM = 160 };
    struct harness harness;
    unsigned seed = 1;
    size_t let_in = 0;
    harness_open(&harness, &store_lmdb, NULL);
    write_keys(&harness, "a secrets " DIGEST "\n");
    keyring_look(&harness.keyring);
    cr_assert(ask(&harness, STR("Bearer " KEY), STR("")) == 200);
    cr_assert(ask(&harness, STR(""), STR(KEY)) == 200);
    for (size_t i = 0; i < TRIES; i++) {
        char text[ROOM] = "Bearer " KEY;
        size_t len = sizeof "Bearer " KEY - 1;
        for (unsigned changes = 1 + (unsigned)rand_r(&seed) % 3; changes > 0 && len > 1;
             changes--) {
            size_t at = (size_t)rand_r(&seed) % len;
            switch (rand_r(&seed) % 4) {
            case 0: /* another character */
                text[at] = (char)(text[at] ^ (1 + rand_r(&seed) % 255));
                break;
            case 1: /* one more */
                memmove(text + at + 1, text + at, len++ - at);
                text[at] = (char)rand_r(&seed);
                break;
            case 2: /* one less */
                memmove(text + at, text + at + 1, --len - at);
                break;
            default: /* the end is missing */
                len = at + 1;
                break;
            }
        }
        struct str sent = {text, len};
        struct str rest = str_trim(sent);
        struct str scheme;
        bool right = str_split(&rest, ' ', &scheme) &&
                     str_equal_ignore_case(scheme, STR("Bearer")) &&
                     str_equal(str_trim(rest), STR(KEY)); /* changed where it does not matter */
        let_in += (ask(&harness, sent, STR("")) == 200) != right;
        let_in += (ask(&harness, STR(""), sent) == 200) != str_equal(str_trim(sent), STR(KEY));
    }
    cr_expect(let_in == 0, "%zu", let_in);
    harness_close(&harness);
}
