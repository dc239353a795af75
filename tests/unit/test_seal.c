/* SPDX-License-Identifier: MIT
 *
 * Keys that settings are sealed with, and sealed documents: what is opened, and what is not. */
#include <criterion/criterion.h>

#include "base/arena.h"
#include "seal/seal.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OTHER_KEY "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const struct seal_place here = {
    .store = {1, 2, 3}, .sequence = 4, .revision = 5, .id = STR_INIT("an \"id\"")};
static const struct str document = STR_INIT(
    "{\"id\":\"an \\\"id\\\"\",\"name\":\"\\u0000\",\"description\":\"\\\"}\",\"status\":true,"
    "\"settings\":{\"token\":\"planted\",\"settings\":\"1:k1:AAAA\"}}");

static struct vault vault_of(const char *text)
{
    struct vault vault;
    char fault[VAULT_FAULT_SIZE] = "";
    cr_assert(vault_parse(str_from(text), &vault, fault), "%s: %s", text, fault);
    return vault;
}

Test(vault, refuses_what_is_no_key)
{
    static const struct {
        const char *text;
        const char *fault;
    } cases[] = {
        {"", "there is no key in it: write \"none\" if settings are to be kept unsealed"},
        {"# k1 " KEY "\n\n",
         "there is no key in it: write \"none\" if settings are to be kept unsealed"},
        {KEY,
         "line 1: a line is NAME BASE64, the name 1 to 32 letters, digits, \".\", \"_\" or \"-\""},
        {"\nk:1 " KEY,
         "line 2: a line is NAME BASE64, the name 1 to 32 letters, digits, \".\", \"_\" or \"-\""},
        {" " KEY,
         "line 1: a line is NAME BASE64, the name 1 to 32 letters, digits, \".\", \"_\" or \"-\""},
        {"abcdefghijklmnopqrstuvwxyz0123456 " KEY,
         "line 1: a line is NAME BASE64, the name 1 to 32 letters, digits, \".\", \"_\" or \"-\""},
        {"k1 AAAA", "line 1: the key is not 32 bytes in Base64: openssl rand -base64 32"},
        {"k1 " KEY "AAAA", "line 1: the key is not 32 bytes in Base64: openssl rand -base64 32"},
        {"k1 " KEY " x", "line 1: the key is not 32 bytes in Base64: openssl rand -base64 32"},
        {"k1 " KEY "\nk1 " OTHER_KEY, "line 2: the key has the name of another"},
        {"k1 " KEY "\nnone", "line 2: the key is not 32 bytes in Base64: openssl rand -base64 32"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vault vault;
        char fault[VAULT_FAULT_SIZE] = "";
        cr_expect(!vault_parse(str_from(cases[i].text), &vault, fault), "%s", cases[i].text);
        cr_expect_str_eq(fault, cases[i].fault, "%s: %s", cases[i].text, fault);
        cr_expect_eq(vault.len, 0);
    }
}

Test(vault, reads_keys)
{
    struct vault vault = vault_of("# keys\r\n\r\n  b.1 \t " KEY " \r\na-_2 " OTHER_KEY);
    cr_assert_eq(vault.len, 2);
    const struct vault_key *first = vault_first(&vault);
    const struct vault_key *second = vault_find(&vault, STR("a-_2"));
    cr_assert(first != NULL && second != NULL);
    cr_expect_str_eq(first->name, "b.1");
    cr_expect_eq(first->bytes[31], 31);
    cr_expect_eq(second->bytes[0], 1);
    cr_expect_null(vault_find(&vault, STR("a-_")));
    vault_release(&vault);
    vault = vault_of("none\nk1 " KEY);
    cr_expect_null(vault_first(&vault));
    cr_expect_eq(vault.len, 1);
    vault_release(&vault);
    vault = vault_of("none");
    cr_expect_eq(vault.len, 0);
    vault_release(&vault);
}

Test(seal, opens_what_was_sealed_here)
{
    struct vault vault = vault_of("k1 " KEY);
    struct vault both = vault_of("k2 " OTHER_KEY "\nk1 " KEY);
    struct buffer sealed = {0};
    struct buffer again = {0};
    struct buffer scratch = {0};
    struct buffer opened = {0};
    cr_assert(seal_append(&vault, &here, document, &sealed));
    cr_assert(seal_append(&vault, &here, document, &again));
    cr_expect(!str_equal(buffer_str(&sealed), buffer_str(&again)), "the nonce is random");
    cr_expect(str_equal(seal_key_name(buffer_str(&sealed)), STR("k1")));
    cr_expect_null(memmem(sealed.data, sealed.len, "planted", 7));
    cr_expect(str_has_prefix(
        buffer_str(&sealed),
        STR("{\"id\":\"an \\\"id\\\"\",\"name\":\"\\u0000\",\"description\":\"\\\"}\","
            "\"status\":true,\"settings\":\"1:k1:")));
    buffer_append_str(&opened, STR("before"));
    cr_assert_eq(seal_open(&both, &here, buffer_str(&sealed), &scratch, &opened), SEAL_OPENED);
    cr_expect(str_equal((struct str){opened.data + 6, opened.len - 6}, document));
    buffer_release(&sealed);
    buffer_release(&again);
    buffer_release(&scratch);
    buffer_release(&opened);
    vault_release(&vault);
    vault_release(&both);
}

/* Expects that a document is not opened, and nothing of it is left. */
static void expect_closed(const struct vault *vault, const struct seal_place *place,
                          struct str text, enum seal_outcome outcome)
{
    struct buffer scratch = {0};
    struct buffer opened = {0};
    cr_expect_eq(seal_open(vault, place, text, &scratch, &opened), outcome);
    cr_expect_eq(opened.len, 0);
    buffer_release(&scratch);
    buffer_release(&opened);
}

Test(seal, opens_nothing_else)
{
    struct vault vault = vault_of("k1 " KEY);
    struct vault same_name = vault_of("k1 " OTHER_KEY);
    struct vault other_name = vault_of("k2 " KEY);
    struct vault renamed = vault_of("k2 " KEY "\nk1 " OTHER_KEY);
    struct buffer sealed = {0};
    cr_assert(seal_append(&vault, &here, document, &sealed));
    struct str text = buffer_str(&sealed);
    expect_closed(&same_name, &here, text, SEAL_WRONG);
    expect_closed(&other_name, &here, text, SEAL_KEY_MISSING);
    expect_closed(&(struct vault){0}, &here, text, SEAL_KEY_MISSING);
    expect_closed(&vault, &here, document, SEAL_WRONG);
    struct seal_place elsewhere[] = {here, here, here, here, here};
    elsewhere[0].store[31] ^= 1;
    elsewhere[1].sequence++;
    elsewhere[2].revision++;
    elsewhere[3].id.len--;
    elsewhere[4].id = STR("another");
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        expect_closed(&vault, &elsewhere[i], text, SEAL_WRONG);
    /* Each byte of the sealed text, and each length of it. */
    size_t begin = (size_t)((char *)memmem(text.data, text.len, "1:k1:", 5) - text.data);
    for (size_t i = begin; i < text.len; i++) {
        char kept = sealed.data[i];
        sealed.data[i] = kept == 'A' ? 'B' : 'A';
        struct buffer scratch = {0};
        struct buffer opened = {0};
        cr_expect_neq(seal_open(&vault, &here, text, &scratch, &opened), SEAL_OPENED, "byte %zu",
                      i);
        buffer_release(&scratch);
        buffer_release(&opened);
        sealed.data[i] = kept;
    }
    char *name = sealed.data + begin + 3;
    *name = '2';
    expect_closed(&renamed, &here, text, SEAL_WRONG);
    buffer_release(&sealed);
    vault_release(&vault);
    vault_release(&same_name);
    vault_release(&other_name);
    vault_release(&renamed);
}

Test(seal, writes_what_others_wrote_as_we_do)
{
    static const char *const texts[] = {"{\"id\" : \"an \\\"id\\\"\", \"name\" : \"n\", "
                                        "\"description\" : \"d\", \"status\" : true, "
                                        "\"settings\" : {\"a\": 1}}",
                                        "{\"settings\":{\"a\": 1},\"id\":\"an "
                                        "\\\"id\\\"\",\"name\":\"n\",\"more\":1,\"status\":true,"
                                        "\"description\":\"d\"}"};
    struct vault vault = vault_of("k1 " KEY);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buffer sealed = {0};
        struct buffer scratch = {0};
        struct buffer opened = {0};
        struct arena arena = {0};
        struct str text = arena_copy(&arena, str_from(texts[i]));
        cr_assert(seal_append(&vault, &here, text, &sealed));
        cr_expect(str_equal(seal_key_name(buffer_str(&sealed)), STR("k1")));
        cr_expect_eq(seal_open(&vault, &here, buffer_str(&sealed), &scratch, &opened), SEAL_OPENED);
        cr_expect(str_equal(buffer_str(&opened),
                            STR("{\"id\":\"an \\\"id\\\"\",\"name\":\"n\",\"description\":\"d\","
                                "\"status\":true,\"settings\":{\"a\": 1}}")));
        arena_release(&arena);
        buffer_release(&sealed);
        buffer_release(&scratch);
        buffer_release(&opened);
    }
    struct buffer none = {0};
    cr_expect(!seal_append(&vault, &here, STR("{\"id\":\"a\"}"), &none));
    buffer_release(&none);
    vault_release(&vault);
}

Test(seal, knows_what_is_not_sealed)
{
    static const char *const texts[] = {"",
                                        "{}",
                                        "\"}",
                                        "{\"settings\":{\"a\":\"1:k1:AAAA\"}}",
                                        "{\"a\":1,\"settings\":\"1:k1\"}",
                                        "{\"a\":1,\"settings\":\"1::AAAA\"}",
                                        "{\"a\":1,\"settings\":\"2:k1:AAAA\"}",
                                        "{\"a\":1,\"other\":\"1:k1:AAAA\"}",
                                        "{\"a\":1,\"settings\":\"1:k1:AAAA\" }"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        cr_expect_eq(seal_key_name(str_from(texts[i])).len, 0, "%s", texts[i]);
    cr_expect(str_equal(seal_key_name(STR("{\"a\":1,\"settings\":\"1:k1:\"}")), STR("k1")));
    cr_expect_eq(seal_key_name(document).len, 0);
}

Test(seal, shows_what_can_be_read)
{
    struct buffer shown = {0};
    seal_append_unreadable(STR("{\"id\":\"a\",\"settings\":\"1:k1:AAAA\"}"), STR("a \"key\""),
                           &shown);
    cr_expect(str_equal(buffer_str(&shown),
                        STR("{\"id\":\"a\",\"settings\":{},\"unreadable\":\"a \\\"key\\\"\"}")));
    buffer_release(&shown);
}
