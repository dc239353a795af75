/* SPDX-License-Identifier: MIT */
#include "stores.h"

enum store_status store_fail_status = STORE_BROKEN;

static int nothing; /* something to point at */

static struct store *fail_open(const struct store_options *options, char *error, size_t error_size)
{
    (void)options;
    (void)error;
    (void)error_size;
    return (struct store *)(void *)&nothing;
}

static void fail_close(struct store *store)
{
    (void)store;
}

static struct store_session *fail_session_open(struct store *store)
{
    return (struct store_session *)(void *)store;
}

static void fail_session_close(struct store_session *session)
{
    (void)session;
}

static enum store_status fail_get(struct store_session *session, struct str id, struct buffer *out)
{
    (void)session;
    (void)id;
    buffer_append_str(out, STR("half an answer"));
    return store_fail_status;
}

static enum store_status fail_list(struct store_session *session, struct buffer *out)
{
    return fail_get(session, STR(""), out);
}

static enum store_status fail_write(struct store_session *session, const struct store_item *item)
{
    (void)session;
    (void)item;
    return store_fail_status;
}

static enum store_status fail_remove(struct store_session *session, struct str id)
{
    (void)session;
    (void)id;
    return store_fail_status;
}

static enum store_status fail_seed(struct store_session *session, const struct store_item *items,
                                   size_t items_len)
{
    (void)session;
    (void)items;
    (void)items_len;
    return store_fail_status;
}

static enum store_status fail_stats(struct store_session *session, struct store_stats *stats)
{
    (void)session;
    (void)stats;
    return store_fail_status;
}

const struct store_backend store_fail = {
    .name = "fail",
    .open = fail_open,
    .close = fail_close,
    .session_open = fail_session_open,
    .session_close = fail_session_close,
    .get = fail_get,
    .list = fail_list,
    .create = fail_write,
    .replace = fail_write,
    .remove = fail_remove,
    .seed = fail_seed,
    .stats = fail_stats,
};
