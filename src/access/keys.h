/* SPDX-License-Identifier: MIT
 *
 * The keys that are let in, and what each may do: a file with a line for each,
 *
 *   NAME SCOPE[,SCOPE…] SHA256-IN-HEX [expires=YYYY-MM-DDTHH:MM:SSZ]
 *
 * Empty lines, and lines that begin with "#", are comments. A name may stand on several lines, as
 * it does while one key replaces another. Where there is no file, nobody needs a key; a file
 * without keys lets nobody in.
 *
 * Limits: KEYS_MAX lines with keys, and KEYS_NAME_MAX bytes a name. */
#ifndef ACCESS_KEYS_H
#define ACCESS_KEYS_H

#include <stdio.h>

#include "access/key.h"
#include "base/buffer.h"

enum { KEYS_MAX = 10000, KEYS_NAME_MAX = 64, KEYS_FAULT_SIZE = 256 };

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
    uint8_t digest[KEY_DIGEST_LEN];
    uint64_t expires_s; /* since 1970; 0: never */
    unsigned scopes;
    char name[KEYS_NAME_MAX + 1];
};

struct keys {
    struct key_entry *entries; /* by digest */
    size_t len;
};

/* Whether the time of an entry is over. */
bool keys_has_expired(const struct key_entry *entry);

/* Whether a key can be called so: letters, digits, ".", "_" and "-", beginning with one of the
 * first two. */
bool keys_is_name(struct str name);

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
