/* SPDX-License-Identifier: MIT
 *
 * Renders the text of a scrape. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"
#include "core/metrics/area.h"
#include "core/metrics/layout.h"
#include "core/metrics/processes.h"

static const char *const ending_names[METRICS_ENDINGS] = {"reload", "exit", "signal"};

/* The sums over all slots. */
struct sums {
    const struct metrics_labels *labels;
    uint64_t *values; /* laid out as in a slot */
};

/* Reads each slot once, in memory order. Returns false if memory is lacking. */
static bool add_up(const struct metrics *metrics, struct sums *sums)
{
    size_t used = atomic_load(&metrics->area->header.slots_used);
    *sums = (struct sums){metrics->labels, calloc(metrics->slot_len, sizeof *sums->values)};
    if (sums->values == NULL)
        return false;
    for (size_t i = 0; i < used; i++) {
        const _Atomic uint64_t *slot = area_slot(metrics, i);
        for (size_t value = 0; value < metrics->slot_len; value++)
            sums->values[value] += area_get(&slot[value]);
    }
    return true;
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

static void render_requests(const struct sums *sums, const struct metrics_page *page)
{
    const struct metrics_labels *labels = sums->labels;
    family(page, "http_requests_total", "counter", "Requests answered.");
    for (size_t e = 0; e < labels->endpoints_len; e++)
        for (size_t m = 0; m < labels->methods_len; m++)
            for (size_t s = 0; s < labels->statuses_len; s++) {
                uint64_t count = sums->values[layout_request(labels, e, m, s)];
                if (count > 0)
                    buffer_printf(page->out,
                                  "http_requests_total{method=\"%s\",endpoint=\"%s\","
                                  "http_status=\"%u\"} %" PRIu64 "\n",
                                  labels->methods[m], labels->endpoints[e], labels->statuses[s],
                                  count);
            }
}

/* Renders a histogram with one label from its buckets and the sum that follows them. Renders
 * nothing if it is empty. */
static void render_histogram(const uint64_t *counts, const char *name, const char *label,
                             const char *value, struct buffer *out)
{
    uint64_t count = 0;
    for (size_t b = 0; b < LAYOUT_BUCKETS; b++)
        count += counts[b];
    if (count == 0)
        return;
    uint64_t below = 0;
    for (size_t b = 0; b < LAYOUT_BUCKETS; b++) {
        below += counts[b];
        buffer_printf(out, "%s_bucket{%s=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, label, value,
                      b < LAYOUT_BOUNDS ? layout_bounds[b].label : "+Inf", below);
    }
    uint64_t ns = counts[LAYOUT_BUCKETS];
    buffer_printf(out,
                  "%s_sum{%s=\"%s\"} %" PRIu64 ".%09" PRIu64 "\n"
                  "%s_count{%s=\"%s\"} %" PRIu64 "\n",
                  name, label, value, ns / 1000000000, ns % 1000000000, name, label, value, count);
}

static void render_latency(const struct sums *sums, const struct metrics_page *page)
{
    const struct metrics_labels *labels = sums->labels;
    family(page, "http_request_latency_seconds", "histogram",
           "Time from a request's arrival to its answer.");
    for (size_t e = 0; e < labels->endpoints_len; e++)
        render_histogram(&sums->values[layout_latency(labels, e)], "http_request_latency_seconds",
                         "endpoint", labels->endpoints[e], page->out);
}

static void render_operations(const struct sums *sums, const struct metrics_page *page)
{
    const struct metrics_labels *labels = sums->labels;
    family(page, "integration_store_operations_total", "counter", "Operations of the store.");
    for (size_t o = 0; o < labels->operations_len; o++)
        for (size_t r = 0; r < labels->outcomes_len; r++) {
            uint64_t count = sums->values[layout_operation(labels, o, r)];
            if (count > 0)
                buffer_printf(page->out,
                              "integration_store_operations_total{operation=\"%s\",outcome=\"%s\"} "
                              "%" PRIu64 "\n",
                              labels->operations[o], labels->outcomes[r], count);
        }
    family(page, "integration_store_operation_seconds", "histogram",
           "Time an operation of the store took; of a change: until it was committed.");
    for (size_t o = 0; o < labels->operations_len; o++)
        render_histogram(&sums->values[layout_operation_latency(labels, o)],
                         "integration_store_operation_seconds", "operation", labels->operations[o],
                         page->out);
}

static void render_log(const struct metrics *metrics, const struct metrics_page *page)
{
    const struct log_counts *log = &metrics->area->header.log;
    family(page, "integration_log_lines_total", "counter", "Lines written to the log.");
    for (size_t level = 0; level < LOG_LEVELS; level++)
        buffer_printf(page->out, "integration_log_lines_total{level=\"%s\"} %" PRIu64 "\n",
                      log_level_names[level], area_get(&log->written[level]));
    sample(page, "integration_log_dropped_lines_total", "counter",
           "Lines that the log's reader was too slow for, or the disk too full.",
           area_get(&log->dropped));
}

static void render_endings(const struct metrics *metrics, const struct metrics_page *page)
{
    family(page, "integration_worker_endings_total", "counter",
           "Processes of the pool that ended, by reason.");
    for (size_t i = 0; i < METRICS_ENDINGS; i++)
        buffer_printf(page->out, "integration_worker_endings_total{reason=\"%s\"} %" PRIu64 "\n",
                      ending_names[i], area_get(&metrics->area->header.endings[i]));
}

static void render_process(const struct metrics *metrics, const struct sums *sums,
                           const struct metrics_page *page)
{
    struct processes processes = processes_look(metrics);
    sample(page, "http_requests_in_flight", "gauge", "Requests being worked on.",
           processes.in_flight);
    sample(page, "http_request_bytes_total", "counter", "Bytes of request bodies.",
           sums->values[LAYOUT_BYTES_IN]);
    sample(page, "http_response_bytes_total", "counter", "Bytes of response bodies.",
           sums->values[LAYOUT_BYTES_OUT]);
    sample(page, "integration_workers", "gauge", "Worker processes that serve now.",
           processes.workers);
    family(page, "process_cpu_seconds_total", "counter",
           "CPU time of all processes of the pool, past ones too.");
    buffer_printf(page->out, "process_cpu_seconds_total %" PRIu64 ".%06" PRIu64 "\n",
                  processes.cpu_us / 1000000, processes.cpu_us % 1000000);
    sample(page, "process_resident_memory_bytes", "gauge",
           "Resident memory of all processes of the pool; shared pages count in each.",
           processes.resident_bytes);
    sample(page, "process_open_fds", "gauge", "File descriptors of all processes of the pool.",
           processes.descriptors);
}

struct str metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? STR("application/openmetrics-text; version=1.0.0; charset=utf-8")
               : STR("text/plain; version=0.0.4; charset=utf-8");
}

void metrics_render(const struct metrics *metrics, const struct metrics_page *page)
{
    struct sums sums;
    if (!add_up(metrics, &sums)) {
        page->out->failed = true;
        return;
    }
    render_requests(&sums, page);
    render_latency(&sums, page);
    render_operations(&sums, page);
    render_process(metrics, &sums, page);
    free(sums.values);
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
