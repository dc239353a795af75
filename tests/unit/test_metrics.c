/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/metrics.h"
#include "harness.h"

static const char *const endpoints[] = {"/a", "/b"};
static const char *const methods[] = {"GET", "PUT"};
static const unsigned statuses[] = {200, 404};
static const char *const operations[] = {"get", "change"};
static const char *const outcomes[] = {"ok", "away"};
static const struct metrics_labels labels = {endpoints, 2,          methods, 2,        statuses,
                                             2,         operations, 2,       outcomes, 2};

static char directory[64];
static char path[96];

static struct metrics *open_area(void)
{
    char error[256] = "";
    struct metrics *metrics = metrics_open(path, &labels, error, sizeof error);
    cr_assert(metrics != NULL, "%s", error);
    return metrics;
}

static void make_place(void)
{
    directory_make(directory);
    snprintf(path, sizeof path, "%s/metrics", directory);
}

/* The value of a sample; -1: there is none. */
static double sample(const struct metrics *metrics, const char *name)
{
    struct buffer text = {0};
    double value = -1;
    buffer_append_char(&text, '\n');
    metrics_render(metrics, &(struct metrics_page){METRICS_PROMETHEUS, &text});
    buffer_append_char(&text, '\0');
    char line[128];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *found = strstr(text.data, line);
    if (found != NULL)
        value = strtod(found + strlen(line), NULL);
    buffer_release(&text);
    return value;
}

static void count_request(struct metrics_slot *slot, size_t endpoint, uint64_t duration_ns)
{
    metrics_begin(slot);
    metrics_end(slot, &(struct metrics_request){endpoint, 0, 0, duration_ns, 10, 100});
}

Test(metrics, add_up_over_slots)
{
    struct metrics_slot slots[2];
    make_place();
    struct metrics *metrics = open_area();
    metrics_claim(metrics, &slots[0], true);
    metrics_claim(metrics, &slots[1], true);
    count_request(&slots[0], 0, 100000);
    count_request(&slots[1], 0, 100001);
    count_request(&slots[1], 0, 20000000000);
    metrics_begin(&slots[0]);
    cr_expect(sample(metrics,
                     "http_requests_total{method=\"GET\",endpoint=\"/a\",http_status=\"200\"}") ==
              3);
    cr_expect(
        sample(metrics, "http_request_latency_seconds_bucket{endpoint=\"/a\",le=\"0.0001\"}") == 1);
    cr_expect(sample(metrics,
                     "http_request_latency_seconds_bucket{endpoint=\"/a\",le=\"0.00025\"}") == 2);
    cr_expect(sample(metrics, "http_request_latency_seconds_bucket{endpoint=\"/a\",le=\"10.0\"}") ==
              2);
    cr_expect(sample(metrics, "http_request_latency_seconds_bucket{endpoint=\"/a\",le=\"+Inf\"}") ==
              3);
    cr_expect(sample(metrics, "http_request_latency_seconds_count{endpoint=\"/a\"}") == 3);
    cr_expect_float_eq(sample(metrics, "http_request_latency_seconds_sum{endpoint=\"/a\"}"),
                       20.000200001, 1e-9);
    cr_expect(sample(metrics, "http_request_latency_seconds_count{endpoint=\"/b\"}") == -1);
    cr_expect(sample(metrics, "http_requests_in_flight") == 1);
    cr_expect(sample(metrics, "http_request_bytes_total") == 30);
    cr_expect(sample(metrics, "http_response_bytes_total") == 300);
    cr_expect(sample(metrics, "integration_workers") == 1);
    cr_expect(sample(metrics, "process_resident_memory_bytes") > 100000);
    cr_expect(sample(metrics, "process_open_fds") > 2);
    metrics_close(metrics);
    directory_remove(directory);
}

static void count_until_killed(int ready)
{
    struct metrics *metrics = open_area();
    struct metrics_slot slot;
    metrics_claim(metrics, &slot, true);
    if (write(ready, "", 1) != 1)
        _exit(1);
    for (;;)
        count_request(&slot, 1, 1);
}

Test(metrics, never_fall_when_a_process_is_killed, .timeout = 60)
{
    const char *name = "http_requests_total{method=\"GET\",endpoint=\"/b\",http_status=\"200\"}";
    double before = 0;
    make_place();
    struct metrics *metrics = open_area();
    for (int round = 0; round < 20; round++) {
        int ready[2];
        char byte;
        cr_assert(pipe(ready) == 0);
        pid_t pid = fork();
        if (pid == 0)
            count_until_killed(ready[1]);
        cr_assert(read(ready[0], &byte, 1) == 1);
        usleep(2000);
        cr_expect(sample(metrics, "integration_workers") == 1);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        double after = sample(metrics, name);
        cr_expect(after > before, "round %d: %g after %g", round, after, before);
        before = after;
        close(ready[0]);
        close(ready[1]);
    }
    cr_expect(sample(metrics, "integration_workers") == 0);
    cr_expect(sample(metrics, "process_open_fds") == 0);
    metrics_close(metrics);
    metrics = open_area();
    cr_expect(sample(metrics, name) == before, "a restart keeps them");
    metrics_close(metrics);
    directory_remove(directory);
}

static const char first_counter[] =
    "http_requests_total{method=\"GET\",endpoint=\"/a\",http_status=\"200\"}";

/* What a process of the pool does, before it waits to be killed; false: it failed. */
typedef bool (*work_function)(struct metrics *metrics);

static void be_process(work_function work, int ready)
{
    char error[256];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct metrics *metrics = metrics_open(path, &labels, error, sizeof error);
    if (metrics == NULL || !work(metrics) || write(ready, "", 1) != 1)
        _exit(1);
    close(ready);
    for (;;)
        pause();
}

/* Starts processes that work at the same time, and waits until all have. */
static void start_processes(pid_t *pids, size_t len, work_function work)
{
    int ready[2];
    char byte;
    size_t done = 0;
    cr_assert(pipe(ready) == 0);
    for (size_t i = 0; i < len; i++) {
        pids[i] = fork();
        cr_assert(pids[i] >= 0);
        if (pids[i] == 0)
            be_process(work, ready[1]);
    }
    close(ready[1]);
    while (read(ready[0], &byte, 1) == 1)
        done++;
    close(ready[0]);
    cr_assert(done == len, "%zu of %zu", done, len);
}

static void kill_processes(const pid_t *pids, size_t len)
{
    for (size_t i = 0; i < len; i++)
        kill(pids[i], SIGKILL);
    for (size_t i = 0; i < len; i++)
        waitpid(pids[i], NULL, 0);
}

static bool serve_one_request(struct metrics *metrics)
{
    struct metrics_slot slot;
    metrics_claim(metrics, &slot, true);
    count_request(&slot, 0, 1);
    return true;
}

static bool only_follow(struct metrics *metrics)
{
    struct metrics_slot slot;
    metrics_claim(metrics, &slot, false);
    return true;
}

Test(metrics, show_every_process, .timeout = 60)
{
    static pid_t workers[300];
    pid_t followers[2];
    make_place();
    struct metrics *metrics = open_area();
    start_processes(workers, ARRAY_LEN(workers), serve_one_request);
    double descriptors = sample(metrics, "process_open_fds");
    cr_expect(sample(metrics, "integration_workers") == 300);
    cr_expect(descriptors >= 300 * 2, "%g", descriptors);
    cr_expect(sample(metrics, "process_resident_memory_bytes") > 300 * 100000);
    start_processes(followers, ARRAY_LEN(followers), only_follow);
    cr_expect(sample(metrics, "integration_workers") == 300);
    cr_expect(sample(metrics, "process_open_fds") > descriptors);
    kill_processes(workers, 100);
    cr_expect(sample(metrics, "integration_workers") == 200);
    kill_processes(workers + 100, 200);
    kill_processes(followers, ARRAY_LEN(followers));
    cr_expect(sample(metrics, "integration_workers") == 0);
    cr_expect(sample(metrics, "process_open_fds") == 0);
    cr_expect(sample(metrics, "process_resident_memory_bytes") == 0);
    cr_expect(sample(metrics, first_counter) == 300);
    metrics_close(metrics);
    directory_remove(directory);
}

static bool begin_requests(struct metrics *metrics)
{
    static struct metrics_slot slots[3];
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        metrics_claim(metrics, &slots[i], true);
        metrics_begin(&slots[i]);
    }
    return true;
}

Test(metrics, forget_requests_that_a_killed_process_had_in_flight)
{
    pid_t pids[3];
    make_place();
    struct metrics *metrics = open_area();
    start_processes(pids, 2, begin_requests);
    cr_expect(sample(metrics, "http_requests_in_flight") == 6);
    kill_processes(pids, 1);
    cr_expect(sample(metrics, "http_requests_in_flight") == 3);
    /* A process that takes the entry, and one slot of the three, has nothing to do with the rest.
     */
    start_processes(pids, 1, serve_one_request);
    cr_expect(sample(metrics, "http_requests_in_flight") == 3);
    kill_processes(pids, 2);
    cr_expect(sample(metrics, "http_requests_in_flight") == 0);
    metrics_close(metrics);
    directory_remove(directory);
}

static bool burn(struct metrics *metrics)
{
    struct metrics_slot slot;
    metrics_claim(metrics, &slot, true);
    while (clock_cpu_us() < 50000)
        ;
    metrics_count_cpu(&slot);
    return true;
}

Test(metrics, count_the_cpu_time_of_past_processes_too)
{
    double before = 0;
    pid_t pid;
    make_place();
    struct metrics *metrics = open_area();
    for (int round = 0; round < 3; round++) {
        start_processes(&pid, 1, burn);
        kill_processes(&pid, 1);
        double after = sample(metrics, "process_cpu_seconds_total");
        cr_expect(after >= before + 0.05, "%g after %g", after, before);
        before = after;
    }
    metrics_close(metrics);
    directory_remove(directory);
}

Test(metrics, do_not_count_cpu_time_again_after_an_upgrade)
{
    struct metrics_slot slot;
    make_place();
    struct metrics *metrics = open_area();
    burn(metrics);
    double before = sample(metrics, "process_cpu_seconds_total");
    metrics_close(metrics);
    metrics = open_area(); /* as the new program does */
    metrics_claim(metrics, &slot, false);
    metrics_skip_cpu(&slot);
    metrics_count_cpu(&slot);
    double after = sample(metrics, "process_cpu_seconds_total");
    cr_expect(after >= before && after < before + 0.04, "%g after %g", after, before);
    metrics_close(metrics);
    directory_remove(directory);
}

enum { ALL_SLOTS = 4095, REQUESTS = 50 };

/* Claims slots and counts in them, in turn; whether all are the process's own. */
static bool count_in_slots(struct metrics *metrics, size_t len)
{
    static struct metrics_slot slots[ALL_SLOTS];
    bool own = true;
    for (size_t i = 0; i < len; i++) {
        metrics_claim(metrics, &slots[i], true);
        own = own && !slots[i].shared;
    }
    for (size_t round = 0; round < REQUESTS; round++)
        for (size_t i = 0; i < len; i++)
            count_request(&slots[i], 0, 1);
    return own;
}

static bool serve_with_200_threads(struct metrics *metrics)
{
    return count_in_slots(metrics, 200);
}

static off_t file_size(void)
{
    struct stat status;
    cr_assert(stat(path, &status) == 0);
    cr_expect(status.st_blocks * 512 >= status.st_size, "it has its place on disk");
    return status.st_size;
}

Test(metrics, give_each_thread_of_many_processes_a_slot, .timeout = 60)
{
    enum { PROCESSES = 6 };
    pid_t pids[PROCESSES];
    make_place();
    struct metrics *metrics = open_area();
    start_processes(pids, PROCESSES, serve_with_200_threads);
    cr_expect(sample(metrics, first_counter) == PROCESSES * 200 * REQUESTS);
    cr_expect(sample(metrics, "integration_workers") == PROCESSES);
    kill_processes(pids, 3);
    start_processes(pids, 3, serve_with_200_threads);
    cr_expect(sample(metrics, first_counter) == (PROCESSES + 3) * 200 * REQUESTS);
    kill_processes(pids, PROCESSES);
    metrics_close(metrics);
    directory_remove(directory);
}

Test(metrics, take_place_on_disk_only_for_slots_in_use)
{
    static struct metrics_slot slots[1000];
    pid_t pid;
    make_place();
    struct metrics *metrics = open_area();
    off_t empty = file_size();
    cr_expect(empty < 400000, "%jd", (intmax_t)empty);
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        metrics_claim(metrics, &slots[i], true);
        if (i == 99)
            cr_expect(file_size() - empty < 100000);
    }
    off_t full = file_size();
    cr_expect(full > empty + 100000);
    metrics_close(metrics);
    metrics = open_area();
    for (size_t i = 0; i < 800; i++)
        metrics_claim(metrics, &slots[i], true);
    start_processes(&pid, 1, serve_with_200_threads);
    cr_expect(file_size() == full, "the slots are used again");
    kill_processes(&pid, 1);
    metrics_close(metrics);
    directory_remove(directory);
}

/* Its one thread finds no slot. */
static bool share_the_slot(struct metrics *metrics)
{
    return !count_in_slots(metrics, 1);
}

Test(metrics, share_a_slot_when_none_is_free, .timeout = 60)
{
    enum { SHARING = 4 };
    pid_t pids[SHARING];
    make_place();
    struct metrics *metrics = open_area();
    cr_expect(count_in_slots(metrics, ALL_SLOTS));
    start_processes(pids, SHARING, share_the_slot);
    cr_expect(sample(metrics, first_counter) == (ALL_SLOTS + SHARING) * REQUESTS);
    cr_expect(sample(metrics, "http_requests_in_flight") == 0);
    cr_expect(sample(metrics, "integration_workers") == 1 + SHARING);
    kill_processes(pids, SHARING);
    cr_expect(sample(metrics, "integration_workers") == 1);
    metrics_close(metrics);
    directory_remove(directory);
}

Test(metrics, share_a_slot_when_the_disk_is_full)
{
    pid_t pid;
    make_place();
    struct metrics *metrics = open_area();
    /* A limit on a file's size is a full disk to the program. */
    rlim_t limit = (rlim_t)file_size();
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit}) == 0);
    cr_expect(!count_in_slots(metrics, 3));
    start_processes(&pid, 1, share_the_slot);
    cr_expect(sample(metrics, first_counter) == 4 * REQUESTS);
    cr_expect(sample(metrics, "integration_workers") == 2);
    cr_expect((rlim_t)file_size() == limit);
    kill_processes(&pid, 1);
    metrics_close(metrics);
    directory_remove(directory);
}

Test(metrics, replace_a_file_that_was_cut_off)
{
    make_place();
    struct metrics *metrics = open_area();
    cr_expect(count_in_slots(metrics, 100));
    metrics_close(metrics);
    cr_assert(truncate(path, file_size() - 1) == 0);
    metrics = open_area();
    cr_expect(sample(metrics, first_counter) == -1);
    cr_expect(count_in_slots(metrics, 100));
    cr_expect(sample(metrics, first_counter) == 100 * REQUESTS);
    metrics_close(metrics);
    directory_remove(directory);
}

Test(metrics, replace_a_file_of_another_shape)
{
    struct stat status;
    make_place();
    FILE *file = fopen(path, "we");
    fputs("something else", file);
    fclose(file);
    struct metrics *metrics = open_area();
    cr_expect(stat(path, &status) == 0 && status.st_size > 100000);
    metrics_close(metrics);
    static const struct metrics_labels fewer = {endpoints, 1,          methods, 2,        statuses,
                                                2,         operations, 2,       outcomes, 2};
    char error[256];
    metrics = metrics_open(path, &fewer, error, sizeof error);
    cr_expect(metrics != NULL);
    metrics_close(metrics);
    directory_remove(directory);
    cr_expect(metrics_open(path, &labels, error, sizeof error) == NULL);
    cr_expect(strstr(error, path) != NULL && strstr(error, "No such file") != NULL, "%s", error);
}
