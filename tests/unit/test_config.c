/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/config.h"

static const char *name;
static const char *value;

static const char *look_up(const char *wanted)
{
    return name != NULL && strcmp(wanted, name) == 0 ? value : NULL;
}

/* Loads a configuration with one variable set; what was said goes to *errors, to be freed. */
static unsigned load(struct config *config, const char *variable, const char *text, char **errors)
{
    size_t size;
    FILE *out = open_memstream(errors, &size);
    name = variable;
    value = text;
    unsigned faults = config_load(config, look_up, out);
    fclose(out);
    return faults;
}

Test(config, has_defaults)
{
    struct config config;
    char *errors;
    cr_assert(load(&config, NULL, NULL, &errors) == 0, "%s", errors);
    cr_expect_str_eq(config.app_name, "integration-service");
    cr_expect_str_eq(config.host, "127.0.0.1");
    cr_expect(config.port == 8000 && config.workers == 0 && config.threads == 4);
    cr_expect(config.max_body_bytes == 1048576 && config.store_max_bytes == (uint64_t)1 << 36);
    cr_expect(config.drain_timeout_ms == 20000 && config.socket_mode == 0660);
    cr_expect(!config.seed_defaults && config.log_level == 1);
    free(errors);
}

Test(config, reads_values)
{
    static const struct {
        const char *name;
        const char *value;
        size_t offset;
        uint64_t expected;
    } rows[] = {
        {"PORT", "65535", offsetof(struct config, port), 65535},
        {"PORT", "", offsetof(struct config, port), 8000},
        {"LOG_LEVEL", "WARNING", offsetof(struct config, log_level), 2},
        {"SEED_DEFAULTS", "On", offsetof(struct config, seed_defaults), 1},
        {"DRAIN_TIMEOUT", "0", offsetof(struct config, drain_timeout_ms), 0},
        {"DRAIN_TIMEOUT", "1.5", offsetof(struct config, drain_timeout_ms), 1500},
        {"DRAIN_TIMEOUT", "0.025", offsetof(struct config, drain_timeout_ms), 25},
        {"MAX_BODY_BYTES", "2048", offsetof(struct config, max_body_bytes), 2048},
        {"MAX_BODY_BYTES", "64m", offsetof(struct config, max_body_bytes), 64 << 20},
        {"STORE_MAX_BYTES", "1T", offsetof(struct config, store_max_bytes), (uint64_t)1 << 40},
        {"SOCKET_MODE", "0600", offsetof(struct config, socket_mode), 0600},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        char *errors;
        cr_expect(load(&config, rows[i].name, rows[i].value, &errors) == 0, "%s", errors);
        uint64_t got;
        memcpy(&got, (char *)&config + rows[i].offset, sizeof got);
        cr_expect(got == rows[i].expected, "%s=%s: %llu", rows[i].name, rows[i].value,
                  (unsigned long long)got);
        free(errors);
    }
}

Test(config, refuses_and_names_the_variable)
{
    static const struct {
        const char *name;
        const char *value;
    } rows[] = {
        {"PORT", "0"},
        {"PORT", "65536"},
        {"PORT", "80a"},
        {"PORT", "-1"},
        {"PORT", " 80"},
        {"PORT", "99999999999999999999"},
        {"LOG_LEVEL", "loud"},
        {"SEED_DEFAULTS", "1"},
        {"WORKERS", "65"},
        {"THREADS", "0"},
        {"DRAIN_TIMEOUT", "x"},
        {"DRAIN_TIMEOUT", "1.2345"},
        {"DRAIN_TIMEOUT", "-1"},
        {"DRAIN_TIMEOUT", "1."},
        {"DRAIN_TIMEOUT", "18446744073709551615"},
        {"MAX_BODY_BYTES", "1"},
        {"MAX_BODY_BYTES", "1G"},
        {"MAX_BODY_BYTES", "M"},
        {"STORE_MAX_BYTES", "18446744073709551615T"},
        {"SOCKET_MODE", "0888"},
        {"SOCKET_MODE", "1777"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        char *errors;
        cr_expect(load(&config, rows[i].name, rows[i].value, &errors) == 1, "%s=%s", rows[i].name,
                  rows[i].value);
        cr_expect(strncmp(errors, rows[i].name, strlen(rows[i].name)) == 0, "%s", errors);
        cr_expect(strstr(errors, rows[i].value) != NULL, "%s", errors);
        cr_expect(strchr(errors, '\n') == errors + strlen(errors) - 1, "one line: %s", errors);
        free(errors);
    }
}

/* More than a host name or a path may have. */
#define TEN "aaaaaaaaaa"
#define FIFTY TEN TEN TEN TEN TEN
#define LONG FIFTY FIFTY FIFTY FIFTY FIFTY "aaaa"

/* A text that would fail later, or be read as another, stops the start; what is wrong with it is
 * said without repeating it. */
Test(config, refuses_texts_that_would_fail_later)
{
    static const struct {
        const char *name;
        const char *value;
    } rows[] = {
        {"DATABASE_URL", "postgresql://u:hunter2@h/d\n"},
        {"DATABASE_URL", "postgresql://u:hunter2@h/d\r\n"},
        {"APP_NAME", "a\tb"},
        {"APP_NAME", "\xFF"},
        {"STATE_DIR", "/var/lib/$host"},
        {"STATE_DIR", "/var/lib/x\n"},
        {"WWW_DIR", "/srv/\"www\""},
        {"WWW_DIR", "/srv\\www"},
        {"LISTEN", "unix:/run/x\n"},
        {"ROOT_PATH", "api"},
        {"ROOT_PATH", "http://h/api"},
        {"ROOT_PATH", "/a b"},
        {"ROOT_PATH", "/a?b"},
        {"ROOT_PATH", "/a#b"},
        {"ROOT_PATH", "/%61"},
        {"ROOT_PATH", "/a//b"},
        {"ROOT_PATH", "/a/../b"},
        {"ROOT_PATH", "/a\"b"},
        {"ROOT_PATH", "/a;b{"},
        {"ROOT_PATH", "/integrations"},
        {"ROOT_PATH", "/a/integrations/"},
        {"HOST", "a b"},
        {"HOST", "http://h"},
        {"HOST", "[::1]"},
        {"CORS_ALLOW_ORIGINS", "https://a.example/"},
        {"CORS_ALLOW_ORIGINS", "https://a.example/app"},
        {"CORS_ALLOW_ORIGINS", "https://a.example,"},
        {"CORS_ALLOW_ORIGINS", "https://A.example"},
        {"CORS_ALLOW_ORIGINS", "a.example"},
        {"CORS_ALLOW_ORIGINS", "https://*.example"},
        {"CORS_ALLOW_ORIGINS", "https://a.example https://b.example"},
        {"CORS_ALLOW_ORIGINS", "null"},
        {"ALLOWED_HOSTS", "http://a.example"},
        {"ALLOWED_HOSTS", "a.example:8000"},
        {"ALLOWED_HOSTS", "a.example;b"},
        {"ALLOWED_HOSTS", "*"},
        {"ALLOWED_HOSTS", "a.*.example"},
        {"ALLOWED_HOSTS", ".example"},
        {"ALLOWED_HOSTS", "a,,b"},
        {"ALLOWED_HOSTS", "a..example"},
        {"ALLOWED_HOSTS", "chat.example, default"},
        {"ALLOWED_HOSTS", "include"},
        {"ALLOWED_HOSTS", LONG},
        {"ROOT_PATH", "/" LONG},
        {"CORS_ALLOW_ORIGINS", "https://a.example:443"},
        {"CORS_ALLOW_ORIGINS", "http://a.example:80"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        char *errors;
        cr_expect(load(&config, rows[i].name, rows[i].value, &errors) == 1, "%s=%s", rows[i].name,
                  rows[i].value);
        cr_expect(strncmp(errors, rows[i].name, strlen(rows[i].name)) == 0, "%s", errors);
        cr_expect(strchr(errors, '\n') == errors + strlen(errors) - 1, "one line: %s", errors);
        cr_expect(strstr(errors, "hunter2") == NULL, "%s", errors);
        free(errors);
    }
}

Test(config, takes_texts_that_are_fit)
{
    static const struct {
        const char *name;
        const char *value;
    } rows[] = {
        {"APP_NAME", "Chat \xC3\xBC \"1\""},
        {"ROOT_PATH", "/"},
        {"ROOT_PATH", "/~user/api-1.0/"},
        {"ROOT_PATH", "/integrations/api"},
        {"HOST", "::1"},
        {"HOST", "chat.example"},
        {"CORS_ALLOW_ORIGINS", "*"},
        {"CORS_ALLOW_ORIGINS", "https://a.example, http://localhost:3000,http://[::1]:8080"},
        {"CORS_ALLOW_ORIGINS", "chrome-extension://abcdef"},
        {"CORS_ALLOW_ORIGINS", "http://a.example:443,https://a.example:80"},
        {"ALLOWED_HOSTS", "chat.example, *.intern.example,my_host"},
        {"WWW_DIR", "/srv/with blanks/www"},
        {"LISTEN", "unix:/run/with blanks/socket"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        char *errors;
        cr_expect(load(&config, rows[i].name, rows[i].value, &errors) == 0, "%s", errors);
        free(errors);
    }
}

Test(config, never_shows_a_secret)
{
    struct config config;
    char *text;
    size_t size;
    cr_expect(load(&config, "DATABASE_URL", "postgresql://u:hunter2@h/d", &text) == 0);
    cr_expect_str_eq(text, "");
    free(text);
    FILE *out = open_memstream(&text, &size);
    config_print(&config, out);
    fclose(out);
    cr_expect(strstr(text, "hunter2") == NULL && strstr(text, "DATABASE_URL=***\n") != NULL);
    cr_expect(strstr(text, "DRAIN_TIMEOUT=20\n") != NULL && strstr(text, "SOCKET_MODE=0660\n"));
    free(text);
}

Test(config, wants_connections_enough)
{
    struct config config;
    char *text;
    cr_expect(load(&config, "DB_POOL_SIZE", "1", &text) == 0, "%s", text);
    free(text);
    cr_expect(load(&config, "DB_MAX_OVERFLOW", "1000", &text) == 0, "%s", text);
    free(text);
    cr_expect(load(&config, "DB_POOL_SIZE", "1000", &text) == 0, "%s", text);
    free(text);
    cr_expect(load(&config, "DB_POOL_SIZE", "1001", &text) == 1, "%s", text);
    free(text);
    config = (struct config){.workers = 3};
    cr_expect(config_workers(&config) == 3);
    config.workers = 0;
    cr_expect(config_workers(&config) >= 1);
}

Test(config, finds_the_address)
{
    struct config config = {.listen = "", .state_dir = "/s"};
    char address[64];
    cr_expect(config_listen_address(&config, address, sizeof address));
    cr_expect_str_eq(address, "unix:/s/integration-service.sock");
    config.listen = "127.0.0.1:9000";
    cr_expect(config_listen_address(&config, address, sizeof address));
    cr_expect_str_eq(address, "127.0.0.1:9000");
    cr_expect(!config_listen_address(&config, address, 5));
}
