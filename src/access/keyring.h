/* SPDX-License-Identifier: MIT
 *
 * The keys that a process lets in: what its file said last. A changed file counts when it is looked
 * at again; one with a fault, or one that is gone, changes nothing, but is reported.
 *
 * A keyring may be opened before a fork: the child goes on with what the parent knew. */
#ifndef ACCESS_KEYRING_H
#define ACCESS_KEYRING_H

#include <pthread.h>
#include <sys/stat.h>

#include "access/keys.h"
#include "core/config.h"

struct keyring {
    char path[512];
    pthread_rwlock_t lock; /* of the members below */
    struct keys keys;
    bool closed; /* there is a file: a key is needed */
    struct stat seen;
    char fault[KEYS_FAULT_SIZE]; /* of the file as it is now; empty: none */
};

/* Reads the file that the configuration names; if it does so itself, the file must be there. On
 * failure returns false with a message in `error`, and there is nothing to close. */
MUST_CHECK bool keyring_open(struct keyring *keyring, const struct config *config, char *error,
                             size_t error_size);
void keyring_close(struct keyring *keyring);

/* Reads the file again if it has changed; logs a fault of it, once. Returns whether there are other
 * keys now. */
bool keyring_look(struct keyring *keyring);

/* Whether a key is needed. */
bool keyring_is_closed(struct keyring *keyring);

/* Copies the fault of the file, or an empty text. */
void keyring_fault(struct keyring *keyring, char fault[KEYS_FAULT_SIZE]);

enum key_verdict {
    KEY_NOT_NEEDED, /* there is no file of keys */
    KEY_MISSING,    /* one is needed, and none was given */
    KEY_UNKNOWN,
    KEY_EXPIRED,
    KEY_VALID
};

/* What is known of a caller. */
struct key_grant {
    enum key_verdict verdict;
    unsigned scopes;       /* SCOPES_ALL if no key is needed */
    uint64_t number;       /* of the entry, see keys_number */
    const struct str *ids; /* that it is bound to; NULL: none */
    size_t ids_len;
    char name[KEYS_NAME_MAX + 1];
};

/* Judges a caller by the key that was given, or else by the name of the user whom the web server
 * has authenticated; an empty text: there is none. What the grant points to is in the arena. Makes
 * no system call. */
void keyring_judge(struct keyring *keyring, struct str text, struct str remote_user,
                   struct arena *arena, struct key_grant *grant);

#endif
