/* SPDX-License-Identifier: MIT
 *
 * Counters of all processes of one state directory, in one file that they map. Each thread that
 * counts owns a slot, written only by it; a scrape adds the slots up. A process has an entry, held
 * by a lock that dies with it, and its slots are free with it; their next owners go on from the
 * values found, so no counter ever falls, whatever is killed.
 *
 * Limits: 4096 processes and 4095 slots at a time. Threads that find none, or no place on disk for
 * a new one, share a slot for as long as they live: their counts are exact, but a request that was
 * in flight when its process was killed stays so. What is beyond the 4096th process shares it too,
 * and is missing from the figures of processes. The file never shrinks: at most some 70 MB, about
 * 16 KB a slot. */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"
#include "core/log.h"

/* The values that labels take, from the floors that know them. They shape the file: an area of
 * another shape (another version of the program) is replaced by a new one. */
struct metrics_labels {
    const char *const *endpoints;
    size_t endpoints_len;
    const char *const *methods;
    size_t methods_len;
    const unsigned *statuses;
    size_t statuses_len;
    const char *const *operations; /* of the store */
    size_t operations_len;
    const char *const *outcomes; /* of these */
    size_t outcomes_len;
};

/* One finished request; the first three are indexes into the labels. */
struct metrics_request {
    size_t endpoint;
    size_t method;
    size_t status;
    uint64_t duration_ns;
    uint64_t bytes_in;  /* of the request's body */
    uint64_t bytes_out; /* of the answer's body */
};

/* One operation of the store; the first two are indexes into the labels. */
struct metrics_operation {
    size_t operation;
    size_t outcome;
    uint64_t duration_ns;
};

/* Why a worker ended, or the follower. */
enum metrics_ending {
    METRICS_RELOADED, /* a new one took its place, as asked */
    METRICS_EXITED,   /* by itself */
    METRICS_KILLED,   /* by a signal */
    METRICS_ENDINGS
};

/* The text format 0.0.4 of Prometheus, or OpenMetrics 1.0 (its counters' families are named without
 * "_total", and it ends in "# EOF"). */
enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

/* Where families go. */
struct metrics_page {
    enum metrics_format format;
    struct buffer *out;
};

/* A value read at the time of the scrape: a counter if its name ends in "_total", else a gauge. */
struct metrics_sample {
    const char *name;
    const char *labels; /* without braces; NULL: none */
    const char *help;   /* NULL: of the same family as the one before */
    uint64_t value;
};

struct metrics;

/* One thread's slot. */
struct metrics_slot {
    _Atomic uint64_t *values;
    struct metrics *metrics;
    bool shared; /* no slot was free: this one has several writers */
};

/* Opens or creates the area at `path`, and maps room for all slots, some 70 MB of addresses.
 * `labels` must outlive it. NULL with a sentence in `error`. */
MUST_CHECK struct metrics *metrics_open(const char *path, const struct metrics_labels *labels,
                                        char *error, size_t error_size);

/* Unmaps the area; the counters stay in the file. The slots claimed, and the process's entry, end
 * with it. */
void metrics_close(struct metrics *metrics);

/* Takes a slot for one thread. The first call of a process makes it one of the pool, with its
 * memory, descriptors and CPU, and, if it `serves`, a worker. Call from one thread at a time. */
void metrics_claim(struct metrics *metrics, struct metrics_slot *slot, bool serves);

void metrics_begin(struct metrics_slot *slot);  /* a request is in flight */
void metrics_cancel(struct metrics_slot *slot); /* it is not, and does not count */
void metrics_end(struct metrics_slot *slot, const struct metrics_request *request);

/* Counts the CPU time that the slot's process has used by now; call from one of its threads. */
void metrics_count_cpu(const struct metrics_slot *slot);
/* Leaves out the time used by now, which an earlier program of the same process has counted; before
 * the first metrics_count_cpu. */
void metrics_skip_cpu(const struct metrics_slot *slot);

void metrics_count_operation(struct metrics_slot *slot, const struct metrics_operation *operation);
void metrics_count_ending(struct metrics *metrics, enum metrics_ending ending);

/* Where the log's lines are counted, for log_count_in. */
struct log_counts *metrics_log_counts(struct metrics *metrics);

/* The Content-Type of a page. */
struct str metrics_content_type(enum metrics_format format);

/* Appends the families of the area; then values that are not in it; then what ends the page. */
void metrics_render(const struct metrics *metrics, const struct metrics_page *page);
void metrics_render_samples(const struct metrics_sample *samples, size_t len,
                            const struct metrics_page *page);
void metrics_render_end(const struct metrics_page *page);

#endif
