/* SPDX-License-Identifier: MIT
 *
 * Import and export: what is read, what is refused and in which words, and that what is written can
 * be read again. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "harness.h"
#include "model/json.h"
#include "tools/transfer.h"

static const struct vault no_keys = {0};

#define ITEM(id) "{\"id\":\"" id "\",\"name\":\"n\",\"description\":\"d\"}"
#define KEPT(id)                                                                                   \
    "{\"id\":\"" id "\",\"name\":\"n\",\"description\":\"d\",\"status\":false,\"settings\":{}}"

#define WITH_SETTING(value)                                                                        \
    "{\"id\":\"a\",\"name\":\"n\",\"description\":\"d\",\"settings\":{\"x\":" value "}}"

static const struct {
    const char *text;
    const char *documents; /* with commas between */
} good[] = {
    {"[]", ""},
    {" [ \n ] \n", ""},
    {ITEM("a"), KEPT("a")},
    {ITEM("b") "\n" ITEM("a") "\n", KEPT("b") "," KEPT("a")},
    {ITEM("b") "\r\n\r\n  " ITEM("a") "\r\n", KEPT("b") "," KEPT("a")},
    {"[" ITEM("b") "," ITEM("a") "]", KEPT("b") "," KEPT("a")},
    {"[\n  " ITEM("b") " ,\n " ITEM("a") "\n]\n", KEPT("b") "," KEPT("a")},
    {"{\"sequence\":4,\"revision\":9,\"created\":\"c\",\"updated\":\"u\",\"integration\":" ITEM(
         "a") "}",
     KEPT("a")},
    {"{\"_id\":{\"$oid\":\"65a\"},\"__v\":0,\"id\":\"a\",\"name\":\"n\",\"description\":\"d\","
     "\"status\":true,\"settings\":{\"k\":[1,{\"x\":\"],}\\\"\"}]}}",
     "{\"id\":\"a\",\"name\":\"n\",\"description\":\"d\",\"status\":true,"
     "\"settings\":{\"k\":[1,{\"x\":\"],}\\\"\"}]}}"},
    {"\xEF\xBB\xBF" ITEM("a") "\n" ITEM("b"), KEPT("a") "," KEPT("b")},
    {ITEM("a") "\n" ITEM("b") "\n{\"exported\":2}\n", KEPT("a") "," KEPT("b")},
    {"{\"exported\":0}\n", ""},
    {"\xEF\xBB\xBF[" ITEM("a") "]", KEPT("a")},
    /* a member called integration beside an id is one more unknown member */
    {"{\"integration\":{},\"id\":\"a\",\"name\":\"n\",\"description\":\"d\"}", KEPT("a")},
};

Test(transfer, reads)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena arena = {0};
        struct buffer documents = {0};
        struct transfer_list list;
        char error[TRANSFER_ERROR_SIZE] = "";
        cr_expect(transfer_parse(&arena, &no_keys, str_from(good[i].text), &list, error), "%s: %s",
                  good[i].text, error);
        for (size_t n = 0; n < list.len; n++) {
            if (n > 0)
                buffer_append_char(&documents, ',');
            buffer_append_str(&documents, list.changes[n].document);
        }
        cr_expect(str_equal(buffer_str(&documents), str_from(good[i].documents)), "%s: %.*s",
                  good[i].text, (int)documents.len, documents.data);
        transfer_release(&list);
        buffer_release(&documents);
        arena_release(&arena);
    }
}

/* What a request may store must come back from an export, however it looks. */
Test(transfer, reads_what_it_wrote)
{
    struct buffer deep = {0};
    buffer_append_str(&deep, STR("{\"id\":\"a\",\"name\":\"n\",\"description\":\"d\","
                                 "\"status\":false,\"settings\":"));
    for (int depth = 1; depth < JSON_DEPTH_MAX; depth++)
        buffer_append_str(&deep, STR("{\"a\":"));
    buffer_append_char(&deep, '1');
    for (int depth = 0; depth < JSON_DEPTH_MAX; depth++)
        buffer_append_char(&deep, '}');
    const struct str documents[] = {
        buffer_str(&deep),
        STR("{\"id\":\"a\",\"name\":\",\\\"integration\\\":{}\",\"description\":\"d\","
            "\"status\":false,\"settings\":{\"_id\":1,\"n\":{\"$numberInt\":\"5\"}}}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        struct arena arena = {0};
        struct buffer line = {0};
        struct transfer_list list;
        char error[TRANSFER_ERROR_SIZE] = "";
        buffer_append_str(&line, STR("{\"sequence\":1,\"revision\":2,\"created\":\"c\","
                                     "\"updated\":\"u\",\"integration\":"));
        buffer_append_str(&line, documents[i]);
        buffer_append_str(&line, STR("}\n"));
        cr_expect(transfer_parse(&arena, &no_keys, buffer_str(&line), &list, error), "%s", error);
        cr_expect(list.len == 1 && list.cut_off &&
                  str_equal(list.changes[0].document, documents[i]));
        transfer_release(&list);
        buffer_append_str(&line, STR("{\"exported\":1}\n"));
        cr_expect(transfer_parse(&arena, &no_keys, buffer_str(&line), &list, error), "%s", error);
        cr_expect(list.len == 1 && !list.cut_off);
        transfer_release(&list);
        buffer_release(&line);
        arena_release(&arena);
    }
    buffer_release(&deep);
}

static const struct {
    const char *text;
    const char *error;
} bad[] = {
    {"x", "line 1: expecting value at character 0"},
    {ITEM("a") "\n\n{\"id\":\"b\",\"name\":\"n\"}", "line 3: \"description\": field required"},
    {ITEM("a") "\n{\"id\":\"b\"}", "line 2: \"name\": field required"},
    {ITEM("a") "\n" ITEM("b") "\n" ITEM("a"), "line 3: its id stands on line 1 already"},
    {ITEM("a") "\n{\"id\":\"b\",", "line 2: "},
    {"[" ITEM("a"), "line 1: the array does not end"},
    {"[" ITEM("a") ",", "line 1: the array does not end"},
    {"[\n" ITEM("a") ",\n\n]", "line 4: a comma too many"},
    {"[" ITEM("a") ",\n," ITEM("b") "]", "line 2: a comma too many"},
    {"[,]", "line 1: a comma too many"},
    {"", "the input is empty"},
    {" \n\r\n\t", "the input is empty"},
    {"\xEF\xBB\xBF \n", "the input is empty"},
    {"\xFF\xFE{", "the input is UTF-16"},
    {"{\n\"id\":\"a\"}", "line 1: the integration does not end on this line"},
    {ITEM("a") "\n" WITH_SETTING("NaN"),
     "line 2: JSON has no NaN and no Infinity, at character 55"},
    {"[" WITH_SETTING("-Infinity") "]", "line 1: JSON has no NaN and no Infinity, at character 56"},
    {WITH_SETTING("nan"), "line 1: expecting value at character 55"},
    {"[" ITEM("a") "]\n" ITEM("b"), "line 1: something follows the array"},
    {"[\n" ITEM("a") ",\n" ITEM("b") ",\n3]", "line 4: value is not a valid dict"},
    {"[\n" ITEM("a") ",\n" ITEM("a") "]", "line 3: its id stands on line 2 already"},
    {"5", "line 1: value is not a valid dict"},
    {ITEM("a/../b"), "line 1: \"id\": "},
    {"{\"integration\":5}", "line 1: \"id\": field required"},
    {"{\"_id\":{\"$oid\":\"65a\"},\"id\":\"a\",\"name\":\"n\",\"description\":\"d\","
     "\"settings\":{\"n\":{\"$numberInt\":\"5\"}}}",
     "line 1: numbers are wrapped"},
    {ITEM("a") "\n{\"exported\":2}", "line 2: 2 integrations were exported, but 1 are here"},
    {"{\"id\":\"a\",\"name\":\"planted\xFF\"}", "line 1: it is not UTF-8"},
};

Test(transfer, names_the_line_that_is_bad)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena arena = {0};
        struct transfer_list list;
        char error[TRANSFER_ERROR_SIZE] = "";
        cr_expect(!transfer_parse(&arena, &no_keys, str_from(bad[i].text), &list, error), "%s",
                  bad[i].text);
        cr_expect(strncmp(error, bad[i].error, strlen(bad[i].error)) == 0, "%s: %s", bad[i].text,
                  error);
        cr_expect(strstr(error, "planted") == NULL, "%s", error);
        transfer_release(&list);
        arena_release(&arena);
    }
}

/* Imports a text into a directory's store; the messages or the error. */
static const char *import(const struct config *config, const char *text)
{
    static char said[TRANSFER_ERROR_SIZE];
    char *messages;
    size_t size;
    FILE *in = fmemopen((void *)text, strlen(text), "r");
    FILE *out = open_memstream(&messages, &size);
    char error[TRANSFER_ERROR_SIZE] = "";
    bool imported = transfer_import(config, &store_lmdb, in, out, error);
    fclose(in);
    fclose(out);
    snprintf(said, sizeof said, "%s", imported ? messages : error);
    free(messages);
    return said;
}

static char *export_to(const struct config *config, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *messages = open_memstream(&text, &size);
    char error[TRANSFER_ERROR_SIZE] = "";
    cr_expect(transfer_export(config, &store_lmdb, false, path, NULL, messages, error), "%s",
              error);
    fclose(messages);
    cr_expect(strstr(text, "exported ") == text, "%s", text);
    free(text);
    FILE *file = fopen(path, "re");
    text = calloc(1, 4096);
    cr_assert(file != NULL && text != NULL);
    cr_expect(fread(text, 1, 4095, file) > 0);
    fclose(file);
    return text;
}

Test(transfer, puts_all_or_nothing_and_writes_what_it_reads)
{
    char directory[64];
    char path[100];
    struct config config = {.encryption_keys_file = "",
                            .store_max_bytes = 64 << 20,
                            .state_dir = directory,
                            .database_url = ""};
    directory_make(directory);
    log_open(LOG_CRITICAL, STDERR_FILENO);
    cr_expect_str_eq(import(&config, ITEM("a") "\n" ITEM("b")),
                     "imported 2 integrations: 2 created, 0 replaced\n");
    cr_expect_str_eq(import(&config, ITEM("c") "\n" ITEM("b")),
                     "imported 2 integrations: 1 created, 1 replaced\n");
    cr_expect_str_eq(import(&config, ITEM("d") "\n5"), "line 2: value is not a valid dict");
    snprintf(path, sizeof path, "%s/export", directory);
    char *first = export_to(&config, path);
    const char *a = strstr(first, KEPT("a"));
    const char *b = strstr(first, KEPT("b"));
    const char *c = strstr(first, KEPT("c"));
    cr_expect(a != NULL && a < b && b < c, "%s", first);
    cr_expect(strncmp(first, "{\"sequence\":1,\"revision\":1,\"created\":\"20", 39) == 0, "%s",
              first);
    cr_expect(strstr(first, "\"d\"}") == NULL || strstr(first, KEPT("d")) == NULL);
    directory_remove(directory);
    cr_expect_str_eq(import(&config, first), "imported 3 integrations: 3 created, 0 replaced\n");
    snprintf(path, sizeof path, "%s/export", directory);
    char *second = export_to(&config, path);
    cr_expect(strstr(second, KEPT("a")) < strstr(second, KEPT("b")));
    free(first);
    free(second);
    directory_remove(directory);
}
