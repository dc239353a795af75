/* SPDX-License-Identifier: MIT
 *
 * What PostgreSQL's back-end is made of: URLs, hosts, the area that processes share,
 * the pool. That it is a
 * store is shown in test_store.c. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness.h"
#include "postgres.h"
#include "store/pg/area.h"
#include "store/pg/pool.h"
#include "store/pg/target.h"
#include "store/pg/url.h"

static const struct {
    const char *url;
    const char *uri;     /* NULL: refused */
    const char *ignored; /* or a part of the error */
} urls[] = {
    {"postgresql://u:p@h/d", "postgresql://u:p@h/d", ""},
    {"postgres://u:p@h/d", "postgresql://u:p@h/d", ""},
    {"POSTGRES://h", "postgresql://h", ""},
    {"postgresql+asyncpg://u:p%40ss@db:5432/app?ssl=require",
     "postgresql://u:p%40ss@db:5432/app?sslmode=require", ""},
    {"postgresql+psycopg://u@h1:1,h2:2/app?timeout=3&ssl=verify-full",
     "postgresql://u@h1:1,h2:2/app?connect_timeout=3&sslmode=verify-full", ""},
    {"postgres+psycopg2://u@/app?host=/var/run/postgresql",
     "postgresql://u@/app?host=/var/run/postgresql", ""},
    {"postgresql://u@/app?host=%2Fvar%2Frun", "postgresql://u@/app?host=%2Fvar%2Frun", ""},
    {"postgresql+asyncpg://u:p@h/a?ssl=True&prepared_statement_cache_size=0&command_timeout=5",
     "postgresql://u:p@h/a?sslmode=require", "command_timeout"},
    {"postgresql://u:p@h/a?client_encoding=latin1", "postgresql://u:p@h/a", "client_encoding"},
    {"postgresql+asyncpg://u:p@/a?host=a:5432&host=b&target_session_attrs=any",
     "postgresql://u:p@/a?target_session_attrs=any&host=a,b&port=5432,", ""},
    {"postgresql://u@/a?host=a,b&port=1,2", "postgresql://u@/a?port=1,2&host=a,b", ""},
    {"postgresql://[::1]:5432/a?sslmode=disable", "postgresql://[::1]:5432/a?sslmode=disable", ""},
    {"postgresql://h/a?options=-csearch_path=x+-cwork_mem%3D1",
     "postgresql://h/a?options=-csearch_path%3Dx%20-cwork_mem%3D1", ""},
    {"postgresql://u@/a?host=::1", "postgresql://u@/a?host=::1", ""},
    {"postgresql://u@/a?host=[::1]&password=a+b", "postgresql://u@/a?password=a+b&host=[::1]", ""},
    {"postgresql://h/a?", "postgresql://h/a", ""},
    {"postgresql://h/a?host&sslmode=disable", "postgresql://h/a?sslmode=disable&host=", ""},
    {"postgresql:///", "postgresql:///", ""},
    {"mysql+pymysql://u:planted@h/d", NULL, "postgresql://"},
    {"postgresqlx://u:planted@h/d", NULL, "postgresql://"},
    {"host=planted dbname=y", NULL, "postgresql://"},
    {"sqlite:///planted", NULL, "postgresql://"},
    {"", NULL, "postgresql://"},
    {"postgresql:planted", NULL, "postgresql://"},
    {"postgresql://u:planted@h/d?ssl=planted", NULL, "ssl="},
    {"postgresql://u:planted@h/d?nonsense=planted", NULL, "\"nonsense\""},
    {"postgresql://u:p?w@h/d", "postgresql://u:p?w@h/d", ""},
    {"postgresql://u:p/planted?etplanted@h/d", NULL, "an @ follows the question mark"},
    {"postgresql://u:12/planted?planted=x@h/d", NULL, "an @ follows the question mark"},
    {"postgresql://h/d?Nonsense!=planted", NULL, "one of its connection parameters"},
    {"postgresql://h/d?ssl=true&sslmode=disable", NULL, "leave one out"},
};

Test(pg, rewrites_urls)
{
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct buffer uri = {0};
        struct buffer ignored = {0};
        char error[256] = "";
        bool taken = pg_url_rewrite(str_from(urls[i].url), &uri, &ignored, error, sizeof error);
        cr_expect(taken == (urls[i].uri != NULL), "%s: %s", urls[i].url, error);
        if (taken) {
            cr_expect_str_eq(uri.data, urls[i].uri);
            cr_expect(str_equal(buffer_str(&ignored), str_from(urls[i].ignored)), "%s: %.*s",
                      urls[i].url, (int)ignored.len, ignored.data);
        } else {
            cr_expect(strstr(error, urls[i].ignored) != NULL, "%s: %s", urls[i].url, error);
            cr_expect(strstr(error, "planted") == NULL, "%s", error);
        }
        buffer_release(&uri);
        buffer_release(&ignored);
    }
}

Test(pg, prepares_nothing_behind_what_cannot_keep_it)
{
    cr_expect(store_pg_prepares("postgresql://h/a"));
    cr_expect(store_pg_prepares("postgresql://h/a?prepared_statement_cache_size=100"));
    cr_expect(
        !store_pg_prepares("postgresql+asyncpg://h/a?ssl=on&prepared_statement_cache_size=0"));
    cr_expect(!store_pg_prepares("postgresql://u:p?w@h/a?statement_cache_size=0"));
}

static void expect_host(const struct pg_host *host, const char *name, const char *port)
{
    cr_expect_str_eq(host->name, name);
    cr_expect(port == NULL ? host->port == NULL : strcmp(host->port, port) == 0);
}

Test(pg, finds_hosts)
{
    struct pg_target target;
    char error[256];
    cr_assert(pg_target_open(&target, "postgresql://u@one:1,two/d", error, sizeof error));
    cr_expect(target.hosts_len == 2);
    expect_host(&target.hosts[0], "one", "1");
    expect_host(&target.hosts[1], "two", "");
    pg_target_close(&target);
    cr_assert(pg_target_open(&target, "postgresql://u@/d?host=a:1&host=b:2", error, sizeof error));
    expect_host(&target.hosts[1], "b", "2");
    pg_target_close(&target);
    cr_assert(pg_target_open(&target, "postgresql://u@one,two:7/d", error, sizeof error));
    expect_host(&target.hosts[0], "one", "");
    expect_host(&target.hosts[1], "two", "7");
    pg_target_close(&target);
    cr_expect(!pg_target_open(&target, "postgresql://u:planted@[::1/d", error, sizeof error));
    cr_expect(strstr(error, "planted") == NULL && strstr(error, "percent-encode") != NULL, "%s",
              error);
    static const char *const plain[] = {"postgresql://u:zqx/planted@h/d",
                                        "postgresql://u:zqx@planted@h/d",
                                        "postgresql://u:1/planted@h/d"};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        cr_expect(!pg_target_open(&target, plain[i], error, sizeof error), "%s", plain[i]);
        cr_expect(strstr(error, "planted") == NULL && strstr(error, "percent-encode") != NULL, "%s",
                  error);
    }
    cr_expect(!pg_target_open(&target, "postgresql://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/d",
                              error, sizeof error));
    cr_expect(strstr(error, "16 hosts") != NULL, "%s", error);
}

/* Values that would fail at every connection, or connect to what takes no change. */
Test(pg, refuses_values_that_would_fail_later)
{
    static const struct {
        const char *url;
        const char *error;
    } rows[] = {
        {"postgresql://h/d?sslmode=planted", "sslmode must be one of"},
        {"postgresql://h/d?channel_binding=planted", "channel_binding"},
        {"postgresql://h/d?gssencmode=planted", "gssencmode"},
        {"postgresql://h/d?ssl_min_protocol_version=TLSv9", "ssl_min_protocol_version"},
        {"postgresql://h/d?target_session_attrs=standby", "target_session_attrs"},
        {"postgresql://h/d?target_session_attrs=read-only", "target_session_attrs"},
        {"postgresql://h/d?keepalives_idle=planted", "keepalives_idle must be a whole number"},
        {"postgresql://h/d?connect_timeout=1.5", "connect_timeout"},
        {"postgresql://h/d?tcp_user_timeout=planted", "tcp_user_timeout"},
        {"postgresql://h/d?replication=database", "replication"},
        {"postgresql://h/d?options=planted", "options"},
        {"postgresql://h:0/d", "port"},
        {"postgresql://h:70000/d", "port"},
        {"postgresql://u@/d?host=a,b,c&port=1,2", "as many as hosts"},
        {"postgresql://u@a/d?hostaddr=planted", "hostaddr"},
        {"postgresql://u@a,b/d?hostaddr=::1", "as many addresses"},
        {"postgresql://u@a/d?sslrootcert=/nonexistent/planted", "sslrootcert"},
    };
    static const char *const fine[] = {
        "postgresql://h/d?sslmode=verify-full&sslrootcert=system&target_session_attrs=primary",
        "postgresql://h/d?keepalives=1&keepalives_idle=10&connect_timeout=-1&options=-cx=y",
        "postgresql://u@a,b:5,c/d?hostaddr=127.0.0.1,::1,10.0.0.1"};
    struct pg_target target;
    char error[256];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cr_expect(!pg_target_open(&target, rows[i].url, error, sizeof error), "%s", rows[i].url);
        cr_expect(strstr(error, rows[i].error) != NULL && strstr(error, "planted") == NULL,
                  "%s: %s", rows[i].url, error);
    }
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        cr_expect(pg_target_open(&target, fine[i], error, sizeof error), "%s: %s", fine[i], error);
        pg_target_close(&target);
    }
}

typedef int look_up(const char *node, const char *service, const struct addrinfo *hints,
                    struct addrinfo **result);

/* In the place of the C library's getaddrinfo: a resolver that is slow for one name. */
look_up look_up_slowly __asm__("getaddrinfo");

int look_up_slowly(const char *node, const char *service, const struct addrinfo *hints,
                   struct addrinfo **result)
{
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    look_up *next;
    bool is_slow = node != NULL && strcmp(node, "slow.test") == 0;
    memcpy(&next, &found, sizeof next);
    if (is_slow)
        sleep(2);
    return next(is_slow ? "127.0.0.1" : node, service, hints, result);
}

Test(pg, waits_for_the_resolver_until_the_deadline)
{
    struct pg_target target;
    char error[256] = "";
    char reason[256] = "";
    uint64_t began_ns = clock_steady_ns();
    cr_assert(pg_target_open(&target, "postgresql://u@slow.test:1/d", error, sizeof error));
    cr_expect(pg_target_connect(&target, clock_after_ms(200), reason, sizeof reason) == NULL);
    cr_expect(strstr(reason, "not found in time") != NULL, "%s", reason);
    cr_expect(clock_steady_ns() - began_ns < 1500 * NS_PER_MS);
    cr_expect(pg_target_connect(&target, clock_after_ms(20000), reason, sizeof reason) == NULL);
    cr_expect(strstr(reason, "refused") != NULL, "%s", reason); /* by port 1 */
    pg_target_close(&target);
    cr_assert(pg_target_open(&target, "postgresql://u@name.invalid/d", error, sizeof error));
    cr_expect(pg_target_connect(&target, clock_after_ms(20000), reason, sizeof reason) == NULL);
    cr_expect(strstr(reason, "was not found: ") != NULL, "%s", reason);
    pg_target_close(&target);
}

static size_t count_all(struct pg_area *area)
{
    return pg_area_count(area, PG_IDLE) + pg_area_count(area, PG_BUSY);
}

Test(pg, places_are_few_and_die_with_their_process)
{
    char directory[64];
    char path[100];
    char error[256];
    char byte;
    int taken[2];
    struct pg_area area;
    directory_make(directory);
    snprintf(path, sizeof path, "%s/database", directory);
    cr_assert(pg_area_open(&area, path, 4, error, sizeof error), "%s", error);
    cr_assert(pipe(taken) == 0);
    int mine = pg_area_take(&area);
    pid_t pid = fork();
    if (pid == 0) { /* a process of its own opens the area itself */
        struct pg_area other;
        if (!pg_area_open(&other, path, 4, error, sizeof error) || pg_area_take(&other) < 0 ||
            pg_area_take(&other) < 0 || pg_area_take(&other) >= 0)
            _exit(1);
        byte = 'x';
        _exit(write(taken[1], &byte, 1) == 1 && pause() == 0);
    }
    close(taken[1]);
    cr_assert(read(taken[0], &byte, 1) == 1, "the other process took two of three");
    cr_expect(mine == 1 && pg_area_take(&area) == -1);
    cr_expect(pg_area_count(&area, PG_BUSY) == 3);
    pg_area_use(&area, mine, PG_IDLE);
    cr_expect(pg_area_count(&area, PG_IDLE) == 1 && pg_area_count(&area, PG_BUSY) == 2);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    cr_expect(count_all(&area) == 1);
    int again = pg_area_take(&area);
    cr_expect(again > 1 && pg_area_take(&area) > 1 && pg_area_take(&area) == -1);
    pg_area_give(&area, again);
    cr_expect(count_all(&area) == 2 && pg_area_take(&area) == again);
    cr_expect(pg_area_take_first(&area) == 0, "it is kept for the follower");
    cr_expect(pg_area_take_first(&area) == -1);
    pg_area_close(&area);
    close(taken[0]);
    directory_remove(directory);
    cr_expect(!pg_area_open(&area, path, 4, error, sizeof error));
    cr_expect(strstr(error, path) != NULL, "%s", error);
}

/* ---- the pool ---- */

enum { FAIR = 2, ALL = 4 };

/* What a process has; each opening of the area holds its places for itself, as a process would. */
struct process {
    struct pg_target target;
    struct pg_area area;
    struct pg_pool pool;
    struct pg_pooled *taken;
};

static const struct vault no_keys = {0};
static const struct pg_settings settings = {.prepare = true, .vault = &no_keys};

static void process_open(struct process *process, const char *url, const char *path)
{
    const struct pg_share share = {.limit = ALL, .fair = FAIR, .kept = ALL};
    char error[256];
    cr_assert(pg_target_open(&process->target, url, error, sizeof error), "%s", error);
    cr_assert(pg_area_open(&process->area, path, 1 + ALL, error, sizeof error), "%s", error);
    cr_assert(pg_pool_open(&process->pool, &process->target, &process->area, &settings, &share));
}

static void process_close(struct process *process)
{
    pg_pool_close(&process->pool);
    pg_area_close(&process->area);
    pg_target_close(&process->target);
}

static uint64_t in_ms(uint64_t ms)
{
    return clock_steady_ns() + ms * 1000000;
}

static void *take_one(void *process)
{
    ((struct process *)process)->taken =
        pg_pool_take(&((struct process *)process)->pool, in_ms(5000));
    return NULL;
}

/* Takes one in `taker` while `busy` uses one connection after another. */
static struct pg_pooled *take_beside(struct process *taker, struct process *busy)
{
    pthread_t thread;
    cr_assert(pthread_create(&thread, NULL, take_one, taker) == 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        struct pg_pooled *used = pg_pool_take(&busy->pool, in_ms(5000));
        cr_assert(used != NULL);
        pg_pool_give(&busy->pool, used);
    }
    return taker->taken;
}

Test(pg, gives_up_what_another_process_lacks, .timeout = 60)
{
    struct postgres postgres;
    struct process old, new;
    struct pg_pooled *taken[ALL];
    char url[POSTGRES_URL_SIZE], error[256], directory[64], path[80];
    postgres_start(&postgres);
    postgres_database(&postgres, url);
    struct store_options options = {.database = {.url = url, .timeout_ms = 5000, .prepare = true}};
    cr_assert(store_pg_migrate(&options, error, sizeof error) == STORE_MIGRATED, "%s", error);
    directory_make(directory);
    snprintf(path, sizeof path, "%s/database", directory);
    process_open(&old, url, path);
    process_open(&new, url, path);

    for (size_t i = 0; i < ALL; i++)
        cr_assert((taken[i] = pg_pool_take(&old.pool, in_ms(5000))) != NULL, "it may have all");
    for (size_t i = 0; i < ALL; i++)
        pg_pool_give(&old.pool, taken[i]);
    cr_expect(count_all(&old.area) == ALL, "it keeps them");
    for (size_t i = 0; i < FAIR; i++)
        cr_assert((taken[i] = take_beside(&new, &old)) != NULL, "nobody starves");
    cr_expect(count_all(&old.area) == ALL, "and there are not more than may be");
    cr_expect(pg_pool_take(&new.pool, in_ms(200)) == NULL, "what is fair stays");
    for (size_t i = 0; i < FAIR; i++)
        pg_pool_give(&new.pool, taken[i]);

    process_close(&new);
    process_close(&old);
    directory_remove(directory);
    postgres_stop(&postgres);
}
