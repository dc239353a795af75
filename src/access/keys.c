/* SPDX-License-Identifier: MIT */
#include "access/keys.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

enum { FILE_MAX_BYTES = 4 << 20, TIME_SIZE = 32 };

static const struct str user = STR_INIT("user:");

#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"

const char *const scope_names[] = {"read", "secrets", "write", "metrics", NULL};

/* ---- words ---- */

bool scopes_from(struct str text, unsigned *scopes)
{
    struct str word;
    *scopes = 0;
    while (str_split(&text, ',', &word)) {
        size_t i = 0;
        while (scope_names[i] != NULL && !str_equal(word, str_from(scope_names[i])))
            i++;
        if (scope_names[i] == NULL)
            return false;
        *scopes |= 1U << i;
    }
    return *scopes != 0;
}

void scopes_append(struct buffer *buffer, unsigned scopes, char separator)
{
    bool first = true;
    for (size_t i = 0; scope_names[i] != NULL; i++) {
        if ((scopes & 1U << i) == 0)
            continue;
        if (!first)
            buffer_append_char(buffer, separator);
        buffer_append_str(buffer, str_from(scope_names[i]));
        first = false;
    }
}

void scopes_write(unsigned scopes, FILE *out)
{
    char storage[64];
    struct buffer text = buffer_on(storage, sizeof storage);
    scopes_append(&text, scopes, ',');
    fwrite(text.data, 1, text.len, out);
}

uint64_t keys_number(const struct key_entry *entry)
{
    uint64_t number;
    memcpy(&number, entry->digest, sizeof number);
    return number != 0 ? number : 1;
}

bool keys_has_expired(const struct key_entry *entry)
{
    return entry->expires_s != 0 && clock_wall_us() / US_PER_S >= entry->expires_s;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

bool keys_is_name(struct str name)
{
    if (name.len == 0 || name.len > KEYS_NAME_MAX || !is_letter_or_digit(name.data[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_letter_or_digit(name.data[i]) && name.data[i] != '.' && name.data[i] != '_' &&
            name.data[i] != '-')
            return false;
    return true;
}

bool keys_is_user(struct str name)
{
    if (name.len <= user.len || name.len > KEYS_NAME_MAX || !str_has_prefix(name, user))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] >= 0x7F)
            return false;
    return true;
}

void keys_digest_user(struct str name, uint8_t digest[KEY_DIGEST_LEN])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)user.data, user.len);
    crypto_hash_sha256_update(&state, (const unsigned char *)name.data, name.len);
    crypto_hash_sha256_final(&state, digest);
}

/* Compares texts that are percent-encoded. */
static bool is_same_decoded(struct str a, struct str b)
{
    while (a.len > 0 && b.len > 0)
        if (text_percent_next(&a) != text_percent_next(&b))
            return false;
    return a.len == 0 && b.len == 0;
}

bool keys_is_same_name(struct str a, struct str b)
{
    return keys_is_user(a) && keys_is_user(b) ? is_same_decoded(a, b) : str_equal(a, b);
}

bool keys_split_ids(struct arena *arena, struct str text, struct str **ids, size_t *len)
{
    struct str id;
    *len = 0;
    *ids = arena_alloc(arena, KEYS_IDS_MAX * sizeof **ids);
    while (str_split(&text, ',', &id)) {
        if (id.len == 0 || *len == KEYS_IDS_MAX)
            return false;
        if (*ids != NULL)
            (*ids)[*len] = text_percent_decode(arena, id);
        (*len)++;
    }
    if (arena->failed)
        *ids = NULL;
    return *len > 0;
}

bool keys_read_time(struct str text, uint64_t *s)
{
    char copy[TIME_SIZE];
    char again[TIME_SIZE];
    struct tm parts = {0};
    if (text.len >= sizeof copy)
        return false;
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.data);
    const char *end = strptime(copy, TIME_FORMAT, &parts);
    if (end == NULL || *end != '\0')
        return false;
    time_t time = timegm(&parts);
    /* "2026-02-31" becomes a day in March, and a year of three digits one of four. */
    if (time <= 0 || gmtime_r(&time, &parts) == NULL ||
        strftime(again, sizeof again, TIME_FORMAT, &parts) == 0 || strcmp(copy, again) != 0)
        return false;
    *s = (uint64_t)time;
    return true;
}

void keys_write_time(uint64_t s, FILE *out)
{
    char text[TIME_SIZE];
    time_t time = (time_t)s;
    struct tm parts;
    if (gmtime_r(&time, &parts) != NULL && strftime(text, sizeof text, TIME_FORMAT, &parts) > 0)
        fputs(text, out);
}

void keys_write_entry(const struct key_entry *entry, FILE *out)
{
    char hex[2 * KEY_DIGEST_LEN + 1];
    sodium_bin2hex(hex, sizeof hex, entry->digest, sizeof entry->digest);
    fprintf(out, "%s ", entry->name);
    scopes_write(entry->scopes, out);
    if (!keys_is_user(str_from(entry->name)))
        fprintf(out, " %s", hex);
    if (entry->expires_s != 0) {
        fputs(" expires=", out);
        keys_write_time(entry->expires_s, out);
    }
    if (entry->ids.len > 0)
        fprintf(out, " ids=%.*s", (int)entry->ids.len, entry->ids.data);
    fputc('\n', out);
}

/* ---- parsing ---- */

/* Extracts the next word, which blanks separate from others. */
static bool next_word(struct str *rest, struct str *word)
{
    while (str_split(rest, ' ', word))
        if (word->len > 0)
            return true;
    return false;
}

static bool read_digest(struct str text, uint8_t digest[KEY_DIGEST_LEN])
{
    size_t len;
    return text.len == (size_t)2 * KEY_DIGEST_LEN &&
           sodium_hex2bin(digest, KEY_DIGEST_LEN, text.data, text.len, NULL, &len, NULL) == 0 &&
           len == KEY_DIGEST_LEN;
}

/* Returns NULL, or what is wrong. */
static const char *parse_ids(struct str word, struct key_entry *entry)
{
    struct arena arena = {0};
    struct str *ids;
    size_t len;
    bool right = keys_split_ids(&arena, word, &ids, &len);
    arena_release(&arena);
    if (!right)
        return "ids= is not a list of 1 to 100 ids with commas between";
    if ((entry->scopes & SCOPE_METRICS) != 0)
        return "a key with ids= cannot have the scope metrics, which tells of all integrations";
    free((char *)entry->ids.data);
    entry->ids = (struct str){strndup(word.data, word.len), word.len};
    if (entry->ids.data == NULL)
        return "no memory for it";
    return strlen(entry->ids.data) == word.len ? NULL : "ids= has a NUL in it";
}

/* Returns NULL, or what is wrong. */
static const char *parse_option(struct str word, struct key_entry *entry)
{
    struct str name;
    (void)str_split(&word, '=', &name);
    if (word.data != NULL && str_equal(name, STR("ids")))
        return parse_ids(word, entry);
    if (word.data == NULL || !str_equal(name, STR("expires")))
        return "at the end of a line only expires=… and ids=… may stand";
    return keys_read_time(word, &entry->expires_s)
               ? NULL
               : "expires= is not a time in UTC like 2027-01-31T00:00:00Z";
}

static const char *parse_digest(struct str *line, struct str name, struct key_entry *entry)
{
    struct str digest;
    struct arena arena = {0};
    if (keys_is_user(name)) {
        struct str encoded = {name.data + user.len, name.len - user.len};
        struct str decoded = text_percent_decode(&arena, encoded);
        if (decoded.data != NULL)
            keys_digest_user(decoded, entry->digest);
        bool failed = arena.failed;
        arena_release(&arena);
        return failed ? "no memory for it" : NULL;
    }
    return next_word(line, &digest) && read_digest(digest, entry->digest)
               ? NULL
               : "the SHA-256 of the key is not 64 hexadecimal digits";
}

/* Parses a line that is no comment. Returns NULL, or what is wrong. */
static const char *parse_line(struct str line, struct key_entry *entry)
{
    struct str name;
    struct str scopes;
    struct str option;
    *entry = (struct key_entry){.ids = {NULL, 0}};
    if (!next_word(&line, &name) || !next_word(&line, &scopes))
        return "a line is NAME SCOPES SHA256 [expires=TIME] [ids=ID,…]";
    if (!keys_is_name(name) && !keys_is_user(name))
        return "the name is not 1 to 128 letters, digits, \".\", \"_\" or \"-\", nor user:NAME";
    if (!scopes_from(scopes, &entry->scopes))
        return "the scopes are not some of read, secrets, write and metrics, with commas between";
    memcpy(entry->name, name.data, name.len);
    const char *wrong = parse_digest(&line, name, entry);
    while (wrong == NULL && next_word(&line, &option))
        wrong = parse_option(option, entry);
    return wrong;
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(((const struct key_entry *)a)->digest, ((const struct key_entry *)b)->digest,
                  KEY_DIGEST_LEN);
}

/* Returns NULL, or what is wrong. */
static const char *add_line(struct str line, struct keys *keys)
{
    line = str_trim(line);
    if (line.len == 0 || line.data[0] == '#')
        return NULL;
    if (keys->len == KEYS_MAX)
        return "there are more than 10,000 keys";
    return parse_line(line, &keys->entries[keys->len++]);
}

static size_t count_lines(struct str text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    return lines;
}

bool keys_parse(struct str text, struct keys *keys, char fault[KEYS_FAULT_SIZE])
{
    struct str line;
    const char *wrong = NULL;
    size_t number = 0;
    size_t most = count_lines(text);
    *keys = (struct keys){0};
    keys->entries = calloc(most < KEYS_MAX ? most : KEYS_MAX, sizeof *keys->entries);
    if (keys->entries == NULL) {
        snprintf(fault, KEYS_FAULT_SIZE, "no memory for it");
        return false;
    }
    while (wrong == NULL && str_split(&text, '\n', &line)) {
        number++;
        wrong = add_line(line, keys);
    }
    if (wrong != NULL) {
        snprintf(fault, KEYS_FAULT_SIZE, "line %zu: %s", number, wrong);
        keys_release(keys);
        return false;
    }
    qsort(keys->entries, keys->len, sizeof *keys->entries, compare_entries);
    for (size_t i = 1; i < keys->len; i++)
        if (compare_entries(&keys->entries[i - 1], &keys->entries[i]) == 0) {
            snprintf(fault, KEYS_FAULT_SIZE, "\"%s\" has the key or the user of another line",
                     keys->entries[i].name);
            keys_release(keys);
            return false;
        }
    return true;
}

void keys_release(struct keys *keys)
{
    for (size_t i = 0; i < keys->len; i++)
        free((char *)keys->entries[i].ids.data);
    free(keys->entries);
    *keys = (struct keys){0};
}

/* ---- the file ---- */

bool keys_read(const char *path, struct buffer *text, bool *found, char fault[KEYS_FAULT_SIZE])
{
    int fd = file_open(path);
    *found = fd >= 0 || (errno != ENOENT && errno != ENOTDIR);
    if (!*found)
        return true;
    const char *wrong =
        fd < 0 ? strerror(errno)
               : file_read_guarded(fd, FILE_MAX_BYTES, "it is longer than 4 MiB", text);
    if (fd >= 0)
        close(fd);
    if (wrong != NULL)
        snprintf(fault, KEYS_FAULT_SIZE, "%s", wrong);
    return wrong == NULL;
}

bool keys_load(const char *path, struct keys *keys, bool *found, char fault[KEYS_FAULT_SIZE])
{
    struct buffer text = {0};
    *keys = (struct keys){0};
    bool loaded = keys_read(path, &text, found, fault) &&
                  (!*found || keys_parse(buffer_str(&text), keys, fault));
    buffer_release(&text);
    return loaded;
}

/* ---- finding ---- */

/* Digests of what a client chose cannot be aimed at those in the table, so where the search ends
 * says nothing of use; the comparison that decides takes the same time for all. */
const struct key_entry *keys_find(const struct keys *keys, const uint8_t digest[KEY_DIGEST_LEN])
{
    size_t first = 0;
    size_t last = keys->len;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (memcmp(keys->entries[middle].digest, digest, KEY_DIGEST_LEN) < 0)
            first = middle + 1;
        else
            last = middle;
    }
    return first < keys->len &&
                   sodium_memcmp(keys->entries[first].digest, digest, KEY_DIGEST_LEN) == 0
               ? &keys->entries[first]
               : NULL;
}
