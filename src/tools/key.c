/* SPDX-License-Identifier: MIT */
#include "tools/key.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/keys.h"
#include "base/clock.h"
#include "core/metrics.h"
#include "tools/key_file.h"

const char key_command_usage[] =
    "usage: integration-service key new NAME --scopes SCOPE[,SCOPE…] [--expires TIME] [--ids "
    "ID[,ID…]]\n"
    "       integration-service key rotate NAME [--overlap TIME] [--expires TIME]\n"
    "       integration-service key revoke NAME\n"
    "       integration-service key list\n"
    "SCOPE: read (integrations, with secrets masked), secrets (in clear), write, metrics\n"
    "ID:    the integrations that it may deal with, encoded as in a URL; without --ids all\n"
    "NAME:  user:NAME gives the scopes to somebody whom the web server has authenticated\n"
    "       (TRUST_REMOTE_USER), who then needs no key\n"
    "TIME:  from now on, such as 90d, 12h or 30m\n";

enum { PATH_SIZE = 512 };

/* The words of a command. */
struct wish {
    struct str name;
    unsigned scopes;    /* 0: not given */
    uint64_t expires_s; /* since 1970; 0: not given */
    uint64_t overlap_s; /* how long the old key goes on to count */
    struct str ids;     /* empty: not given */
    bool remote_user;   /* whom the web server has authenticated is trusted */
};

static uint64_t now_s(void)
{
    return clock_wall_us() / US_PER_S;
}

/* ---- words ---- */

/* Reads a length of time: a number with a unit. */
static bool read_span(struct str text, uint64_t *s)
{
    static const struct {
        char unit;
        uint64_t s;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    uint64_t number;
    if (text.len < 2 || !str_to_u64((struct str){text.data, text.len - 1}, &number) ||
        number > 1000000)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (text.data[text.len - 1] == units[i].unit) {
            *s = number * units[i].s;
            return true;
        }
    return false;
}

static bool are_ids(struct str text)
{
    struct arena arena = {0};
    struct str *ids;
    size_t len;
    bool split = memchr(text.data, ' ', text.len) == NULL &&
                 keys_split_ids(&arena, text, &ids, &len) && ids != NULL;
    arena_release(&arena);
    return split;
}

static bool read_option(const char *name, struct str value, struct wish *wish)
{
    uint64_t span_s;
    if (strcmp(name, "--ids") == 0) {
        wish->ids = value;
        return are_ids(value);
    }
    if (strcmp(name, "--scopes") == 0)
        return scopes_from(value, &wish->scopes);
    if (!read_span(value, &span_s))
        return false;
    if (strcmp(name, "--expires") == 0)
        wish->expires_s = now_s() + span_s;
    else if (strcmp(name, "--overlap") == 0)
        wish->overlap_s = span_s;
    else
        return false;
    return true;
}

/* Reads what follows the command: a name, and options. */
static bool read_wish(int argc, char **argv, struct wish *wish)
{
    *wish = (struct wish){.name = {NULL, 0}};
    if (argc < 1 || argc % 2 == 0)
        return false;
    wish->name = str_from(argv[0]);
    if (!keys_is_name(wish->name) && !keys_is_user(wish->name)) {
        fputs("a name is 1 to 128 letters, digits, \".\", \"_\" or \"-\", or user:NAME\n", stderr);
        return false;
    }
    for (int i = 1; i < argc; i += 2)
        if (!read_option(argv[i], str_from(argv[i + 1]), wish))
            return false;
    return true;
}

/* ---- the file ---- */

static bool is_called(const struct key_entry *entry, struct str name)
{
    return keys_is_same_name(str_from(entry->name), name);
}

/* The unexpired entry of that name that has the longest to live, or NULL. */
static const struct key_entry *find_entry(const struct keys *keys, struct str name)
{
    const struct key_entry *best = NULL;
    for (size_t i = 0; i < keys->len; i++) {
        const struct key_entry *entry = &keys->entries[i];
        if (!is_called(entry, name) || keys_has_expired(entry))
            continue;
        if (best == NULL || entry->expires_s == 0 ||
            (best->expires_s != 0 && entry->expires_s > best->expires_s))
            best = entry;
    }
    return best;
}

/* Adds an entry of that name, with the scopes and ids of another. */
static void add_key(FILE *out, struct str name, const struct key_entry *like, uint64_t expires_s)
{
    char text[KEY_LEN + 1];
    struct key_entry entry = {.scopes = like->scopes, .ids = like->ids, .expires_s = expires_s};
    memcpy(entry.name, name.data, name.len);
    key_make(text);
    key_digest(str_from(text), entry.digest);
    keys_write_entry(&entry, out);
    if (!keys_is_user(name))
        puts(text);
    explicit_bzero(text, sizeof text);
}

static enum key_command_end complain(const char *before, struct str name, const char *after)
{
    fprintf(stderr, "integration-service: %s \"%.*s\"%s\n", before, (int)name.len, name.data,
            after);
    return KEY_COMMAND_FAILED;
}

static enum key_command_end finish(struct key_file *file)
{
    return key_file_end(file) ? KEY_COMMAND_DONE : KEY_COMMAND_FAILED;
}

/* Keeps the lines but for those of the name: what becomes of these, `change` says; NULL: they are
 * left out. */
static void copy_lines(const struct key_file *file, struct str name,
                       void (*change)(const struct key_entry *entry, const struct wish *wish,
                                      FILE *out),
                       const struct wish *wish)
{
    struct str rest = buffer_str(&file->text);
    struct str line;
    while (str_split(&rest, '\n', &line)) {
        struct keys one;
        char fault[KEYS_FAULT_SIZE];
        if (line.len == 0 && rest.data == NULL)
            break; /* what follows the last line's end */
        if (!keys_parse(line, &one, fault))
            continue; /* cannot be: the whole file was parsed */
        bool named = one.len == 1 && is_called(&one.entries[0], name);
        if (named && change != NULL)
            change(&one.entries[0], wish, file->out);
        else if (!named)
            fprintf(file->out, "%.*s\n", (int)line.len, line.data);
        keys_release(&one);
    }
}

/* ---- commands ---- */

static void let_expire(const struct key_entry *entry, const struct wish *wish, FILE *out)
{
    struct key_entry changed = *entry;
    uint64_t end_s = now_s() + wish->overlap_s;
    if (changed.expires_s == 0 || changed.expires_s > end_s)
        changed.expires_s = end_s;
    if (!keys_has_expired(&changed))
        keys_write_entry(&changed, out);
}

static enum key_command_end make_new(struct key_file *file, const struct wish *wish)
{
    if (wish->scopes == 0 || wish->overlap_s != 0)
        return KEY_COMMAND_USAGE;
    if (find_entry(&file->keys, wish->name) != NULL)
        return complain("there is a key", wish->name, ": rotate or revoke it");
    if (wish->ids.len > 0 && (wish->scopes & SCOPE_METRICS) != 0)
        return complain("the metrics tell of all integrations: with --ids, they are not for",
                        wish->name, "");
    if (!file->found)
        fputs("this is the first key: from now on every caller needs one\n", stderr);
    if (keys_is_user(wish->name) && !wish->remote_user)
        fputs("TRUST_REMOTE_USER is off here: where the service has it off, too, users of the web "
              "server are not let in\n",
              stderr);
    copy_lines(file, wish->name, NULL, wish); /* those that have expired */
    const struct key_entry like = {.scopes = wish->scopes, .ids = wish->ids};
    add_key(file->out, wish->name, &like, wish->expires_s);
    return finish(file);
}

static enum key_command_end rotate(struct key_file *file, const struct wish *wish)
{
    if (wish->scopes != 0 || wish->ids.len > 0 || keys_is_user(wish->name))
        return KEY_COMMAND_USAGE;
    const struct key_entry *entry = find_entry(&file->keys, wish->name);
    if (entry == NULL)
        return complain("there is no key", wish->name, "");
    copy_lines(file, wish->name, let_expire, wish);
    add_key(file->out, wish->name, entry, wish->expires_s);
    return finish(file);
}

static enum key_command_end revoke(struct key_file *file, const struct wish *wish)
{
    if (wish->scopes != 0 || wish->expires_s != 0 || wish->overlap_s != 0 || wish->ids.len > 0)
        return KEY_COMMAND_USAGE;
    bool any = false;
    for (size_t i = 0; i < file->keys.len; i++)
        any |= is_called(&file->keys.entries[i], wish->name);
    if (!any)
        return complain("there is no key", wish->name, "");
    copy_lines(file, wish->name, NULL, wish);
    return finish(file);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct key_entry *)a)->name, ((const struct key_entry *)b)->name);
}

/* Prints until when a key counts, and when it was used last. */
static void print_times(const struct key_entry *entry, struct metrics_key_uses *uses)
{
    if (entry->expires_s != 0) {
        fputs(keys_has_expired(entry) ? "  expired " : "  until ", stdout);
        keys_write_time(entry->expires_s, stdout);
    }
    if (uses == NULL)
        return;
    uint64_t minute = metrics_key_minute(uses, keys_number(entry));
    fputs(minute == 0 ? "  no use known" : "  used ", stdout);
    if (minute != 0)
        keys_write_time(minute * 60, stdout);
}

static struct metrics_key_uses *load_uses(const struct config *config)
{
    char path[PATH_SIZE];
    return config_metrics_path(config, path, sizeof path) ? metrics_load_key_uses(path) : NULL;
}

static enum key_command_end list(const struct config *config, const char *path)
{
    struct keys keys;
    bool found;
    char fault[KEYS_FAULT_SIZE];
    if (!keys_load(path, &keys, &found, fault)) {
        fprintf(stderr, "integration-service: %s: %s\n", path, fault);
        return KEY_COMMAND_FAILED;
    }
    if (!found)
        fputs("there are no keys: nobody needs one\n", stderr);
    if (keys.len > 0)
        qsort(keys.entries, keys.len, sizeof *keys.entries, compare_names);
    struct metrics_key_uses *uses = load_uses(config);
    for (size_t i = 0; i < keys.len; i++) {
        const struct key_entry *entry = &keys.entries[i];
        printf("%-24s ", entry->name);
        scopes_write(entry->scopes, stdout);
        print_times(entry, uses);
        if (entry->ids.len > 0)
            printf("  ids %.*s", (int)entry->ids.len, entry->ids.data);
        putchar('\n');
    }
    free(uses);
    keys_release(&keys);
    return KEY_COMMAND_DONE;
}

static const struct {
    const char *word;
    enum key_command_end (*run)(struct key_file *file, const struct wish *wish);
} commands[] = {{"new", make_new}, {"rotate", rotate}, {"revoke", revoke}};

enum key_command_end key_command(const struct config *config, int argc, char **argv)
{
    struct wish wish;
    struct key_file file;
    char path[PATH_SIZE];
    if (!config_keys_path(config, path, sizeof path)) {
        fputs("integration-service: KEYS_FILE: the path is too long\n", stderr);
        return KEY_COMMAND_FAILED;
    }
    if (argc == 1 && strcmp(argv[0], "list") == 0)
        return list(config, path);
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[0], commands[i].word) != 0)
            continue;
        if (!read_wish(argc - 1, argv + 1, &wish))
            return KEY_COMMAND_USAGE;
        wish.remote_user = config->trust_remote_user;
        if (!key_file_begin(&file, path))
            return KEY_COMMAND_FAILED;
        enum key_command_end end = commands[i].run(&file, &wish);
        key_file_close(&file);
        return end;
    }
    return KEY_COMMAND_USAGE;
}
