/* SPDX-License-Identifier: MIT */
#include "store/sealing.h"

_Static_assert((int)SEAL_STORE_LEN == (int)STORE_MASK_KEY_LEN, "a store's random key tells it");

void sealing_release(struct sealing *sealing)
{
    buffer_release(&sealing->sealed);
    buffer_release(&sealing->opened);
    buffer_release(&sealing->scratch);
}

static struct seal_place place_of(const struct sealing *sealing, struct str id,
                                  const struct store_record *record)
{
    struct seal_place place = {
        .sequence = record->sequence, .revision = record->revision, .id = id};
    memcpy(place.store, sealing->store, sizeof place.store);
    return place;
}

struct str sealing_seal(struct sealing *sealing, struct str id, const struct store_record *record,
                        struct str document)
{
    const struct seal_place place = place_of(sealing, id, record);
    if (vault_first(sealing->vault) == NULL)
        return document;
    buffer_reset(&sealing->sealed, SIZE_MAX);
    return seal_append(sealing->vault, &place, document, &sealing->sealed)
               ? buffer_str(&sealing->sealed)
               : (struct str){NULL, 0};
}

struct str sealing_open(struct sealing *sealing, struct str id, const struct store_record *record)
{
    const struct seal_place place = place_of(sealing, id, record);
    if (seal_key_name(record->document).len == 0)
        return record->document;
    buffer_reset(&sealing->opened, SIZE_MAX);
    return seal_open(sealing->vault, &place, record->document, &sealing->scratch,
                     &sealing->opened) == SEAL_OPENED
               ? buffer_str(&sealing->opened)
               : record->document;
}

struct str sealing_renew(struct sealing *sealing, struct str id, const struct store_record *record,
                         bool *unreadable)
{
    const struct vault_key *first = vault_first(sealing->vault);
    struct str wanted = first == NULL ? STR("") : str_from(first->name);
    *unreadable = false;
    if (str_equal(seal_key_name(record->document), wanted))
        return record->document;
    struct str opened = sealing_open(sealing, id, record);
    *unreadable = seal_key_name(opened).len > 0;
    return *unreadable ? opened : sealing_seal(sealing, id, record, opened);
}
