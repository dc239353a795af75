/* SPDX-License-Identifier: MIT
 *
 * The command line. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/confine.h"
#include "core/config.h"
#include "core/log.h"
#include "main/hosted.h"
#include "main/listener.h"
#include "main/nginx.h"
#include "main/supervisor/supervisor.h"
#include "service/service.h"
#include "tools/key.h"
#include "tools/probe.h"
#include "tools/rekey.h"
#include "tools/transfer.h"

#ifndef PACKAGE_VERSION
#error "PACKAGE_VERSION comes from configure"
#endif

enum { EXIT_USAGE = 2 };

static const char usage[] =
    "usage: integration-service serve [--with-nginx]      run the service until SIGTERM\n"
    "       integration-service check-config              print the configuration\n"
    "       integration-service migrate                   bring the database's schema up to date\n"
    "       integration-service probe [--ready]           ask the running service how it is\n"
    "       integration-service export [--clear] [FILE]   write all integrations, as JSON lines\n"
    "       integration-service import [FILE]             read them from JSON lines, all or none\n"
    "       integration-service backup [--clear] [FILE]   the same as export\n"
    "       integration-service restore [FILE]            hold what a backup holds, nothing else\n"
    "       integration-service rekey                     seal all settings with the first key\n"
    "       integration-service key new|list|rotate|revoke …  the keys that callers need\n"
    "       integration-service --version | --help\n";

static int print_help(const char *argument)
{
    (void)argument;
    fputs(usage, stdout);
    fputs("\nConfigured by environment variables:\n\n", stdout);
    config_print_options(stdout);
    return EXIT_SUCCESS;
}

static const char *from_environment(const char *name)
{
    return getenv(name);
}

/* Whether DATABASE_URL is unset or valid; reports what is wrong, or has no effect here. */
static bool check_database(const struct config *config)
{
    char error[256];
    struct buffer ignored = {0};
    if (config->database_url[0] == '\0')
        return true;
    bool valid = store_pg_check(config->database_url, &ignored, error, sizeof error);
    if (!valid)
        fprintf(stderr, "DATABASE_URL: %s\n", error);
    else if (ignored.len > 0)
        fprintf(stderr, "DATABASE_URL: parameters for Python drivers are ignored: %.*s\n",
                (int)ignored.len, ignored.data);
    buffer_release(&ignored);
    return valid;
}

static bool load(struct config *config)
{
    unsigned faults = config_load(config, from_environment, stderr);
    if (!config->core_dumps)
        confine_core_files();
    return check_database(config) && faults == 0;
}

/* libpq uses an empty variable as a value; everywhere else in the program, empty means unset. */
static void unset_empty_libpq_variables(void)
{
    for (char **at = environ; *at != NULL;) {
        const char *end = strchr(*at, '=');
        char name[64];
        if (strncmp(*at, "PG", 2) == 0 && end != NULL && end[1] == '\0' &&
            (size_t)(end - *at) < sizeof name) {
            snprintf(name, sizeof name, "%.*s", (int)(end - *at), *at);
            unsetenv(name); /* the next one moves here */
        } else {
            at++;
        }
    }
}

/* Whether LISTEN, or what stands for it, can be listened on. */
static bool check_listen(const struct config *config)
{
    char text[512];
    struct address address;
    const char *wrong = listener_check(config, &address, text, sizeof text);
    if (wrong != NULL)
        fprintf(stderr, "LISTEN: %s %s\n", text, wrong);
    return wrong == NULL;
}

/* What a service is made of. */
struct setup {
    struct config config;
    struct keyring keyring;
    struct providers providers;
    struct vault vault;
    struct app_parts parts;
};

/* Reads the files that the configuration names; reports what is wrong. */
static bool open_files(struct setup *setup)
{
    char error[PROVIDERS_ERROR_SIZE];
    setup->parts = (struct app_parts){.config = &setup->config,
                                      .backend = service_backend(&setup->config),
                                      .keyring = &setup->keyring,
                                      .providers = &setup->providers,
                                      .vault = &setup->vault};
    setup->providers = (struct providers){0};
    setup->vault = (struct vault){0};
    bool opened = keyring_open(&setup->keyring, &setup->config, error, sizeof error);
    if (opened &&
        (!providers_open(&setup->providers, &setup->config, error) ||
         !vault_open(setup->config.encryption_keys_file, &setup->vault, error, sizeof error))) {
        app_parts_close(&setup->parts);
        opened = false;
    }
    if (!opened)
        fprintf(stderr, "%s\n", error);
    return opened;
}

static int check_config(const char *argument)
{
    (void)argument;
    struct setup setup;
    bool loaded = load(&setup.config);
    if (!loaded || !check_listen(&setup.config) || !open_files(&setup))
        return EXIT_FAILURE;
    app_parts_close(&setup.parts);
    config_print(&setup.config, stdout);
    return EXIT_SUCCESS;
}

/* Whether other machines would be let in without a key, and nobody said that this is meant. */
static bool is_open_to_others(const struct config *config, struct keyring *keyring)
{
    if (config->allow_anonymous || keyring_is_closed(keyring) || !nginx_is_public(config))
        return false;
    fprintf(stderr,
            "HOST: whoever reaches %s could read all tokens: make a key with `integration-service "
            "key new NAME --scopes secrets,write`, or set ALLOW_ANONYMOUS=on\n",
            config->host);
    return true;
}

/* `option` NULL: without --with-nginx. */
static int serve(const char *option)
{
    struct setup setup;
    if (!load(&setup.config) || !open_files(&setup))
        return EXIT_FAILURE;
    int status = EXIT_FAILURE;
    if (option == NULL || !is_open_to_others(&setup.config, &setup.keyring))
        status = supervisor_run(
            &(struct supervisor_options){&setup.parts, .with_nginx = option != NULL});
    app_parts_close(&setup.parts);
    return status;
}

static int migrate(const char *argument)
{
    (void)argument;
    struct config config;
    char error[512];
    if (!load(&config))
        return EXIT_FAILURE;
    if (config.database_url[0] == '\0') {
        fputs(
            "integration-service: DATABASE_URL is not set; the embedded store needs no migration\n",
            stderr);
        return EXIT_FAILURE;
    }
    log_open(LOG_WARNING, STDERR_FILENO);
    enum store_migration migrated = service_migrate(&config, error, sizeof error);
    if (migrated == STORE_NOT_MIGRATED)
        fprintf(stderr, "integration-service: cannot migrate: %s\n", error);
    else
        puts(migrated == STORE_MIGRATED ? "the database's schema was brought up to date"
                                        : "the database's schema was up to date");
    return migrated == STORE_NOT_MIGRATED ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int complain(const char *error)
{
    fprintf(stderr, "integration-service: %s\n", error);
    return EXIT_FAILURE;
}

typedef bool transfer_in(const struct config *config, const struct store_backend *backend, FILE *in,
                         FILE *messages, char *error);

/* `path` NULL: standard input. */
static int read_in(const char *path, transfer_in *transfer)
{
    struct config config;
    char error[TRANSFER_ERROR_SIZE] = "";
    if (!load(&config))
        return EXIT_FAILURE;
    log_open(LOG_WARNING, STDERR_FILENO);
    FILE *in = path == NULL ? stdin : fopen(path, "re");
    if (in == NULL) {
        snprintf(error, sizeof error, "cannot read %s: %s", path, strerror(errno));
        return complain(error);
    }
    bool done = transfer(&config, service_backend(&config), in, stderr, error);
    if (in != stdin)
        fclose(in);
    return done ? EXIT_SUCCESS : complain(error);
}

static int import(const char *path)
{
    return read_in(path, transfer_import);
}

static int restore(const char *path)
{
    return read_in(path, transfer_restore);
}

/* `path` NULL: standard output. */
static int write_out(const char *path, bool clear)
{
    struct config config;
    char error[TRANSFER_ERROR_SIZE] = "";
    if (!load(&config))
        return EXIT_FAILURE;
    log_open(LOG_WARNING, STDERR_FILENO);
    return transfer_export(&config, service_backend(&config), clear, path, stdout, stderr, error)
               ? EXIT_SUCCESS
               : complain(error);
}

static int rekey(const char *argument)
{
    (void)argument;
    struct config config;
    char error[REKEY_ERROR_SIZE];
    if (!load(&config))
        return EXIT_FAILURE;
    log_open(LOG_WARNING, STDERR_FILENO);
    return rekey_run(&config, service_backend(&config), stdout, error) ? EXIT_SUCCESS
                                                                       : complain(error);
}

static int export(const char *path)
{
    return write_out(path, false);
}

static int export_clear(const char *path)
{
    return write_out(path, true);
}

/* `option` NULL: without --ready. */
static int probe(const char *option)
{
    struct config config;
    return load(&config) ? probe_run(&config, option != NULL) : EXIT_FAILURE;
}

static int change_keys(int argc, char **argv)
{
    struct config config;
    if (!load(&config))
        return EXIT_FAILURE;
    enum key_command_end end = key_command(&config, argc, argv);
    if (end == KEY_COMMAND_USAGE)
        fputs(key_command_usage, stderr);
    return end == KEY_COMMAND_DONE    ? EXIT_SUCCESS
           : end == KEY_COMMAND_USAGE ? EXIT_USAGE
                                      : EXIT_FAILURE;
}

static int print_version(const char *argument)
{
    (void)argument;
    puts("integration-service " PACKAGE_VERSION);
    return EXIT_SUCCESS;
}

/* The commands, and what may follow each. */
static const struct command {
    const char *word;
    const char *option;           /* a word that must follow; NULL: none */
    bool takes_argument;          /* one may follow that */
    int (*run)(const char *word); /* gets the argument or NULL, or if it takes none, the option */
} commands[] = {
    {"serve", NULL, false, serve},
    {"serve", "--with-nginx", false, serve},
    {"export", "--clear", true, export_clear},
    {"export", NULL, true, export},
    {"import", NULL, true, import},
    {"backup", "--clear", true, export_clear},
    {"backup", NULL, true, export},
    {"restore", NULL, true, restore},
    {"migrate", NULL, false, migrate},
    {"probe", NULL, false, probe},
    {"rekey", NULL, false, rekey},
    {"probe", "--ready", false, probe},
    {"check-config", NULL, false, check_config},
    {"--help", NULL, false, print_help},
    {"--version", NULL, false, print_version},
};

static bool is_meant(const struct command *command, int argc, char **argv)
{
    int words = command->option == NULL ? 2 : 3;
    return strcmp(argv[1], command->word) == 0 && argc >= words &&
           (words == 2 || strcmp(argv[2], command->option) == 0) &&
           argc <= words + command->takes_argument;
}

static const char *word_for(const struct command *command, char **argv)
{
    int words = command->option == NULL ? 2 : 3;
    return command->takes_argument ? argv[words] : command->option; /* argv ends in NULL */
}

static int serve_hosted(void)
{
    struct setup setup;
    if (!load(&setup.config) || !open_files(&setup))
        return hosted_refuse();
    int status = hosted_run(&setup.parts);
    app_parts_close(&setup.parts);
    return status;
}

int main(int argc, char **argv)
{
    unset_empty_libpq_variables();
    signal(SIGXFSZ, SIG_IGN); /* then a file's limit is an error of write(2), as a full disk is */
    /* In CGI the arguments are a client's: words of the query (RFC 3875, section 4.4). */
    if (hosted_by_cgi() || (argc == 1 && hosted_by_fastcgi()))
        return serve_hosted();
    if (argc > 1 && strcmp(argv[1], "key") == 0)
        return change_keys(argc - 2, argv + 2);
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++)
        if (is_meant(&commands[i], argc, argv))
            return commands[i].run(word_for(&commands[i], argv));
    fputs(usage, stderr);
    return EXIT_USAGE;
}
