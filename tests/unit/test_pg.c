/* SPDX-License-Identifier: MIT
 *
 * What PostgreSQL's back-end is made of: URLs, hosts, the area that processes share. That it is a
 * store is shown in test_store.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "store/pg_area.h"
#include "store/pg_target.h"
#include "store/pg_url.h"

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
     "postgresql://u:p@h/a?sslmode=require", "prepared_statement_cache_size, command_timeout"},
    {"postgresql+asyncpg://u:p@/a?host=a:5432&host=b&target_session_attrs=any",
     "postgresql://u:p@/a?target_session_attrs=any&host=a,b&port=5432,", ""},
    {"postgresql://u@/a?host=a,b&port=1,2", "postgresql://u@/a?port=1,2&host=a,b", ""},
    {"postgresql://[::1]:5432/a?sslmode=disable", "postgresql://[::1]:5432/a?sslmode=disable", ""},
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
    {"postgresql://u:p/planted?etplanted@h/d", NULL, "one of its connection parameters"},
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
