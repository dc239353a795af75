/* SPDX-License-Identifier: MIT
 *
 * The keys that settings are sealed with, and their file. Each line of it is
 *
 *     NAME BASE64
 *
 * the key being 32 random bytes; empty lines and those that begin with "#" do not count. The first
 * key seals, all of them open. "none" as the first line has nothing sealed any more.
 *
 * The keys are in memory of their own, which is in no core file and not swapped out (as far as the
 * process may lock memory), cannot be written to, and is wiped when it is released. */
#ifndef SEAL_VAULT_H
#define SEAL_VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/str.h"

enum {
    VAULT_KEY_LEN = 32,
    VAULT_NAME_MAX = 32, /* bytes of a key's name: letters, digits, ".", "_" and "-" */
    VAULT_KEYS_MAX = 64,
    VAULT_FAULT_SIZE = 256
};

struct vault_key {
    char name[VAULT_NAME_MAX + 1];
    uint8_t bytes[VAULT_KEY_LEN];
};

/* Zeroed, it is empty: it seals and opens nothing. */
struct vault {
    struct vault_key *keys; /* in the order of the file */
    size_t len;
    bool seals; /* with the first key */
    /* The service has been ready before, so it goes on although a replica needs a key that is
     * missing: what was put into the database by others must not end it. */
    bool goes_on;
};

/* Reads the file that ENCRYPTION_KEYS_FILE names; `path` empty: there are no keys. Returns false
 * with a message in `error` that quotes nothing of the file. */
MUST_CHECK bool vault_open(const char *path, struct vault *vault, char *error, size_t error_size);

/* Reads it anew; if something is wrong, logs it and keeps what was. Returns whether there are other
 * keys than before. */
bool vault_reload(struct vault *vault, const char *path);

/* Reads the content of a file. Returns false with a message in `fault` that quotes nothing of it.
 */
MUST_CHECK bool vault_parse(struct str text, struct vault *vault, char fault[VAULT_FAULT_SIZE]);

void vault_release(struct vault *vault);

/* Returns NULL if there is no key of that name. */
const struct vault_key *vault_find(const struct vault *vault, struct str name);

/* The key that seals; NULL: none does. */
static inline const struct vault_key *vault_first(const struct vault *vault)
{
    return vault->seals ? &vault->keys[0] : NULL;
}

#endif
