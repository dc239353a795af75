/* SPDX-License-Identifier: MIT */
#include "store/pg/parameters.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

/* Why a value is wrong; NULL: it is right. */
typedef const char *check(const char *value);

static const char *is_number(const char *value)
{
    uint64_t number;
    struct str text = str_from(value);
    if (str_has_prefix(text, STR("-"))) /* libpq takes it for the system's own */
        text = (struct str){text.data + 1, text.len - 1};
    return str_to_u64(text, &number) && number <= INT32_MAX ? NULL : "must be a whole number";
}

static const char *is_file(const char *value)
{
    bool is_word = strcmp(value, "system") == 0; /* sslrootcert, since PostgreSQL 16 */
    return is_word || access(value, R_OK) == 0 ? NULL : "names a file that cannot be read";
}

static const char *is_ports(const char *value)
{
    struct str rest = str_from(value);
    struct str port;
    while (str_split(&rest, ',', &port)) {
        uint64_t number = 0;
        if (port.len > 0 && (!str_to_u64(port, &number) || number < 1 || number > UINT16_MAX))
            return "must be numbers from 1 to 65535";
    }
    return NULL;
}

static const char *is_addresses(const char *value)
{
    struct str rest = str_from(value);
    struct str address;
    while (str_split(&rest, ',', &address)) {
        char text[64];
        struct in6_addr parsed;
        snprintf(text, sizeof text, "%.*s", (int)address.len, address.data);
        if (inet_pton(AF_INET, text, &parsed) != 1 && inet_pton(AF_INET6, text, &parsed) != 1)
            return "must be addresses in numbers";
    }
    return NULL;
}

static const char *is_options(const char *value)
{
    return value[strspn(value, " ")] == '-' ? NULL : "must be options of the server: -c name=value";
}

static const char *is_refused(const char *value)
{
    (void)value;
    return "is for programs that replicate the server itself";
}

/* What a parameter may be: one of the words, or what the check lets through. */
static const struct rule {
    const char *name;
    const char *words; /* with blanks between; NULL: any */
    check *check;      /* NULL: none */
} rules[] = {
    {"sslmode", "disable allow prefer require verify-ca verify-full", NULL},
    {"sslnegotiation", "postgres direct", NULL},
    {"channel_binding", "disable prefer require", NULL},
    {"gssencmode", "disable prefer require", NULL},
    {"target_session_attrs", "any read-write primary", NULL}, /* one that takes changes */
    {"ssl_min_protocol_version", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", NULL},
    {"ssl_max_protocol_version", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", NULL},
    {"sslcompression", "0 1", NULL},
    {"sslsni", "0 1", NULL},
    {"keepalives", "0 1", NULL},
    {"load_balance_hosts", "disable random", NULL},
    {"connect_timeout", NULL, is_number},
    {"keepalives_idle", NULL, is_number},
    {"keepalives_interval", NULL, is_number},
    {"keepalives_count", NULL, is_number},
    {"tcp_user_timeout", NULL, is_number},
    {"port", NULL, is_ports},
    {"hostaddr", NULL, is_addresses},
    {"sslrootcert", NULL, is_file},
    {"sslcert", NULL, is_file},
    {"sslkey", NULL, is_file},
    {"options", NULL, is_options},
    {"replication", NULL, is_refused},
};

static bool is_one_of(const char *words, const char *value)
{
    struct str rest = str_from(words);
    struct str word;
    while (str_split(&rest, ' ', &word))
        if (str_equal(word, str_from(value)))
            return true;
    return false;
}

static bool check_one(const PQconninfoOption *option, char *error, size_t error_size)
{
    if (option->val == NULL || option->val[0] == '\0')
        return true;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *rule = &rules[i];
        if (strcmp(rule->name, option->keyword) != 0)
            continue;
        const char *wrong = rule->check == NULL ? NULL : rule->check(option->val);
        if (wrong != NULL)
            snprintf(error, error_size, "%s %s", rule->name, wrong);
        else if (rule->words != NULL && !is_one_of(rule->words, option->val))
            snprintf(error, error_size, "%s must be one of: %s", rule->name, rule->words);
        else
            continue;
        return false;
    }
    return true;
}

static size_t count(const PQconninfoOption *options, const char *name)
{
    for (; options->keyword != NULL; options++) {
        if (strcmp(options->keyword, name) != 0 || options->val == NULL || options->val[0] == '\0')
            continue;
        size_t parts = 1;
        for (const char *c = options->val; *c != '\0'; c++)
            parts += *c == ',';
        return parts;
    }
    return 0;
}

bool pg_parameters_check(const PQconninfoOption *options, char *error, size_t error_size)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (!check_one(option, error, error_size))
            return false;
    size_t hosts = count(options, "host");
    size_t addresses = count(options, "hostaddr");
    size_t ports = count(options, "port");
    if (hosts > 0 && addresses > 0 && hosts != addresses) {
        snprintf(error, error_size, "there must be as many addresses (hostaddr) as hosts");
        return false;
    }
    if (addresses > 0)
        hosts = addresses;
    if (ports > 1 && ports != hosts) {
        snprintf(error, error_size, "there must be one port, or as many as hosts");
        return false;
    }
    return true;
}
