/* SPDX-License-Identifier: MIT
 *
 * Masks: what callers see of settings who may not see secrets. In the place of each text that
 * is secret stands
 * "[secret:" and 12 hexadecimal digits and "]", a keyed fingerprint (HMAC-SHA-256, RFC 2104, under
 * the random key of the store) of the integration's id, the text's path, and the text as it is
 * stored. So two reads can be compared, nothing can be guessed, and a mask that is sent back says
 * which value it stands for. An empty text is no secret. */
#ifndef ACCESS_MASK_H
#define ACCESS_MASK_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/str.h"
#include "providers/schema.h"

enum {
    MASK_KEY_LEN = 32,
    MASK_LEN = 21 /* in bytes, without quotes */
};

/* What masks are made from. */
struct mask_source {
    const uint8_t *key;          /* MASK_KEY_LEN bytes */
    struct str id;               /* of the integration, decoded */
    const struct schema *schema; /* which says what is secret; NULL: each text is */
};

/* Appends settings, valid JSON, with the secret texts masked. Returns false if memory is lacking or
 * they are too deep; what was appended is then of no use. `arena` is for scratch. */
MUST_CHECK bool mask_append(const struct mask_source *source, struct str settings,
                            struct arena *arena, struct buffer *out);

/* Whether settings, valid JSON, may hold something that looks like a mask: quick, and sometimes
 * wrong. */
bool mask_is_possible(struct str settings);

enum mask_outcome {
    MASK_NONE,     /* there are no masks: the settings are what they are */
    MASK_RESTORED, /* see `out` */
    MASK_WRONG,    /* one stands for no stored value, or for another's; see `member` */
    MASK_FAILED    /* memory is lacking, or the settings are too deep */
};

/* Appends settings with each mask replaced by the text of `stored` that it stands for; `stored`
 * empty: nothing is stored. A text that holds a mask and more is wrong, too. *member: the name of
 * the outermost member that is wrong, in `arena`. */
MUST_CHECK enum mask_outcome mask_restore(const struct mask_source *source, struct str settings,
                                          struct str stored, struct arena *arena,
                                          struct buffer *out, struct str *member);

#endif
