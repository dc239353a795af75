/* SPDX-License-Identifier: MIT */
#include "core/metrics.h"

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

static const char magic[8] = "ISMETR1\n";

/* The first page of the file. */
struct header {
    char magic[8];
    uint64_t shape;        /* hash of the labels and buckets */
    _Atomic uint64_t used; /* slots that were ever claimed are below this one */
};

/* Where a slot keeps what; the two tables follow. */
enum value { VALUE_PID, VALUE_IN_FLIGHT, VALUE_CPU_US, VALUE_BYTES_IN, VALUE_BYTES_OUT, VALUES };

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
    size_t values = latency_index(labels, labels->endpoints_len);
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

void metrics_claim(struct metrics *metrics, struct metrics_slot *slot)
{
    size_t index = take_slot(metrics);
    *slot = (struct metrics_slot){slot_values(metrics, index), metrics, 0, index == 0};
    raise_used(metrics, index + 1);
    if (slot->shared)
        return;
    slot->cpu_before_us = get(&slot->values[VALUE_CPU_US]);
    set(&slot->values[VALUE_IN_FLIGHT], 0);
    set(&slot->values[VALUE_PID], metrics->has_leader ? 0 : (uint64_t)getpid());
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

void metrics_end(struct metrics_slot *slot, const struct metrics_request *request)
{
    const struct metrics_labels *labels = slot->metrics->labels;
    size_t latency = latency_index(labels, request->endpoint);
    size_t bucket = 0;
    while (bucket < ARRAY_LEN(bounds) && request->duration_ns > bounds[bucket].ns)
        bucket++;
    add(slot, request_index(labels, request->endpoint, request->method, request->status), 1);
    add(slot, latency + bucket, 1);
    add(slot, latency + BUCKETS, request->duration_ns);
    add(slot, VALUE_BYTES_IN, request->bytes_in);
    add(slot, VALUE_BYTES_OUT, request->bytes_out);
    metrics_cancel(slot);
}

void metrics_count_cpu(struct metrics_slot *slot)
{
    if (!slot->shared)
        set(&slot->values[VALUE_CPU_US], slot->cpu_before_us + clock_cpu_us());
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

static void family(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(struct buffer *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    family(out, name, type, help);
    buffer_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void render_requests(const struct metrics *metrics, struct buffer *out)
{
    const struct metrics_labels *labels = metrics->labels;
    family(out, "http_requests_total", "counter", "Requests answered.");
    for (size_t e = 0; e < labels->endpoints_len; e++)
        for (size_t m = 0; m < labels->methods_len; m++)
            for (size_t s = 0; s < labels->statuses_len; s++) {
                uint64_t count = sum(metrics, request_index(labels, e, m, s));
                if (count > 0)
                    buffer_printf(out,
                                  "http_requests_total{method=\"%s\",endpoint=\"%s\","
                                  "http_status=\"%u\"} %" PRIu64 "\n",
                                  labels->methods[m], labels->endpoints[e], labels->statuses[s],
                                  count);
            }
}

static void render_latency(const struct metrics *metrics, size_t endpoint, struct buffer *out)
{
    const char *name = metrics->labels->endpoints[endpoint];
    size_t index = latency_index(metrics->labels, endpoint);
    uint64_t counts[BUCKETS];
    uint64_t count = 0;
    for (size_t b = 0; b < BUCKETS; b++)
        count += counts[b] = sum(metrics, index + b);
    if (count == 0)
        return;
    uint64_t below = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        below += counts[b];
        buffer_printf(
            out, "http_request_latency_seconds_bucket{endpoint=\"%s\",le=\"%s\"} %" PRIu64 "\n",
            name, b < ARRAY_LEN(bounds) ? bounds[b].label : "+Inf", below);
    }
    uint64_t ns = sum(metrics, index + BUCKETS);
    buffer_printf(out,
                  "http_request_latency_seconds_sum{endpoint=\"%s\"} %" PRIu64 ".%09" PRIu64 "\n"
                  "http_request_latency_seconds_count{endpoint=\"%s\"} %" PRIu64 "\n",
                  name, ns / 1000000000, ns % 1000000000, name, count);
}

/* What the kernel knows of the processes that serve now. */
struct pool {
    uint64_t processes;
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
        pool.processes++;
        pool.resident_bytes += resident_bytes(pid);
        pool.descriptors += count_descriptors(pid);
    }
    return pool;
}

static void render_process(const struct metrics *metrics, struct buffer *out)
{
    struct pool pool = look_at_pool(metrics);
    uint64_t cpu_us = sum(metrics, VALUE_CPU_US);
    sample(out, "http_requests_in_flight", "gauge", "Requests being worked on.",
           count_in_flight(metrics));
    sample(out, "http_request_bytes_total", "counter", "Bytes of request bodies.",
           sum(metrics, VALUE_BYTES_IN));
    sample(out, "http_response_bytes_total", "counter", "Bytes of response bodies.",
           sum(metrics, VALUE_BYTES_OUT));
    sample(out, "integration_workers", "gauge", "Worker processes that serve now.", pool.processes);
    family(out, "process_cpu_seconds_total", "counter", "CPU time of all workers, past ones too.");
    buffer_printf(out, "process_cpu_seconds_total %" PRIu64 ".%06" PRIu64 "\n", cpu_us / 1000000,
                  cpu_us % 1000000);
    sample(out, "process_resident_memory_bytes", "gauge",
           "Resident memory of all workers; shared pages count in each.", pool.resident_bytes);
    sample(out, "process_open_fds", "gauge", "File descriptors of all workers.", pool.descriptors);
}

void metrics_render(const struct metrics *metrics, struct buffer *out)
{
    render_requests(metrics, out);
    family(out, "http_request_latency_seconds", "histogram",
           "Time from a request's arrival to its answer.");
    for (size_t e = 0; e < metrics->labels->endpoints_len; e++)
        render_latency(metrics, e, out);
    render_process(metrics, out);
}

void metrics_render_samples(const struct metrics_sample *samples, size_t len, struct buffer *out)
{
    for (size_t i = 0; i < len; i++) {
        const struct metrics_sample *one = &samples[i];
        bool counts = str_has_suffix(str_from(one->name), STR("_total"));
        if (one->help != NULL)
            family(out, one->name, counts ? "counter" : "gauge", one->help);
        buffer_append_str(out, str_from(one->name));
        if (one->labels != NULL)
            buffer_printf(out, "{%s}", one->labels);
        buffer_printf(out, " %" PRIu64 "\n", one->value);
    }
}
