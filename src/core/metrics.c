/* SPDX-License-Identifier: MIT */
#include "core/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"

/* Upper bounds of the latency buckets: the contract's, and finer ones below 5 ms. */
static const struct bound {
    uint64_t ns;
    const char *label;
} bounds[] = {
    {100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},    {1000000, "0.001"},
    {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},    {25000000, "0.025"},
    {50000000, "0.05"},  {75000000, "0.075"}, {100000000, "0.1"},    {250000000, "0.25"},
    {500000000, "0.5"},  {750000000, "0.75"}, {1000000000, "1.0"},   {2500000000, "2.5"},
    {5000000000, "5.0"}, {7500000000, "7.5"}, {10000000000, "10.0"},
};

enum {
    BUCKETS = ARRAY_LEN(bounds) + 1, /* the last one is +Inf */
    SLOTS = 256,                     /* slot 0 is shared by those who find no other */
    SLOT_ALIGN = 8,                  /* values a cache line */
    HEADER_SIZE = 4096
};

static const char magic[8] = "ISMETR2\n";

/* The first page of the file. */
struct header {
    char magic[8];
    uint64_t shape;        /* hash of the labels and buckets */
    _Atomic uint64_t used; /* slots that were ever claimed are below this one */
    struct log_counts log;
    _Atomic uint64_t endings[METRICS_ENDINGS];
};
static_assert(sizeof(struct header) <= HEADER_SIZE, "it fits");

static const char *const ending_names[METRICS_ENDINGS] = {"reload", "exit", "signal"};

/* Where a slot keeps what; the two tables follow. */
enum value {
    VALUE_PID,
    VALUE_SERVES,
    VALUE_IN_FLIGHT,
    VALUE_CPU_US,
    VALUE_BYTES_IN,
    VALUE_BYTES_OUT,
    VALUES
};

struct metrics {
    const struct metrics_labels *labels;
    int fd;
    size_t size;
    size_t slot_values;
    struct header *header;
    _Atomic uint64_t *slots;
    bool taken[SLOTS]; /* by this process: an OFD lock does not stop its own holder */
    bool has_leader;
};

static size_t request_index(const struct metrics_labels *labels, size_t endpoint, size_t method,
                            size_t status)
{
    return VALUES + (endpoint * labels->methods_len + method) * labels->statuses_len + status;
}

/* An endpoint's buckets, then its sum in nanoseconds. */
static size_t latency_index(const struct metrics_labels *labels, size_t endpoint)
{
    return request_index(labels, labels->endpoints_len, 0, 0) + endpoint * (BUCKETS + 1);
}

/* The outcomes of all operations, then an operation's buckets and its sum in nanoseconds. */
static size_t operation_index(const struct metrics_labels *labels, size_t operation, size_t outcome)
{
    return latency_index(labels, labels->endpoints_len) + operation * labels->outcomes_len +
           outcome;
}

static size_t operation_latency_index(const struct metrics_labels *labels, size_t operation)
{
    return operation_index(labels, labels->operations_len, 0) + operation * (BUCKETS + 1);
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001B3U; /* FNV-1a */
    return hash;
}

static uint64_t hash_names(uint64_t hash, const char *const *names, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = hash_bytes(hash, names[i], strlen(names[i]) + 1);
    return hash_bytes(hash, &len, sizeof len);
}

static uint64_t shape_of(const struct metrics_labels *labels)
{
    uint64_t hash = 0xCBF29CE484222325U;
    hash = hash_names(hash, labels->endpoints, labels->endpoints_len);
    hash = hash_names(hash, labels->methods, labels->methods_len);
    hash = hash_bytes(hash, labels->statuses, labels->statuses_len * sizeof labels->statuses[0]);
    hash = hash_names(hash, labels->operations, labels->operations_len);
    hash = hash_names(hash, labels->outcomes, labels->outcomes_len);
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        hash = hash_bytes(hash, &bounds[i].ns, sizeof bounds[i].ns);
    return hash_bytes(hash, (uint64_t[]){VALUES, SLOTS}, 2 * sizeof(uint64_t));
}

enum area { AREA_READY, AREA_REPLACED, AREA_BROKEN };

/* With byte 0 locked: makes a new file an area, or sees whether it is one of this shape. */
static enum area prepare_area(int fd, const char *path, size_t size, uint64_t shape)
{
    struct stat status;
    struct header header = {.shape = shape, .used = 1};
    memcpy(header.magic, magic, sizeof magic);
    if (fstat(fd, &status) != 0)
        return AREA_BROKEN;
    if (status.st_nlink == 0)
        return AREA_REPLACED;
    if (status.st_size == 0) {
        /* Every page is given its place on disk now: a full disk is an error here, not a SIGBUS
         * later. */
        errno = posix_fallocate(fd, 0, (off_t)size);
        if (errno == 0 && pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header)
            return AREA_READY;
        int reason = errno;
        if (ftruncate(fd, 0) != 0)
            unlink(path);
        errno = reason;
        return AREA_BROKEN;
    }
    if (pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        memcmp(header.magic, magic, sizeof magic) == 0 && header.shape == shape &&
        (uint64_t)status.st_size == size)
        return AREA_READY;
    return unlink(path) == 0 ? AREA_REPLACED : AREA_BROKEN;
}

/* Opens the file at `path` as an area of this shape: a descriptor, or -1 with errno. */
static int open_area(const char *path, size_t size, uint64_t shape)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
        if (fd < 0)
            return -1;
        enum area area = AREA_BROKEN;
        if (lock_wait(fd, 0)) {
            area = prepare_area(fd, path, size, shape);
            lock_release(fd, 0);
        }
        if (area == AREA_READY)
            return fd;
        int reason = errno;
        close(fd);
        errno = reason;
        if (area == AREA_BROKEN)
            return -1;
    }
}

struct metrics *metrics_open(const char *path, const struct metrics_labels *labels, char *error,
                             size_t error_size)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL) {
        snprintf(error, error_size, "no memory for the metrics");
        return NULL;
    }
    size_t values = operation_latency_index(labels, labels->operations_len);
    metrics->labels = labels;
    metrics->slot_values = (values + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
    metrics->size = HEADER_SIZE + SLOTS * metrics->slot_values * sizeof(uint64_t);
    metrics->fd = open_area(path, metrics->size, shape_of(labels));
    void *area = MAP_FAILED;
    if (metrics->fd >= 0)
        area = mmap(NULL, metrics->size, PROT_READ | PROT_WRITE, MAP_SHARED, metrics->fd, 0);
    if (area == MAP_FAILED) {
        snprintf(error, error_size, "cannot open the metrics file %s: %s", path, strerror(errno));
        if (metrics->fd >= 0)
            close(metrics->fd);
        free(metrics);
        return NULL;
    }
    metrics->header = area;
    metrics->slots = (_Atomic uint64_t *)(void *)((char *)area + HEADER_SIZE);
    return metrics;
}

void metrics_close(struct metrics *metrics)
{
    munmap(metrics->header, metrics->size);
    close(metrics->fd);
    free(metrics);
}

static _Atomic uint64_t *slot_values(const struct metrics *metrics, size_t slot)
{
    return metrics->slots + slot * metrics->slot_values;
}

static uint64_t get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(_Atomic uint64_t *value, uint64_t number)
{
    atomic_store_explicit(value, number, memory_order_relaxed);
}

/* Adds to a value of the slot: a plain load and store where this thread is the only writer. */
static void add(struct metrics_slot *slot, size_t index, uint64_t number)
{
    if (slot->shared)
        atomic_fetch_add_explicit(&slot->values[index], number, memory_order_relaxed);
    else
        set(&slot->values[index], get(&slot->values[index]) + number);
}

static size_t take_slot(struct metrics *metrics)
{
    for (size_t i = 1; i < SLOTS; i++)
        if (!metrics->taken[i] && lock_try(metrics->fd, i)) {
            metrics->taken[i] = true;
            return i;
        }
    return 0;
}

static void raise_used(struct metrics *metrics, uint64_t wanted)
{
    uint64_t used = atomic_load(&metrics->header->used);
    bool raised = used >= wanted;
    while (!raised) {
        raised = atomic_compare_exchange_weak(&metrics->header->used, &used, wanted);
        raised |= used >= wanted;
    }
}

void metrics_claim(struct metrics *metrics, struct metrics_slot *slot, bool serves)
{
    size_t index = take_slot(metrics);
    *slot = (struct metrics_slot){slot_values(metrics, index), metrics, 0, index == 0};
    raise_used(metrics, index + 1);
    if (slot->shared)
        return;
    slot->cpu_before_us = get(&slot->values[VALUE_CPU_US]);
    set(&slot->values[VALUE_IN_FLIGHT], 0);
    set(&slot->values[VALUE_PID], metrics->has_leader ? 0 : (uint64_t)getpid());
    set(&slot->values[VALUE_SERVES], serves);
    metrics->has_leader = true;
}

void metrics_begin(struct metrics_slot *slot)
{
    add(slot, VALUE_IN_FLIGHT, 1);
}

void metrics_cancel(struct metrics_slot *slot)
{
    add(slot, VALUE_IN_FLIGHT, (uint64_t)-1);
}

/* Counts a duration in the histogram whose values begin at `index`. */
static void observe(struct metrics_slot *slot, size_t index, uint64_t duration_ns)
{
    size_t bucket = 0;
    while (bucket < ARRAY_LEN(bounds) && duration_ns > bounds[bucket].ns)
        bucket++;
    add(slot, index + bucket, 1);
    add(slot, index + BUCKETS, duration_ns);
}

void metrics_end(struct metrics_slot *slot, const struct metrics_request *request)
{
    const struct metrics_labels *labels = slot->metrics->labels;
    add(slot, request_index(labels, request->endpoint, request->method, request->status), 1);
    observe(slot, latency_index(labels, request->endpoint), request->duration_ns);
    add(slot, VALUE_BYTES_IN, request->bytes_in);
    add(slot, VALUE_BYTES_OUT, request->bytes_out);
    metrics_cancel(slot);
}

void metrics_count_cpu(struct metrics_slot *slot)
{
    if (!slot->shared)
        set(&slot->values[VALUE_CPU_US], slot->cpu_before_us + clock_cpu_us());
}

void metrics_count_operation(struct metrics_slot *slot, const struct metrics_operation *operation)
{
    const struct metrics_labels *labels = slot->metrics->labels;
    add(slot, operation_index(labels, operation->operation, operation->outcome), 1);
    observe(slot, operation_latency_index(labels, operation->operation), operation->duration_ns);
}

void metrics_count_ending(struct metrics *metrics, enum metrics_ending ending)
{
    atomic_fetch_add(&metrics->header->endings[ending], 1);
}

struct log_counts *metrics_log_counts(struct metrics *metrics)
{
    return &metrics->header->log;
}

/* Adds up one value over all slots. */
static uint64_t sum(const struct metrics *metrics, size_t index)
{
    uint64_t total = 0;
    size_t used = atomic_load(&metrics->header->used);
    for (size_t i = 0; i < used && i < SLOTS; i++)
        total += get(slot_values(metrics, i) + index);
    return total;
}

static void family(const struct metrics_page *page, const char *name, const char *type,
                   const char *help)
{
    struct str shown = str_from(name);
    bool counts = type[0] == 'c';
    if (page->format == METRICS_OPENMETRICS && counts)
        shown.len -= strlen("_total");
    buffer_printf(page->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)shown.len, shown.data, help,
                  (int)shown.len, shown.data, type);
}

static void sample(const struct metrics_page *page, const char *name, const char *type,
                   const char *help, uint64_t value)
{
    family(page, name, type, help);
    buffer_printf(page->out, "%s %" PRIu64 "\n", name, value);
}

static void render_requests(const struct metrics *metrics, const struct metrics_page *page)
{
    const struct metrics_labels *labels = metrics->labels;
    family(page, "http_requests_total", "counter", "Requests answered.");
    for (size_t e = 0; e < labels->endpoints_len; e++)
        for (size_t m = 0; m < labels->methods_len; m++)
            for (size_t s = 0; s < labels->statuses_len; s++) {
                uint64_t count = sum(metrics, request_index(labels, e, m, s));
                if (count > 0)
                    buffer_printf(page->out,
                                  "http_requests_total{method=\"%s\",endpoint=\"%s\","
                                  "http_status=\"%u\"} %" PRIu64 "\n",
                                  labels->methods[m], labels->endpoints[e], labels->statuses[s],
                                  count);
            }
}

/* A histogram with one label, whose values begin at `index`; nothing if it is empty. */
static void render_histogram(const struct metrics *metrics, size_t index, const char *name,
                             const char *label, const char *value, struct buffer *out)
{
    uint64_t counts[BUCKETS];
    uint64_t count = 0;
    for (size_t b = 0; b < BUCKETS; b++)
        count += counts[b] = sum(metrics, index + b);
    if (count == 0)
        return;
    uint64_t below = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        below += counts[b];
        buffer_printf(out, "%s_bucket{%s=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, label, value,
                      b < ARRAY_LEN(bounds) ? bounds[b].label : "+Inf", below);
    }
    uint64_t ns = sum(metrics, index + BUCKETS);
    buffer_printf(out,
                  "%s_sum{%s=\"%s\"} %" PRIu64 ".%09" PRIu64 "\n"
                  "%s_count{%s=\"%s\"} %" PRIu64 "\n",
                  name, label, value, ns / 1000000000, ns % 1000000000, name, label, value, count);
}

static void render_latency(const struct metrics *metrics, const struct metrics_page *page)
{
    const struct metrics_labels *labels = metrics->labels;
    family(page, "http_request_latency_seconds", "histogram",
           "Time from a request's arrival to its answer.");
    for (size_t e = 0; e < labels->endpoints_len; e++)
        render_histogram(metrics, latency_index(labels, e), "http_request_latency_seconds",
                         "endpoint", labels->endpoints[e], page->out);
}

static void render_operations(const struct metrics *metrics, const struct metrics_page *page)
{
    const struct metrics_labels *labels = metrics->labels;
    family(page, "integration_store_operations_total", "counter", "Operations of the store.");
    for (size_t o = 0; o < labels->operations_len; o++)
        for (size_t r = 0; r < labels->outcomes_len; r++) {
            uint64_t count = sum(metrics, operation_index(labels, o, r));
            if (count > 0)
                buffer_printf(page->out,
                              "integration_store_operations_total{operation=\"%s\",outcome=\"%s\"} "
                              "%" PRIu64 "\n",
                              labels->operations[o], labels->outcomes[r], count);
        }
    family(page, "integration_store_operation_seconds", "histogram",
           "Time an operation of the store took; of a change: until it was committed.");
    for (size_t o = 0; o < labels->operations_len; o++)
        render_histogram(metrics, operation_latency_index(labels, o),
                         "integration_store_operation_seconds", "operation", labels->operations[o],
                         page->out);
}

static void render_log(const struct metrics *metrics, const struct metrics_page *page)
{
    const struct log_counts *log = &metrics->header->log;
    family(page, "integration_log_lines_total", "counter", "Lines written to the log.");
    for (size_t level = 0; level < LOG_LEVELS; level++)
        buffer_printf(page->out, "integration_log_lines_total{level=\"%s\"} %" PRIu64 "\n",
                      log_level_names[level], get(&log->written[level]));
    sample(page, "integration_log_dropped_lines_total", "counter",
           "Lines that the log's reader was too slow for, or the disk too full.",
           get(&log->dropped));
}

static void render_endings(const struct metrics *metrics, const struct metrics_page *page)
{
    family(page, "integration_worker_endings_total", "counter",
           "Processes of the pool that ended, by reason.");
    for (size_t i = 0; i < METRICS_ENDINGS; i++)
        buffer_printf(page->out, "integration_worker_endings_total{reason=\"%s\"} %" PRIu64 "\n",
                      ending_names[i], get(&metrics->header->endings[i]));
}

/* What the kernel knows of the processes that serve now. */
struct pool {
    uint64_t workers;
    uint64_t resident_bytes;
    uint64_t descriptors;
};

static uint64_t count_descriptors(uint64_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/fd", pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    uint64_t count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2; /* "." and ".." */
}

static uint64_t resident_bytes(uint64_t pid)
{
    char path[64];
    char line[128] = "";
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/statm", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    const char *resident = fgets(line, sizeof line, file) == NULL ? NULL : strchr(line, ' ');
    fclose(file);
    uint64_t pages =
        resident == NULL ? 0 : strtoull(resident, NULL, 10); /* proc(5): its second word */
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Whether somebody holds the slot's lock. */
static bool slot_is_held(const struct metrics *metrics, size_t slot)
{
    return metrics->taken[slot] || lock_is_held(metrics->fd, slot);
}

/* A killed process's requests are in flight no more. */
static uint64_t count_in_flight(const struct metrics *metrics)
{
    uint64_t total = get(slot_values(metrics, 0) + VALUE_IN_FLIGHT);
    size_t used = atomic_load(&metrics->header->used);
    for (size_t i = 1; i < used && i < SLOTS; i++) {
        uint64_t here = get(slot_values(metrics, i) + VALUE_IN_FLIGHT);
        if (here != 0 && slot_is_held(metrics, i))
            total += here;
    }
    return total;
}

static struct pool look_at_pool(const struct metrics *metrics)
{
    struct pool pool = {0};
    size_t used = atomic_load(&metrics->header->used);
    for (size_t i = 1; i < used && i < SLOTS; i++) {
        uint64_t pid = get(slot_values(metrics, i) + VALUE_PID);
        if (pid == 0 || !slot_is_held(metrics, i))
            continue;
        pool.workers += get(slot_values(metrics, i) + VALUE_SERVES);
        pool.resident_bytes += resident_bytes(pid);
        pool.descriptors += count_descriptors(pid);
    }
    return pool;
}

static void render_process(const struct metrics *metrics, const struct metrics_page *page)
{
    struct pool pool = look_at_pool(metrics);
    uint64_t cpu_us = sum(metrics, VALUE_CPU_US);
    sample(page, "http_requests_in_flight", "gauge", "Requests being worked on.",
           count_in_flight(metrics));
    sample(page, "http_request_bytes_total", "counter", "Bytes of request bodies.",
           sum(metrics, VALUE_BYTES_IN));
    sample(page, "http_response_bytes_total", "counter", "Bytes of response bodies.",
           sum(metrics, VALUE_BYTES_OUT));
    sample(page, "integration_workers", "gauge", "Worker processes that serve now.", pool.workers);
    family(page, "process_cpu_seconds_total", "counter",
           "CPU time of all processes of the pool, past ones too.");
    buffer_printf(page->out, "process_cpu_seconds_total %" PRIu64 ".%06" PRIu64 "\n",
                  cpu_us / 1000000, cpu_us % 1000000);
    sample(page, "process_resident_memory_bytes", "gauge",
           "Resident memory of all processes of the pool; shared pages count in each.",
           pool.resident_bytes);
    sample(page, "process_open_fds", "gauge", "File descriptors of all processes of the pool.",
           pool.descriptors);
}

struct str metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? STR("application/openmetrics-text; version=1.0.0; charset=utf-8")
               : STR("text/plain; version=0.0.4; charset=utf-8");
}

void metrics_render(const struct metrics *metrics, const struct metrics_page *page)
{
    render_requests(metrics, page);
    render_latency(metrics, page);
    render_operations(metrics, page);
    render_process(metrics, page);
    render_endings(metrics, page);
    render_log(metrics, page);
}

void metrics_render_samples(const struct metrics_sample *samples, size_t len,
                            const struct metrics_page *page)
{
    for (size_t i = 0; i < len; i++) {
        const struct metrics_sample *one = &samples[i];
        bool counts = str_has_suffix(str_from(one->name), STR("_total"));
        if (one->help != NULL)
            family(page, one->name, counts ? "counter" : "gauge", one->help);
        buffer_append_str(page->out, str_from(one->name));
        if (one->labels != NULL)
            buffer_printf(page->out, "{%s}", one->labels);
        buffer_printf(page->out, " %" PRIu64 "\n", one->value);
    }
}

void metrics_render_end(const struct metrics_page *page)
{
    if (page->format == METRICS_OPENMETRICS)
        buffer_append_str(page->out, STR("# EOF\n"));
}
