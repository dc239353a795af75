/* SPDX-License-Identifier: MIT */
#include "store/lmdb/entries.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"
#include "core/log.h"

/* In front of the texts of an entry: id, actor, request id, members, document. */
struct head {
    uint64_t sum; /* of all that follows, seeded with the revision */
    uint64_t at_us;
    uint64_t previous_tag; /* of the version that the store had before */
    uint64_t sequence;
    uint64_t before_revision;
    uint64_t before_created_us;
    uint64_t before_updated_us;
    uint32_t operation;
    uint32_t id_len;
    uint32_t actor_len;
    uint32_t request_id_len;
    uint32_t members_len;
    uint32_t document_len; /* 0: there was none, or it is not kept */
};

static uint64_t sum_of(const void *entry, size_t size, uint64_t revision)
{
    return XXH3_64bits_withSeed((const char *)entry + sizeof(uint64_t), size - sizeof(uint64_t),
                                revision);
}

void entries_compose(const struct store_entry *entry, struct buffer *out)
{
    struct head head = {.at_us = entry->at_us,
                        .previous_tag = entry->previous_tag,
                        .sequence = entry->before.sequence,
                        .before_revision = entry->before.revision,
                        .before_created_us = entry->before.created_us,
                        .before_updated_us = entry->before.updated_us,
                        .operation = entry->operation,
                        .id_len = (uint32_t)entry->id.len,
                        .actor_len = (uint32_t)entry->author.actor.len,
                        .request_id_len = (uint32_t)entry->author.request_id.len,
                        .members_len = (uint32_t)entry->members.len,
                        .document_len = (uint32_t)entry->before.document.len};
    buffer_reset(out, SIZE_MAX);
    buffer_append(out, &head, sizeof head);
    buffer_append_str(out, entry->id);
    buffer_append_str(out, entry->author.actor);
    buffer_append_str(out, entry->author.request_id);
    buffer_append_str(out, entry->members);
    buffer_append_str(out, entry->before.document);
    if (out->failed)
        return;
    head.sum = sum_of(out->data, out->len, entry->revision);
    memcpy(out->data, &head.sum, sizeof head.sum);
}

static struct str take(const char **at, size_t len)
{
    struct str text = {*at, len};
    *at += len;
    return text;
}

bool entries_read(MDB_val key, MDB_val value, struct store_entry *entry)
{
    struct head head;
    uint64_t revision = 0;
    bool whole = key.mv_size == sizeof revision && value.mv_size >= sizeof head;
    if (whole) {
        memcpy(&revision, key.mv_data, sizeof revision);
        memcpy(&head, value.mv_data, sizeof head);
        whole = value.mv_size == sizeof head + (uint64_t)head.id_len + head.actor_len +
                                     head.request_id_len + head.members_len + head.document_len &&
                head.sum == sum_of(value.mv_data, value.mv_size, revision);
    }
    if (!whole) {
        LOG(LOG_CRITICAL, "an entry of the log of changes is damaged: look at the disk",
            LOG_NUMBER("revision", (int64_t)revision));
        return false;
    }
    const char *at = (const char *)value.mv_data + sizeof head;
    *entry = (struct store_entry){.revision = revision,
                                  .at_us = head.at_us,
                                  .previous_tag = head.previous_tag,
                                  .operation = (enum store_operation)head.operation,
                                  .before = {.sequence = head.sequence,
                                             .revision = head.before_revision,
                                             .created_us = head.before_created_us,
                                             .updated_us = head.before_updated_us}};
    entry->id = take(&at, head.id_len);
    entry->author.actor = take(&at, head.actor_len);
    entry->author.request_id = take(&at, head.request_id_len);
    entry->members = take(&at, head.members_len);
    if (head.document_len > 0)
        entry->before.document = take(&at, head.document_len);
    return true;
}

uint64_t entries_oldest_us(const struct environment *environment, uint64_t now_us)
{
    uint64_t kept_us = environment->keeping.days * 24 * 60 * US_PER_MINUTE;
    return now_us > kept_us ? now_us - kept_us : 0;
}
