/* SPDX-License-Identifier: MIT */
#include "stores.h"

enum store_status store_fail_status = STORE_BROKEN;

static int nothing; /* a valid address for handles */

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

static enum store_status fail_get(struct store_session *session, struct store_read *read,
                                  struct str id, struct store_record *record, struct buffer *out)
{
    (void)read;
    (void)record;
    (void)session;
    (void)id;
    buffer_append_str(out, STR("half an answer"));
    return store_fail_status;
}

static enum store_status fail_each(struct store_session *session, struct store_read *read,
                                   store_visit *visit, void *context)
{
    (void)read;
    (void)session;
    visit(context, &(struct store_record){.document = STR("half an answer")});
    return store_fail_status;
}

static enum store_status fail_change(struct store_session *session, struct store_batch *batch)
{
    (void)session;
    (void)batch;
    return store_fail_status;
}

static enum store_status fail_ready(struct store_session *session, uint64_t deadline_ns)
{
    (void)session;
    (void)deadline_ns;
    return store_fail_status;
}

static enum store_status fail_stats(struct store_session *session, struct store_stats *stats)
{
    (void)session;
    (void)stats;
    return store_fail_status;
}

static struct event *fail_commits(struct store *store)
{
    static struct event commits;
    (void)store;
    return &commits;
}

const struct store_backend store_fail = {
    .name = "fail",
    .open = fail_open,
    .close = fail_close,
    .session_open = fail_session_open,
    .session_close = fail_session_close,
    .get = fail_get,
    .each = fail_each,
    .change = fail_change,
    .ready = fail_ready,
    .stats = fail_stats,
    .commits = fail_commits,
};
