/* SPDX-License-Identifier: MIT */
#include "store/pg/url.h"

#include <libpq-fe.h>
#include <stdio.h>

#include "base/base.h"
#include "store/store.h"

/* Parameters that only Python drivers and pools understand, and one that would change what bytes
 * mean: the service speaks UTF-8. */
static const char *const foreign[] = {
    "async_fallback",
    "charset",
    "client_encoding",
    "command_timeout",
    "direct_tls",
    "json_serializer",
    "max_cached_statement_lifetime",
    "max_cacheable_statement_size",
    "max_overflow",
    "pool_pre_ping",
    "pool_recycle",
    "pool_size",
    "pool_timeout",
    "pool_use_lifo",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "server_settings",
    "statement_cache_size",
};

static const struct {
    const char *ssl;
    const char *sslmode;
} ssl_values[] = {
    {"true", "require"},        {"1", "require"},
    {"on", "require"},          {"yes", "require"},
    {"require", "require"},     {"false", "disable"},
    {"0", "disable"},           {"off", "disable"},
    {"no", "disable"},          {"disable", "disable"},
    {"allow", "allow"},         {"prefer", "prefer"},
    {"verify-ca", "verify-ca"}, {"verify-full", "verify-full"},
};

/* A URL being rewritten. */
struct rewriting {
    struct buffer *uri;
    struct buffer *ignored;
    struct buffer hosts; /* of ?host=, each with its port if it has one */
    struct buffer ports;
    size_t hosts_len;
    bool has_ports;
    bool has_at; /* the query holds an "@" */
    bool has_ssl;
    bool has_sslmode;
    char *error;
    size_t error_size;
};

static bool refuse(struct rewriting *to, const char *reason)
{
    snprintf(to->error, to->error_size, "%s", reason);
    return false;
}

/* A plausible parameter name may be quoted in the message; anything else might be part of a
 * password. */
static bool refuse_name(struct rewriting *to, struct str name)
{
    if (to->has_at) /* an "@" that is not encoded: all before it may be the password */
        return refuse(to, "an @ follows the question mark: percent-encode special characters in "
                          "the user's name and the password");
    for (size_t i = 0; i < name.len; i++)
        if (name.len > 40 || strchr("abcdefghijklmnopqrstuvwxyz_", name.data[i]) == NULL)
            return refuse(to, "PostgreSQL does not have one of its connection parameters");
    snprintf(to->error, to->error_size, "PostgreSQL has no connection parameter \"%.*s\"",
             (int)name.len, name.data);
    return false;
}

/* In a query, as SQLAlchemy reads it, "+" is a space; libpq takes it as it is, and refuses a second
 * "=". A password is more often libpq's. */
static void append_value(struct rewriting *to, struct str name, struct str value)
{
    bool plus_is_space = !str_equal(name, STR("password"));
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] == '=')
            buffer_append_str(to->uri, STR("%3D"));
        else if (value.data[i] == '+' && plus_is_space)
            buffer_append_str(to->uri, STR("%20"));
        else
            buffer_append_char(to->uri, value.data[i]);
}

static void add_parameter(struct rewriting *to, struct str name, struct str value)
{
    bool first = memchr(to->uri->data, '?', to->uri->len) == NULL;
    buffer_append_char(to->uri, first ? '?' : '&');
    buffer_append_str(to->uri, name);
    buffer_append_char(to->uri, '=');
    append_value(to, name, value);
}

static bool add_ssl(struct rewriting *to, struct str value)
{
    for (size_t i = 0; i < ARRAY_LEN(ssl_values); i++)
        if (str_equal_ignore_case(value, str_from(ssl_values[i].ssl))) {
            add_parameter(to, STR("sslmode"), str_from(ssl_values[i].sslmode));
            return true;
        }
    return refuse(to, "ssl= is none of true, false, disable, allow, prefer, require, verify-ca, "
                      "verify-full");
}

/* Where the port of a host begins, or NULL. An IPv6 address has more than one colon. */
static const char *find_port(struct str host)
{
    const char *colon = host.len == 0 ? NULL : memchr(host.data, ':', host.len);
    const char *end = host.data + host.len;
    if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon - 1)) != NULL)
        return NULL;
    return colon;
}

/* host=NAME or host=NAME:PORT; a path (directory of a unix socket) has no port. */
static void add_host(struct rewriting *to, struct str value)
{
    struct str port = {NULL, 0};
    bool is_path = str_has_prefix(value, STR("/")) || str_has_prefix(value, STR("%2F")) ||
                   str_has_prefix(value, STR("%2f"));
    bool is_list = memchr(value.data, ',', value.len) != NULL; /* libpq's own syntax */
    const char *colon = is_path || is_list ? NULL : find_port(value);
    if (colon != NULL) {
        size_t len = (size_t)(colon - value.data);
        port = (struct str){colon + 1, value.len - len - 1};
        value.len = len;
        to->has_ports = true;
    }
    if (to->hosts_len++ > 0) {
        buffer_append_char(&to->hosts, ',');
        buffer_append_char(&to->ports, ',');
    }
    buffer_append_str(&to->hosts, value);
    buffer_append_str(&to->ports, port);
}

static void ignore(struct rewriting *to, struct str name)
{
    if (to->ignored->len > 0)
        buffer_append(to->ignored, ", ", 2);
    buffer_append_str(to->ignored, name);
}

static bool is_foreign(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        if (str_equal(name, str_from(foreign[i])))
            return true;
    return false;
}

static bool libpq_knows(struct str name)
{
    PQconninfoOption *options = PQconndefaults();
    bool known = false;
    for (size_t i = 0; options != NULL && options[i].keyword != NULL; i++)
        known |= str_equal(name, str_from(options[i].keyword));
    PQconninfoFree(options);
    return known;
}

/* Whether a parameter asks asyncpg, or SQLAlchemy's use of it, not to keep prepared statements. */
static bool asks_for_none_prepared(struct str parameter)
{
    return str_equal(parameter, STR("prepared_statement_cache_size=0")) ||
           str_equal(parameter, STR("statement_cache_size=0"));
}

static bool take_parameter(struct rewriting *to, struct str parameter)
{
    struct str value = parameter;
    struct str name;
    if (!str_split(&value, '=', &name) || name.len == 0)
        return true;
    if (value.data == NULL) /* a name without "=" */
        value = STR("");
    to->has_ssl |= str_equal(name, STR("ssl"));
    to->has_sslmode |= str_equal(name, STR("sslmode"));
    if (str_equal(name, STR("ssl")))
        return add_ssl(to, value);
    if (str_equal(name, STR("host")))
        add_host(to, value);
    else if (str_equal(name, STR("timeout")))
        add_parameter(to, STR("connect_timeout"), value);
    else if (asks_for_none_prepared(parameter))
        return true; /* see store_pg_prepares */
    else if (is_foreign(name))
        ignore(to, name);
    else if (libpq_knows(name))
        add_parameter(to, name, value);
    else
        return refuse_name(to, name);
    return true;
}

static bool take_query(struct rewriting *to, struct str query)
{
    struct str parameter;
    while (str_split(&query, '&', &parameter))
        if (!take_parameter(to, parameter))
            return false;
    if (to->has_ssl && to->has_sslmode)
        return refuse(to, "ssl and sslmode say the same: leave one out");
    if (to->hosts_len > 0)
        add_parameter(to, STR("host"), buffer_str(&to->hosts));
    if (to->has_ports)
        add_parameter(to, STR("port"), buffer_str(&to->ports));
    buffer_append_char(to->uri, '\0');
    return true;
}

/* Removes "postgresql://", in any of its spellings, from the start of *url. */
static bool take_scheme(struct str *url)
{
    static const struct str schemes[] = {STR_INIT("postgresql"), STR_INIT("postgres")};
    struct str rest = *url;
    struct str scheme;
    struct str base;
    if (!str_split(&rest, ':', &scheme) || !str_has_prefix(rest, STR("//")))
        return false;
    struct str driver = scheme;
    if (!str_split(&driver, '+', &base))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_equal_ignore_case(base, schemes[i])) {
            *url = rest;
            return true;
        }
    return false;
}

/* Splits *url into *authority and the query. A '?' in the password does not start a query, because
 * libpq looks for the '@' that ends the credentials first. */
static void split_query(struct str *url, struct str *authority)
{
    size_t start = strlen("//");
    size_t at = start;
    while (at < url->len && url->data[at] != '@' && url->data[at] != '/')
        at++;
    if (at == url->len || url->data[at] != '@')
        at = start;
    const char *query = memchr(url->data + at, '?', url->len - at);
    size_t len = query == NULL ? url->len : (size_t)(query - url->data);
    *authority = (struct str){url->data, len};
    *url = query == NULL ? (struct str){NULL, 0} : (struct str){query + 1, url->len - len - 1};
}

bool store_pg_prepares(const char *url)
{
    struct str query = str_from(url);
    struct str authority;
    struct str parameter;
    if (!take_scheme(&query))
        return true;
    split_query(&query, &authority);
    while (str_split(&query, '&', &parameter))
        if (asks_for_none_prepared(parameter))
            return false;
    return true;
}

bool pg_url_rewrite(struct str url, struct buffer *uri, struct buffer *ignored, char *error,
                    size_t error_size)
{
    struct rewriting to = {.uri = uri, .ignored = ignored, .error_size = error_size};
    struct str authority;
    to.error = error;
    if (!take_scheme(&url))
        return refuse(&to, "it must begin with postgresql:// or postgres://");
    split_query(&url, &authority);
    to.has_at = url.len > 0 && memchr(url.data, '@', url.len) != NULL;
    buffer_append_str(uri, STR("postgresql:"));
    buffer_append_str(uri, authority);
    bool taken = take_query(&to, url);
    buffer_release(&to.hosts);
    buffer_release(&to.ports);
    if (taken && (uri->failed || ignored->failed))
        return refuse(&to, "no memory");
    return taken;
}
