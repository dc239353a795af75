/* SPDX-License-Identifier: MIT
 *
 * Sealed documents: integrations whose settings nobody can read without the key, nor replace by
 * others. In place of the settings' object there is a text, so that what does not know sealing
 * takes such a document for no integration rather than for one without settings:
 *
 *     1:NAME:BASE64
 *
 * the number of this form, the key's name, and the nonce, the ciphertext and the tag of
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce. Bound to it, as additional
 * data, are the form, the key's name, and where the document belongs: a sealed text from elsewhere
 * is not opened. The other members are in clear, and not bound. */
#ifndef SEAL_SEAL_H
#define SEAL_SEAL_H

#include "base/buffer.h"
#include "seal/vault.h"

enum { SEAL_STORE_LEN = 32 };

/* Where a document belongs. */
struct seal_place {
    uint8_t
        store[SEAL_STORE_LEN]; /* random bytes of the store; zeros: it is on its way elsewhere */
    uint64_t sequence;         /* its position in the order of creation; 0: likewise */
    uint64_t revision;         /* of the change that wrote it; 0: likewise */
    struct str id;
};

enum seal_outcome {
    SEAL_OPENED,
    SEAL_KEY_MISSING, /* the vault lacks the key that it was sealed with */
    SEAL_WRONG,       /* this is not what was sealed here */
    SEAL_NO_MEMORY
};

/* The name of the key that a document is sealed with; empty: it is not sealed. */
struct str seal_key_name(struct str document);

/* Appends a document, whose settings are an object, sealed with the vault's first key. Returns
 * false if memory is lacking, if the document is no integration, or if the vault does not seal. */
MUST_CHECK bool seal_append(const struct vault *vault, const struct seal_place *place,
                            struct str document, struct buffer *out);

/* Appends a sealed document as it was before; if it fails, nothing. `scratch` is temporary storage,
 * which holds nothing secret afterwards. */
MUST_CHECK enum seal_outcome seal_open(const struct vault *vault, const struct seal_place *place,
                                       struct str document, struct buffer *scratch,
                                       struct buffer *out);

/* Appends a document without its settings, and with a member that says why they are missing:
 * {…, "settings": {}, "unreadable": "…"}. */
void seal_append_unreadable(struct str document, struct str why, struct buffer *out);

#endif
