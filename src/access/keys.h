/* SPDX-License-Identifier: MIT
 *
 * The keys that are let in, and what each may do: a file with a line for each,
 *
 *   NAME SCOPE[,SCOPE…] SHA256-IN-HEX [expires=YYYY-MM-DDTHH:MM:SSZ] [ids=ID[,ID…]]
 *   user:NAME SCOPE[,SCOPE…] [expires=…] [ids=…]
 *
 * The second form is for somebody whom the web server has authenticated. A key with ids may only
 * deal with the integrations that have them. Ids, and the names of users, are percent-encoded as in
 * a URL.
 *
 * No key, and no user, may stand on two lines.
 *
 * Empty lines, and lines that begin with "#", are comments. A name may stand on several lines, as
 * it does while one key replaces another. Where there is no file, nobody needs a key; a file
 * without keys lets nobody in.
 *
 * Limits: KEYS_MAX lines with keys, KEYS_NAME_MAX bytes a name, and KEYS_IDS_MAX ids a key. */
#ifndef ACCESS_KEYS_H
#define ACCESS_KEYS_H

#include <stdio.h>

#include "access/key.h"
#include "base/arena.h"
#include "base/buffer.h"

enum { KEYS_MAX = 10000, KEYS_NAME_MAX = 128, KEYS_IDS_MAX = 100, KEYS_FAULT_SIZE = 256 };

/* What a key may do; a bit set. */
enum scope {
    SCOPE_NONE = 0,
    SCOPE_READ = 1,    /* read integrations, the texts in their settings masked (access/mask.h) */
    SCOPE_SECRETS = 2, /* read them as they are; whoever has it has SCOPE_READ, too */
    SCOPE_WRITE = 4,   /* change integrations */
    SCOPE_METRICS = 8, /* read the metrics */
    SCOPES_ALL = 15
};

/* Their names, those of the bits in order; NULL-terminated. */
extern const char *const scope_names[];

/* Reads scopes with commas between. Returns false if one is unknown, or there is none. */
MUST_CHECK bool scopes_from(struct str text, unsigned *scopes);
/* scopes_append: appends them, with this character between. scopes_write: writes them with commas.
 */
void scopes_append(struct buffer *buffer, unsigned scopes, char separator);
void scopes_write(unsigned scopes, FILE *out);

struct key_entry {
    uint8_t digest[KEY_DIGEST_LEN]; /* of the key, or what keys_digest_user makes */
    uint64_t expires_s;             /* since 1970; 0: never */
    unsigned scopes;
    struct str ids; /* as they stand in the file; empty: any. They belong to the keys. */
    char name[KEYS_NAME_MAX + 1];
};

struct keys {
    struct key_entry *entries; /* by digest */
    size_t len;
};

/* A number that tells the entry from others; never 0. */
uint64_t keys_number(const struct key_entry *entry);

/* Whether the time of an entry is over. */
bool keys_has_expired(const struct key_entry *entry);

/* keys_is_name: whether a key can be called so: letters, digits, ".", "_" and "-", beginning with
 * one of the first two.
 * keys_is_user: whether it is the name of a user in the file: "user:" and printable ASCII.
 * keys_digest_user: what a user is found by, and no key is; `name` without "user:", decoded. */
bool keys_is_name(struct str name);
bool keys_is_user(struct str name);
void keys_digest_user(struct str name, uint8_t digest[KEY_DIGEST_LEN]);

/* Whether two names of the file are of the same key or user: those of users may be encoded in
 * different ways. */
bool keys_is_same_name(struct str a, struct str b);

/* Splits ids as they stand after "ids=", and decodes them. Returns false if they are none, or there
 * are too many. If memory is lacking, *ids is NULL, as the arena records. */
MUST_CHECK bool keys_split_ids(struct arena *arena, struct str text, struct str **ids, size_t *len);

/* Reads a time as it stands after "expires=". */
MUST_CHECK bool keys_read_time(struct str text, uint64_t *s);
void keys_write_time(uint64_t s, FILE *out);

/* Writes a line of the file. */
void keys_write_entry(const struct key_entry *entry, FILE *out);

/* Reads the text of a file. On failure returns false, with which line is wrong, and how, in
 * `fault`; it quotes nothing. */
MUST_CHECK bool keys_parse(struct str text, struct keys *keys, char fault[KEYS_FAULT_SIZE]);

/* keys_read: reads the text of a file. One that everybody may write to is refused. *found: there is
 * one; without it the text is empty, and nothing is wrong.
 * keys_load: parses it, too. */
MUST_CHECK bool keys_read(const char *path, struct buffer *text, bool *found,
                          char fault[KEYS_FAULT_SIZE]);
MUST_CHECK bool keys_load(const char *path, struct keys *keys, bool *found,
                          char fault[KEYS_FAULT_SIZE]);
void keys_release(struct keys *keys);

/* Finds an entry, in time that says nothing of the digests in the table; NULL: there is none. */
const struct key_entry *keys_find(const struct keys *keys, const uint8_t digest[KEY_DIGEST_LEN]);

#endif
