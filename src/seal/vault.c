/* SPDX-License-Identifier: MIT */
#include "seal/vault.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "core/log.h"

enum {
    FILE_MAX_BYTES = 64 << 10,
    FILE_PIECE = 8192, /* more than is read at once */
    ERROR_SIZE = 1024
};

static bool is_name(struct str text)
{
    static const char others[] = "._-";
    if (text.len == 0 || text.len > VAULT_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!is_letter && (c < '0' || c > '9') && memchr(others, c, sizeof others - 1) == NULL)
            return false;
    }
    return true;
}

static bool decode(struct str text, uint8_t bytes[VAULT_KEY_LEN])
{
    size_t len;
    return text.len > 0 &&
           sodium_base642bin(bytes, VAULT_KEY_LEN, text.data, text.len, NULL, &len, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           len == VAULT_KEY_LEN;
}

/* Parses a line that is neither empty nor a comment. Returns NULL, or what is wrong. */
static const char *parse_line(struct str line, struct vault *vault)
{
    struct str name;
    struct vault_key *key = &vault->keys[vault->len];
    if (!str_split(&line, ' ', &name) || !is_name(name))
        return "a line is NAME BASE64, the name 1 to 32 letters, digits, \".\", \"_\" or \"-\"";
    if (vault_find(vault, name) != NULL)
        return "the key has the name of another";
    if (!decode(str_trim(line), key->bytes))
        return "the key is not 32 bytes in Base64: openssl rand -base64 32";
    memcpy(key->name, name.data, name.len);
    vault->len++;
    return NULL;
}

/* Returns NULL, or what is wrong. */
static const char *add_line(struct str line, struct vault *vault)
{
    line = str_trim(line);
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || line.data[0] == '#')
        return NULL;
    if (str_equal(line, STR("none")) && vault->len == 0 && vault->seals) {
        vault->seals = false;
        return NULL;
    }
    return vault->len == VAULT_KEYS_MAX ? "there are more than 64 keys" : parse_line(line, vault);
}

static const char *add_lines(struct str text, struct vault *vault, size_t *number)
{
    struct str line;
    const char *wrong = NULL;
    vault->seals = true;
    while (wrong == NULL && str_split(&text, '\n', &line)) {
        ++*number;
        wrong = add_line(line, vault);
    }
    if (wrong == NULL && vault->len == 0 && vault->seals) {
        *number = 0;
        wrong = "there is no key in it: write \"none\" if settings are to be kept unsealed";
    }
    return wrong;
}

bool vault_parse(struct str text, struct vault *vault, char fault[VAULT_FAULT_SIZE])
{
    size_t number = 0;
    *vault = (struct vault){0};
    if (sodium_init() >= 0)
        vault->keys = sodium_allocarray(VAULT_KEYS_MAX, sizeof *vault->keys);
    if (vault->keys == NULL) {
        snprintf(fault, VAULT_FAULT_SIZE, "no memory for it");
        return false;
    }
    sodium_memzero(vault->keys, VAULT_KEYS_MAX * sizeof *vault->keys);
    const char *wrong = add_lines(text, vault, &number);
    if (wrong == NULL && sodium_mprotect_readonly(vault->keys) == 0)
        return true;
    if (wrong == NULL)
        snprintf(fault, VAULT_FAULT_SIZE, "%s", strerror(errno));
    else if (number == 0)
        snprintf(fault, VAULT_FAULT_SIZE, "%s", wrong);
    else
        snprintf(fault, VAULT_FAULT_SIZE, "line %zu: %s", number, wrong);
    vault_release(vault);
    return false;
}

static bool load(const char *path, struct vault *vault, char fault[VAULT_FAULT_SIZE])
{
    /* Not one that grows, which would leave copies behind. */
    static const size_t size = FILE_MAX_BYTES + FILE_PIECE;
    char *storage = sodium_init() < 0 ? NULL : sodium_malloc(size);
    struct buffer text = buffer_on(storage, size);
    *vault = (struct vault){0};
    const char *wrong = storage == NULL ? "no memory for it" : NULL;
    int fd = wrong == NULL ? file_open(path) : -1;
    if (wrong == NULL)
        wrong = fd < 0 ? strerror(errno)
                       : file_read_guarded(fd, FILE_MAX_BYTES, "it is longer than 64 KiB", &text);
    if (fd >= 0)
        close(fd);
    if (wrong != NULL)
        snprintf(fault, VAULT_FAULT_SIZE, "%s", wrong);
    bool loaded = wrong == NULL && vault_parse(buffer_str(&text), vault, fault);
    sodium_free(storage);
    return loaded;
}

bool vault_open(const char *path, struct vault *vault, char *error, size_t error_size)
{
    char fault[VAULT_FAULT_SIZE];
    *vault = (struct vault){0};
    if (path[0] == '\0' || load(path, vault, fault))
        return true;
    snprintf(error, error_size, "ENCRYPTION_KEYS_FILE: %s: %s", path, fault);
    return false;
}

static bool is_same(const struct vault *a, const struct vault *b)
{
    return a->len == b->len && a->seals == b->seals &&
           (a->len == 0 || sodium_memcmp(a->keys, b->keys, a->len * sizeof *a->keys) == 0);
}

bool vault_reload(struct vault *vault, const char *path)
{
    struct vault news;
    char error[ERROR_SIZE];
    if (!vault_open(path, &news, error, sizeof error)) {
        LOG(LOG_ERROR, "the keys for settings that were known before go on to count",
            LOG_TEXT("error", error));
        return false;
    }
    bool same = is_same(vault, &news);
    news.goes_on = vault->goes_on;
    vault_release(vault);
    *vault = news;
    return !same;
}

void vault_release(struct vault *vault)
{
    sodium_free(vault->keys);
    *vault = (struct vault){0};
}

const struct vault_key *vault_find(const struct vault *vault, struct str name)
{
    for (size_t i = 0; i < vault->len; i++)
        if (str_equal(str_from(vault->keys[i].name), name))
            return &vault->keys[i];
    return NULL;
}
