/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/text.h"

Test(str, splits)
{
    struct str rest = STR("a,,b");
    struct str part;
    cr_expect(str_split(&rest, ',', &part) && str_equal(part, STR("a")));
    cr_expect(str_split(&rest, ',', &part) && str_equal(part, STR("")));
    cr_expect(str_split(&rest, ',', &part) && str_equal(part, STR("b")));
    cr_expect(!str_split(&rest, ',', &part));
    rest = STR("");
    cr_expect(str_split(&rest, ',', &part) && part.len == 0);
    cr_expect(!str_split(&rest, ',', &part));
}

Test(str, compares)
{
    cr_expect(str_equal(STR(""), (struct str){NULL, 0}));
    cr_expect(str_equal_ignore_case(STR("Application/JSON"), STR("aPPLICATION/json")));
    cr_expect(!str_equal_ignore_case(STR("["), STR("{")));
    cr_expect(str_has_prefix(STR("abc"), STR("ab")) && !str_has_prefix(STR("a"), STR("ab")));
    cr_expect(str_has_suffix(STR("abc"), STR("bc")) && !str_has_suffix(STR("c"), STR("bc")));
    cr_expect(str_equal(str_trim(STR(" \ta b\t ")), STR("a b")));
}

Test(str, reads_numbers)
{
    uint64_t number;
    cr_expect(str_to_u64(STR("18446744073709551615"), &number) && number == UINT64_MAX);
    static const char *const wrong[] = {"", "18446744073709551616", "-1", "+1", " 1", "1 ", "0x1"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        cr_expect(!str_to_u64(str_from(wrong[i]), &number), "%s", wrong[i]);
}

Test(buffer, grows)
{
    struct buffer buffer = {0};
    for (int i = 0; i < 10000; i++)
        buffer_printf(&buffer, "%d,", i);
    cr_expect(!buffer.failed && buffer.len == 48890);
    buffer_append_u64(&buffer, UINT64_MAX);
    cr_expect(str_has_suffix(buffer_str(&buffer), STR("9999,18446744073709551615")));
    buffer_reset(&buffer, 10);
    cr_expect(buffer.data == NULL && buffer.len == 0);
    buffer_release(&buffer);
}

Test(buffer, marks_what_does_not_fit)
{
    char storage[4];
    struct buffer buffer = buffer_on(storage, sizeof storage);
    buffer_append_str(&buffer, STR("abcd"));
    cr_expect(!buffer.failed);
    buffer_append_char(&buffer, 'e');
    cr_expect(buffer.failed && buffer.len == 4);
    buffer_append_str(&buffer, STR(""));
    cr_expect(buffer_reserve(&buffer, SIZE_MAX) == NULL);
    buffer_reset(&buffer, 0);
    cr_expect(!buffer.failed && buffer.len == 0);
    struct buffer huge = {0};
    buffer_append_char(&huge, 'x');
    cr_expect(buffer_reserve(&huge, SIZE_MAX) == NULL && huge.failed);
    buffer_release(&huge);
}

Test(arena, gives_and_takes_back)
{
    struct arena arena = {0};
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < 3000; size += 7) {
            char *memory = arena_alloc(&arena, size);
            cr_assert(memory != NULL && (uintptr_t)memory % sizeof(max_align_t) % 16 == 0);
            memset(memory, 0xA5, size);
        }
        cr_expect(str_equal(arena_copy(&arena, STR("a\0b")), STR("a\0b")));
        char *large = arena_alloc(&arena, 1 << 20);
        cr_assert(large != NULL);
        memset(large, 0, 1 << 20);
        arena_reset(&arena);
    }
    cr_expect(arena_alloc(&arena, SIZE_MAX) == NULL && arena.failed);
    arena_reset(&arena);
    cr_expect(!arena.failed);
    arena_release(&arena);
}

Test(text, knows_utf8)
{
    cr_expect(text_is_utf8(STR("")));
    cr_expect(text_is_utf8(STR("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80"
                               "\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF")));
    static const char *const wrong[] = {"\x80",
                                        "\xC1\xBF",
                                        "\xC2",
                                        "\xE0\x9F\xBF",
                                        "\xED\xA0\x80",
                                        "\xEF\xBF",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF4\x90\x80\x80",
                                        "\xF5\x80\x80\x80"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        cr_expect(!text_is_utf8(str_from(wrong[i])), "row %zu", i);
}

Test(text, knows_control_characters)
{
    cr_expect(text_has_control(STR("a\n")) && text_has_control(STR("\x7F")) &&
              text_has_control(STR("\xC2\x85")) && text_has_control(STR("\0")));
    cr_expect(!text_has_control(STR("a b\xC2\xA0\xE2\x80\xA8\xC3\xA9")));
}

Test(text, decodes_percent_once)
{
    static const struct {
        const char *encoded;
        const char *decoded;
    } rows[] = {
        {"a", "a"},       {"%61%2f%2F", "a//"}, {"%2561", "%61"}, {"%", "%"},
        {"%4", "%4"},     {"%zz", "%zz"},       {"a+b", "a+b"},   {"%E6%97%A5", "\xE6\x97\xA5"},
        {"%6%31", "%61"}, {"%C3%28", "\xC3("}};
    struct arena arena = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        cr_expect(str_equal(text_percent_decode(&arena, str_from(rows[i].encoded)),
                            str_from(rows[i].decoded)),
                  "%s", rows[i].encoded);
    cr_expect(str_equal(text_percent_decode(&arena, STR("%00")), STR("\0")));
    arena_release(&arena);
}

Test(text, escapes_for_json)
{
    struct buffer out = {0};
    text_append_json(&out, STR("a\"\\/\b\f\n\r\t\x01\x1F\x7F\0\xC3\xA9\xFF\xED\xA0\x80z"));
    cr_expect(str_equal(buffer_str(&out),
                        STR("\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\u0000\xC3\xA9"
                            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"")));
    buffer_release(&out);
}

Test(clock, writes_rfc_3339)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(0, text);
    cr_expect_str_eq(text, "1970-01-01T00:00:00.000000Z");
    clock_format(1767225599999999, text);
    cr_expect_str_eq(text, "2025-12-31T23:59:59.999999Z");
    clock_format(1767225600000001, text);
    cr_expect_str_eq(text, "2026-01-01T00:00:00.000001Z");
}
