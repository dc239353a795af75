/* SPDX-License-Identifier: MIT */
#include "core/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/config_text.h"

enum {
    CONNECTIONS_MAX = 1024,
    WORKERS_MAX = 64,
    LONGEST_ANSWER_MS = 25000 /* nginx waits 30 s */
};

enum kind {
    KIND_TEXT,
    KIND_FILE,     /* a path in the file system, that nginx reads too */
    KIND_URL_PATH, /* of a URL */
    KIND_HOST,
    KIND_HOSTS,   /* names with commas between */
    KIND_ORIGINS, /* likewise */
    KIND_SECRET,  /* text that is never shown; the last kind of text */
    KIND_NUMBER,  /* decimal, within min and max */
    KIND_BYTES,   /* a number, with an optional K, M, G or T (powers of 1024) */
    KIND_SECONDS, /* seconds with up to three decimals, kept in ms; min and max are in ms */
    KIND_MODE,    /* octal file permissions */
    KIND_CHOICE,  /* one of `choices`, in any case; its index */
};

struct option {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct config, of a const char * or a uint64_t */
    const char *fallback;
    uint64_t min, max;
    const char *const *choices; /* NULL-terminated */
    const char *help;
};

static const char *const log_levels[] = {"debug", "info", "warning", "error", "critical", NULL};
static const char *const off_on[] = {"off", "on", NULL};
static const char *const readiness_policies[] = {"strict", "serve-stale", NULL};

#define MIB ((uint64_t)1024 * 1024)
#define AT(member) offsetof(struct config, member)

static const struct option options[] = {
    {"APP_NAME", KIND_TEXT, AT(app_name), "integration-service", 0, 0, NULL,
     "name that `/health` answers"},
    {"HOST", KIND_HOST, AT(host), "127.0.0.1", 0, 0, NULL,
     "address nginx listens on (`serve --with-nginx`)"},
    {"PORT", KIND_NUMBER, AT(port), "8000", 1, 65535, NULL,
     "port nginx listens on (`serve --with-nginx`)"},
    {"STATE_DIR", KIND_FILE, AT(state_dir), "./var", 0, 0, NULL,
     "directory of the store, the metrics and the socket; created when missing"},
    {"LISTEN", KIND_TEXT, AT(listen), "", 0, 0, NULL,
     "FastCGI address: `unix:PATH` or `ADDRESS:PORT`; empty: "
     "`unix:STATE_DIR/integration-service.sock`. Whoever reaches it is trusted: never beyond "
     "loopback"},
    {"ROOT_PATH", KIND_URL_PATH, AT(root_path), "", 0, 0, NULL,
     "path that the web server serves the service at, such as /api; empty: at the top (or, started "
     "by "
     "Apache or lighttpd, in its script's directory)"},
    {"SOCKET_MODE", KIND_MODE, AT(socket_mode), "0660", 0, 0777, NULL,
     "permissions of the unix socket"},
    {"WWW_DIR", KIND_FILE, AT(www_dir), "", 0, 0, NULL,
     "the files of the admin page and of `/docs`, for `serve --with-nginx`; empty: where they were "
     "installed"},
    {"SPOOL_DIR", KIND_FILE, AT(spool_dir), "", 0, 0, NULL,
     "where the nginx of `serve --with-nginx` keeps long bodies that are arriving, and long "
     "answers whose reader is slow (8 MiB each at most): on another disk, they cannot fill the "
     "store's; empty: `STATE_DIR/nginx`"},
    {"KEYS_FILE", KIND_TEXT, AT(keys_file), "", 0, 0, NULL,
     "file of the keys that callers need, as `integration-service key` writes it; empty: "
     "`STATE_DIR/keys`. Where there is none, nobody needs a key"},
    {"ENCRYPTION_KEYS_FILE", KIND_TEXT, AT(encryption_keys_file), "", 0, 0, NULL,
     "file of the keys that settings are sealed with in the store, `NAME BASE64` on each line; "
     "empty: they are not sealed (docs/encryption.md)"},
    {"ALLOW_ANONYMOUS", KIND_CHOICE, AT(allow_anonymous), "off", 0, 0, off_on,
     "`on`: `serve --with-nginx` starts although nobody needs a key and `HOST` is reached from "
     "other machines, so whoever reaches it reads all tokens"},
    {"TRUST_REMOTE_USER", KIND_CHOICE, AT(trust_remote_user), "off", 0, 0, off_on,
     "`on`: whom the web server has authenticated (`REMOTE_USER`) needs no key, but a line "
     "`user:NAME` in the file of keys"},
    {"PROVIDERS_DIR", KIND_TEXT, AT(providers_dir), "", 0, 0, NULL,
     "directories with a JSON Schema `NAME.json` for each further provider, separated by colons"},
    {"VALIDATE_SETTINGS", KIND_CHOICE, AT(validate_settings), "off", 0, 0, off_on,
     "`on`: an integration that is on must have the settings that its provider's schema asks for; "
     "otherwise 422"},
    {"SANDBOX", KIND_CHOICE, AT(sandbox), "on", 0, 0, off_on,
     "`on`: workers change no files but in `STATE_DIR`, start no programs, and the like, as far as "
     "the kernel has Landlock and seccomp (SECURITY.md)"},
    {"CORE_DUMPS", KIND_CHOICE, AT(core_dumps), "off", 0, 0, off_on,
     "`on`: a process that crashes may leave a core file, with what it knew: tokens and keys"},
    {"WORKERS", KIND_NUMBER, AT(workers), "0", 0, WORKERS_MAX, NULL,
     "worker processes; 0: one a CPU"},
    {"THREADS", KIND_NUMBER, AT(threads), "4", 1, 64, NULL,
     "threads a worker has for changes, and as many for long reads (lists)"},
    {"LOG_LEVEL", KIND_CHOICE, AT(log_level), "info", 0, 0, log_levels,
     "least level that is logged; a line a request at `info`"},
    {"MAX_BODY_BYTES", KIND_BYTES, AT(max_body_bytes), "1M", 1024, 64 * MIB, NULL,
     "largest request body; above it 413"},
    {"STORE_MAX_BYTES", KIND_BYTES, AT(store_max_bytes), "64G", MIB, 16 * MIB *MIB, NULL,
     "largest size of the embedded store; above it 507. Address space, not disk: only what is "
     "stored takes room"},
    {"HISTORY_VERSIONS", KIND_NUMBER, AT(history_versions), "100", 0, 100000, NULL,
     "earlier versions of an integration that are kept, also of one that was removed"},
    {"HISTORY_DAYS", KIND_NUMBER, AT(history_days), "90", 1, 36500, NULL,
     "days for which the log says who changed what, and earlier versions are kept"},
    {"REQUEST_TIMEOUT", KIND_SECONDS, AT(request_timeout_ms), "10", 100, 3600000, NULL,
     "time for a web server to hand over a request, or to take its answer, once begun"},
    {"DRAIN_TIMEOUT", KIND_SECONDS, AT(drain_timeout_ms), "20", 0, 3600000, NULL,
     "time to finish requests and lose idle connections when stopping"},
    {"PRE_DRAIN_DELAY", KIND_SECONDS, AT(pre_drain_delay_ms), "0", 0, 300000, NULL,
     "time between a stop signal and the drain: `/readiness` is 503 and requests are answered as "
     "ever, so that a load balancer notices"},
    {"CORS_ALLOW_ORIGINS", KIND_ORIGINS, AT(cors_allow_origins), "", 0, 0, NULL,
     "origins a browser may call from, separated by commas, or `*`; empty: CORS is off"},
    {"ALLOWED_HOSTS", KIND_HOSTS, AT(allowed_hosts), "", 0, 0, NULL,
     "names that the service may be asked for in a URL (`chat.example`, `*.intern.example`), "
     "separated by commas, besides addresses, `localhost` and `HOST`: `serve --with-nginx` "
     "answers 421 to any other, for a hostile page can have a name of its own lead here"},
    {"REQUIRE_IF_MATCH", KIND_CHOICE, AT(require_if_match), "off", 0, 0, off_on,
     "`on`: PUT, PATCH and DELETE without a condition (`If-Match`) are answered 428"},
    {"SEED_DEFAULTS", KIND_CHOICE, AT(seed_defaults), "off", 0, 0, off_on,
     "`on`: a store that never held anything starts with the framework's two integrations"},
    {"DATABASE_URL", KIND_SECRET, AT(database_url), "", 0, 0, NULL,
     "PostgreSQL: `postgresql://USER:PASSWORD@HOST/DATABASE`, several hosts with commas between, "
     "and "
     "as SQLAlchemy writes it (`postgresql+asyncpg://`, `?ssl=`); empty: the embedded store"},
    {"DB_POOL_SIZE", KIND_NUMBER, AT(db_pool_size), "5", 1, 1000, NULL,
     "connections to the database that stay open, of all processes together"},
    {"DB_MAX_OVERFLOW", KIND_NUMBER, AT(db_max_overflow), "10", 0, 1000, NULL,
     "connections there may be beyond these while there is much to do"},
    {"DB_TIMEOUT", KIND_SECONDS, AT(db_timeout_ms), "5", 100, LONGEST_ANSWER_MS, NULL,
     "time for a change to be made, from its arrival; then 503, and it is not made later"},
    {"DB_PREPARED_STATEMENTS", KIND_CHOICE, AT(db_prepared_statements), "on", 0, 0, off_on,
     "`off`: behind PgBouncer in transaction mode. Changes of other hosts are then seen within a "
     "second, not at once"},
    {"READINESS_TIMEOUT", KIND_SECONDS, AT(readiness_timeout_ms), "5", 100, LONGEST_ANSWER_MS, NULL,
     "time for the database to answer `/readiness`"},
    {"READINESS_POLICY", KIND_CHOICE, AT(readiness_policy), "strict", 0, 0, readiness_policies,
     "`strict`: `/readiness` is 503 while the database is away; `serve-stale`: 200 while the "
     "replica "
     "is younger than `MAX_STALENESS`"},
    {"MAX_STALENESS", KIND_SECONDS, AT(max_staleness_ms), "300", 1000, 31536000000, NULL,
     "age of a replica that is still good enough for `serve-stale`"},
};

/* What a text must be besides plain, by kind; NULL: nothing. */
static config_text_check *const checks[] = {
    [KIND_TEXT] = NULL,
    [KIND_FILE] = config_text_is_nginx_path,
    [KIND_URL_PATH] = config_text_is_root_path,
    [KIND_HOST] = config_text_is_host,
    [KIND_HOSTS] = config_text_is_host_list,
    [KIND_ORIGINS] = config_text_is_origin_list,
    [KIND_SECRET] = NULL,
};

static const char **text_field(struct config *config, const struct option *option)
{
    return (const char **)(void *)((char *)config + option->offset);
}

static uint64_t *number_field(struct config *config, const struct option *option)
{
    return (uint64_t *)(void *)((char *)config + option->offset);
}

static uint64_t number_of(const struct config *config, const struct option *option)
{
    return *(const uint64_t *)(const void *)((const char *)config + option->offset);
}

static const char *text_of(const struct config *config, const struct option *option)
{
    return *(const char *const *)(const void *)((const char *)config + option->offset);
}

static bool parse_bytes(struct str text, uint64_t *number)
{
    static const char units[] = "KMGT";
    uint64_t factor = 1;
    const char *unit =
        text.len == 0 ? NULL : memchr(units, text.data[text.len - 1] & ~0x20, sizeof units - 1);
    if (unit != NULL) {
        factor <<= 10 * (unit - units + 1);
        text.len--;
    }
    return str_to_u64(text, number) && !__builtin_mul_overflow(*number, factor, number);
}

static bool parse_seconds(struct str text, uint64_t *ms)
{
    struct str fraction = text;
    struct str whole;
    uint64_t thousandths = 0;
    if (!str_split(&fraction, '.', &whole) || !str_to_u64(whole, ms))
        return false;
    if (fraction.data != NULL) {
        if (fraction.len > 3 || !str_to_u64(fraction, &thousandths))
            return false;
        for (size_t digits = fraction.len; digits < 3; digits++)
            thousandths *= 10;
    }
    return !__builtin_mul_overflow(*ms, 1000, ms) && !__builtin_add_overflow(*ms, thousandths, ms);
}

static bool parse_mode(struct str text, uint64_t *mode)
{
    *mode = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '7' || i > 4)
            return false;
        *mode = *mode * 8 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0;
}

static bool parse_choice(struct str text, const char *const *choices, uint64_t *index)
{
    for (*index = 0; choices[*index] != NULL; ++*index)
        if (str_equal_ignore_case(text, str_from(choices[*index])))
            return true;
    return false;
}

static bool parse_number(const struct option *option, struct str text, uint64_t *number)
{
    switch (option->kind) {
    case KIND_CHOICE:
        return parse_choice(text, option->choices, number);
    case KIND_BYTES:
        return parse_bytes(text, number) && *number >= option->min && *number <= option->max;
    case KIND_SECONDS:
        return parse_seconds(text, number) && *number >= option->min && *number <= option->max;
    case KIND_MODE:
        return parse_mode(text, number) && *number <= option->max;
    case KIND_NUMBER:
        return str_to_u64(text, number) && *number >= option->min && *number <= option->max;
    default: /* a text */
        break;
    }
    return false;
}

static bool is_text(const struct option *option)
{
    return option->kind <= KIND_SECRET;
}

/* Prints a number in the notation of the option's kind. */
static void print_number(const struct option *option, uint64_t number, FILE *out)
{
    switch (option->kind) {
    case KIND_SECONDS:
        fprintf(out, "%" PRIu64, number / 1000);
        if (number % 1000 != 0)
            fprintf(out, ".%03" PRIu64, number % 1000);
        break;
    case KIND_MODE:
        fprintf(out, "0%03" PRIo64, number);
        break;
    case KIND_CHOICE:
        fputs(option->choices[number], out);
        break;
    default:
        fprintf(out, "%" PRIu64, number);
        break;
    }
}

/* Prints which values an option accepts. */
static void print_range(const struct option *option, FILE *out)
{
    if (option->kind == KIND_CHOICE) {
        for (size_t i = 0; option->choices[i] != NULL; i++)
            fprintf(out, "%s`%s`", i == 0 ? "" : ", ", option->choices[i]);
        return;
    }
    if (is_text(option)) {
        fputs("text", out);
        return;
    }
    fputs(option->kind == KIND_SECONDS ? "seconds, "
          : option->kind == KIND_BYTES ? "bytes (K, M, G, T), "
          : option->kind == KIND_MODE  ? "octal, "
                                       : "",
          out);
    print_number(option, option->min, out);
    fputs(" to ", out);
    print_number(option, option->max, out);
}

static bool load_text(struct config *config, const struct option *option, const char *text,
                      FILE *errors)
{
    const char *wrong = config_text_is_plain(text);
    if (wrong == NULL && checks[option->kind] != NULL && text[0] != '\0')
        wrong = checks[option->kind](text);
    if (wrong != NULL)
        fprintf(errors, "%s: the value %s\n", option->name, wrong);
    *text_field(config, option) = text;
    return wrong == NULL;
}

static bool load_option(struct config *config, const struct option *option, const char *text,
                        FILE *errors)
{
    if (text == NULL || text[0] == '\0')
        text = option->fallback;
    if (is_text(option))
        return load_text(config, option, text, errors);
    if (parse_number(option, str_from(text), number_field(config, option)))
        return true;
    fprintf(errors, "%s: \"%s\" is not one of: ", option->name, text);
    print_range(option, errors);
    fputc('\n', errors);
    return false;
}

/* Checks that involve more than one option. */
static unsigned check_together(const struct config *config, FILE *errors)
{
    unsigned faults = 0;
    char address[512];
    if (config->database_url[0] != '\0' && config->db_pool_size + config->db_max_overflow < 2) {
        fputs("DB_POOL_SIZE: together with DB_MAX_OVERFLOW at least 2: one connection follows the "
              "changes, one makes them\n",
              errors);
        faults++;
    }
    if (config->db_pool_size + config->db_max_overflow > CONNECTIONS_MAX) {
        fprintf(errors, "DB_POOL_SIZE: together with DB_MAX_OVERFLOW at most %d\n",
                CONNECTIONS_MAX);
        faults++;
    }
    if (!config_listen_address(config, address, sizeof address)) {
        fputs("STATE_DIR: the path is too long\n", errors);
        faults++;
    }
    return faults;
}

unsigned config_load(struct config *config, config_lookup *lookup, FILE *errors)
{
    unsigned faults = 0;
    *config = (struct config){0};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (!load_option(config, &options[i], lookup(options[i].name), errors))
            faults++;
    return faults + check_together(config, errors);
}

size_t config_workers(const struct config *config)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->workers > 0)
        return config->workers;
    return cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : (size_t)cpus;
}

void config_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *option = &options[i];
        fprintf(out, "%s=", option->name);
        if (option->kind == KIND_SECRET)
            fputs(text_of(config, option)[0] == '\0' ? "" : "***", out);
        else if (is_text(option))
            fputs(text_of(config, option), out);
        else
            print_number(option, number_of(config, option), out);
        fputc('\n', out);
    }
}

void config_print_options(FILE *out)
{
    fputs("| variable | default | values | meaning |\n| --- | --- | --- | --- |\n", out);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *option = &options[i];
        const char *quote = option->fallback[0] == '\0' ? "" : "`";
        fprintf(out, "| `%s` | %s%s%s | ", option->name, quote, option->fallback, quote);
        print_range(option, out);
        fprintf(out, " | %s |\n", option->help);
    }
}

bool config_keys_path(const struct config *config, char *path, size_t size)
{
    int length = config->keys_file[0] != '\0' ? snprintf(path, size, "%s", config->keys_file)
                                              : snprintf(path, size, "%s/keys", config->state_dir);
    return length > 0 && (size_t)length < size;
}

bool config_metrics_path(const struct config *config, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/metrics", config->state_dir);
    return length > 0 && (size_t)length < size;
}

bool config_listen_address(const struct config *config, char *address, size_t size)
{
    int length =
        config->listen[0] != '\0'
            ? snprintf(address, size, "%s", config->listen)
            : snprintf(address, size, "unix:%s/integration-service.sock", config->state_dir);
    return length > 0 && (size_t)length < size;
}
