/* SPDX-License-Identifier: MIT
 *
 * Counters of all processes of a state directory, in a file that they map. Each counting thread
 * owns a slot, and is the only one to write to it; a scrape adds up all slots. Each process has an
 * entry, protected by a lock that is released when the process dies, which frees its slots as well.
 * The next owner of a slot continues from the values it finds, so counters never decrease, whatever
 * is killed.
 *
 * Limits: 4096 processes and 4095 slots at a time. Threads that find no slot, or no disk space for
 * a new one, use a shared slot for the rest of their lives: their counts are exact, but a request
 * in flight when its process is killed remains counted as in flight. Processes beyond the limit
 * also use the shared slot, and are missing from the figures about processes. The file never
 * shrinks: it takes at most about 70 MB, at about 16 KB per slot. */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"
#include "core/log.h"

/* The values of the labels, provided by the layers that define them. They determine the file
 * format: an area with another format (from another version of the program) is replaced by a new
 * one. */
struct metrics_labels {
    const char *const *endpoints;
    size_t endpoints_len;
    const char *const *methods;
    size_t methods_len;
    const unsigned *statuses;
    size_t statuses_len;
    const char *const *operations; /* of the store */
    size_t operations_len;
    const char *const *outcomes; /* of these operations */
    size_t outcomes_len;
};

/* A finished request; the first three members are indexes into the labels. */
struct metrics_request {
    size_t endpoint;
    size_t method;
    size_t status;
    uint64_t duration_ns;
    uint64_t bytes_in;  /* size of the request body */
    uint64_t bytes_out; /* size of the response body */
};

/* An operation on the store; the first two members are indexes into the labels. */
struct metrics_operation {
    size_t operation;
    size_t outcome;
    uint64_t duration_ns;
};

/* Why a worker or the follower ended. */
enum metrics_ending {
    METRICS_RELOADED, /* replaced by a new one, as requested */
    METRICS_EXITED,   /* exited by itself */
    METRICS_KILLED,   /* killed by a signal */
    METRICS_ENDINGS
};

/* Prometheus text format 0.0.4, or OpenMetrics 1.0 (in which the names of counter families lack
 * "_total", and a page ends with "# EOF"). */
enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

/* Where metric families are written. */
struct metrics_page {
    enum metrics_format format;
    struct buffer *out;
};

/* A value determined at scrape time: a counter if its name ends in "_total", otherwise a gauge. */
struct metrics_sample {
    const char *name;
    const char *labels; /* without braces; NULL: none */
    const char *help;   /* NULL: in the same family as the previous sample */
    uint64_t value;
};

struct metrics;

/* A thread's slot. */
struct metrics_slot {
    _Atomic uint64_t *values;
    struct metrics *metrics;
    bool shared; /* no slot was free: this one has several writers */
};

/* Opens or creates the area at `path`, and maps address space for all slots, about 70 MB. `labels`
 * must outlive it. On failure returns NULL with a message in `error`. */
MUST_CHECK struct metrics *metrics_open(const char *path, const struct metrics_labels *labels,
                                        char *error, size_t error_size);

/* Unmaps the area; the counters remain in the file. Also ends the claims to slots and to the
 * process's entry. */
void metrics_close(struct metrics *metrics);

/* Claims a slot for one thread. The first call in a process registers the process, so that its
 * memory, descriptors and CPU time are counted, and, if it `serves`, registers it as a worker.
 * Calls must not overlap. */
void metrics_claim(struct metrics *metrics, struct metrics_slot *slot, bool serves);

void metrics_begin(struct metrics_slot *slot);  /* a request is now in flight */
void metrics_cancel(struct metrics_slot *slot); /* it no longer is, and is not counted */
void metrics_end(struct metrics_slot *slot, const struct metrics_request *request);

/* Updates the CPU time used by the slot's process so far; call it from a thread of that process. */
void metrics_count_cpu(const struct metrics_slot *slot);
/* Excludes the CPU time used so far, because it was counted by the program that ran earlier in the
 * same process. Call it before the first metrics_count_cpu. */
void metrics_skip_cpu(const struct metrics_slot *slot);

void metrics_count_operation(struct metrics_slot *slot, const struct metrics_operation *operation);
void metrics_count_ending(struct metrics *metrics, enum metrics_ending ending);

/* Notes that a key was used; `key` tells it from others, and is never 0; `minute` is since 1970.
 * Makes no system call. */
void metrics_note_key(struct metrics *metrics, uint64_t key, uint64_t minute);

/* For a process that counts nothing: reads from the file at `path` when keys were used last.
 * Returns NULL if that is not known; otherwise the caller frees it. Keys that were not used for
 * long may be forgotten if there are thousands.
 * metrics_key_minute: 0: not as far as is known. */
struct metrics_key_uses;
struct metrics_key_uses *metrics_load_key_uses(const char *path);
uint64_t metrics_key_minute(struct metrics_key_uses *uses, uint64_t key);

/* Where log lines are counted, for log_count_in. */
struct log_counts *metrics_log_counts(struct metrics *metrics);

/* The Content-Type of a page. */
struct str metrics_content_type(enum metrics_format format);

/* metrics_render writes the families of the area, metrics_render_samples values that are not in it,
 * and metrics_render_end the end of the page, in this order. */
void metrics_render(const struct metrics *metrics, const struct metrics_page *page);
void metrics_render_samples(const struct metrics_sample *samples, size_t len,
                            const struct metrics_page *page);
void metrics_render_end(const struct metrics_page *page);

#endif
