/* SPDX-License-Identifier: MIT */
#include "store/pg/target.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "store/pg/parameters.h"
#include "store/pg/resolve.h"
#include "store/pg/url.h"

enum { PARAMETERS_MAX = 64 };

/* Connection parameters that apply unless the URL sets them. Without the keepalives libpq notices
 * that a peer is gone only after TCP's own, much longer timeouts. */
static const struct {
    const char *name;
    const char *value;
} defaults[] = {
    {"application_name", "integration-service"},
    {"client_encoding", "UTF8"},
    {"gssencmode", "disable"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},
    {"target_session_attrs", "read-write"},
};

static const char *option(const struct pg_target *target, const char *name)
{
    for (const PQconninfoOption *at = target->options; at->keyword != NULL; at++)
        if (strcmp(at->keyword, name) == 0)
            return at->val;
    return NULL;
}

/* Returns a host's part of a comma-separated list, or the whole if there is only one. NULL if there
 * is none. */
static char *part_of(const char *list, size_t place)
{
    struct str rest = str_from(list);
    struct str part;
    if (list == NULL)
        return NULL;
    if (strchr(list, ',') == NULL)
        return strdup(list);
    for (size_t i = 0; str_split(&rest, ',', &part); i++)
        if (i == place)
            return strndup(part.data, part.len);
    return NULL;
}

static size_t count_parts(const char *list)
{
    size_t count = 1;
    for (; list != NULL && *list != '\0'; list++)
        count += *list == ',';
    return count;
}

static bool find_hosts(struct pg_target *target)
{
    const char *names = option(target, "host");
    const char *addresses = option(target, "hostaddr");
    target->hosts_len = count_parts(addresses != NULL ? addresses : names);
    if (target->hosts_len > PG_HOSTS_MAX)
        return false;
    for (size_t i = 0; i < target->hosts_len; i++)
        target->hosts[i] = (struct pg_host){part_of(names, i), part_of(addresses, i),
                                            part_of(option(target, "port"), i)};
    return true;
}

/* Whether hosts, ports and database name look valid. If special characters in a password are not
 * percent-encoded, parts of it end up there, and would then appear in messages. */
static bool is_plausible(const struct pg_target *target)
{
    const char *port = option(target, "port");
    const char *names[] = {option(target, "host"), option(target, "hostaddr"),
                           option(target, "dbname")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i] != NULL && names[i][0] != '/' && strpbrk(names[i], "@?#") != NULL)
            return false;
    return port == NULL || port[strspn(port, "0123456789,")] == '\0';
}

static bool open_target(struct pg_target *target, const char *uri, char *error, size_t error_size)
{
    target->options = PQconninfoParse(uri, NULL); /* its error message would quote the URL */
    if (target->options == NULL || !is_plausible(target)) {
        snprintf(error, error_size,
                 "it is not a URL that PostgreSQL can read: percent-encode special characters in "
                 "the user's name and the password");
        return false;
    }
    if (!pg_parameters_check(target->options, error, error_size))
        return false;
    if (find_hosts(target))
        return true;
    snprintf(error, error_size, "it names more than 16 hosts");
    return false;
}

bool pg_target_open(struct pg_target *target, const char *url, char *error, size_t error_size)
{
    struct buffer uri = {0};
    struct buffer ignored = {0};
    *target = (struct pg_target){0};
    bool opened = pg_url_rewrite(str_from(url), &uri, &ignored, error, error_size) &&
                  open_target(target, uri.data, error, error_size);
    if (!opened)
        pg_target_close(target);
    if (uri.data != NULL)
        explicit_bzero(uri.data, uri.len);
    buffer_release(&uri);
    buffer_release(&ignored);
    return opened;
}

void pg_target_close(struct pg_target *target)
{
    for (size_t i = 0; i < target->hosts_len && i < PG_HOSTS_MAX; i++) {
        free(target->hosts[i].name);
        free(target->hosts[i].address);
        free(target->hosts[i].port);
    }
    PQconninfoFree(target->options);
}

/* ---- connecting ---- */

/* Parameter arrays for PQconnectStartParams(3). */
struct parameters {
    const char *names[PARAMETERS_MAX];
    const char *values[PARAMETERS_MAX];
    size_t len;
};

static void add(struct parameters *parameters, const char *name, const char *value)
{
    if (value == NULL || parameters->len + 1 >= PARAMETERS_MAX)
        return;
    parameters->names[parameters->len] = name;
    parameters->values[parameters->len++] = value;
}

/* Whether libpq would have to look the host up: it is no path, no address, and there is one. */
static bool is_name(const struct pg_host *host)
{
    return host->address == NULL && host->name != NULL && host->name[0] != '\0' &&
           host->name[0] != '/' && host->name[0] != '@';
}

/* Appends the name once for each of its addresses, as libpq wants it. */
static void append_names(struct buffer *names, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (i > 0)
            buffer_append_char(names, ',');
        buffer_append_str(names, str_from(name));
    }
    buffer_append_char(names, '\0');
}

/* Begins to connect. Returns NULL with a reason if the host is not found in time, or memory is
 * lacking. */
static PGconn *start(const struct pg_target *target, const struct pg_host *host,
                     uint64_t deadline_ns, char *reason, size_t reason_size)
{
    struct parameters parameters = {.len = 0};
    struct buffer names = {0};
    struct buffer addresses = {0};
    size_t len;
    PGconn *connection = NULL;
    if (!is_name(host)) {
        add(&parameters, "host", host->name);
        add(&parameters, "hostaddr", host->address);
    } else if (pg_resolve(host->name, deadline_ns, &addresses, &len, reason, reason_size)) {
        append_names(&names, host->name, len);
        add(&parameters, "host", names.data);
        add(&parameters, "hostaddr", addresses.data);
    } else {
        buffer_release(&addresses);
        return NULL;
    }
    add(&parameters, "port", host->port);
    for (const PQconninfoOption *at = target->options; at->keyword != NULL; at++)
        if (strcmp(at->keyword, "host") != 0 && strcmp(at->keyword, "hostaddr") != 0 &&
            strcmp(at->keyword, "port") != 0)
            add(&parameters, at->keyword, at->val);
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (option(target, defaults[i].name) == NULL)
            add(&parameters, defaults[i].name, defaults[i].value);
    if (!names.failed)
        connection = PQconnectStartParams(parameters.names, parameters.values, 0);
    if (connection == NULL)
        snprintf(reason, reason_size, "no memory for a connection");
    buffer_release(&names);
    buffer_release(&addresses);
    return connection;
}

/* Continues until the connection is established or has failed (see PQstatus); returns false if the
 * deadline passes first. */
static bool wait_connected(PGconn *connection, uint64_t deadline_ns)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING; /* as the libpq manual requires */
    while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        struct pollfd polled = {PQsocket(connection),
                                next == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};
        int left_ms = clock_ms_until(deadline_ns);
        if (left_ms == 0)
            return false;
        if (poll(&polled, 1, left_ms) > 0)
            next = PQconnectPoll(connection);
    }
    return true;
}

/* Stores libpq's message as a single line, without the password. */
static void tell_reason(const struct pg_target *target, const char *message, char *reason,
                        size_t size)
{
    const char *password = option(target, "password");
    snprintf(reason, size, "%s", message);
    for (char *c = reason; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    size_t len = strlen(reason);
    while (len > 0 && reason[len - 1] == ' ')
        reason[--len] = '\0';
    if (password != NULL && password[0] != '\0' && strstr(reason, password) != NULL)
        snprintf(reason, size, "the database refused the connection");
}

/* Discards server notices, which libpq would print; they are in the server's own log. */
static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* Connects to one host; returns NULL with a reason on failure. */
static PGconn *connect_to(const struct pg_target *target, size_t index, uint64_t deadline_ns,
                          char *reason, size_t reason_size)
{
    PGconn *connection = start(target, &target->hosts[index], deadline_ns, reason, reason_size);
    if (connection == NULL)
        return NULL;
    PQsetNoticeProcessor(connection, ignore_notice, NULL);
    bool in_time =
        PQstatus(connection) == CONNECTION_BAD || wait_connected(connection, deadline_ns);
    if (in_time && PQstatus(connection) == CONNECTION_OK && PQsetnonblocking(connection, 1) == 0)
        return connection;
    tell_reason(target, in_time ? PQerrorMessage(connection) : "the database does not answer",
                reason, reason_size);
    PQfinish(connection);
    return NULL;
}

/* Returns the deadline for one host: its share of the remaining time. */
static uint64_t share_of(const struct pg_target *target, size_t hosts_left, uint64_t deadline_ns)
{
    const char *seconds = option(target, "connect_timeout");
    uint64_t now_ns = clock_steady_ns();
    uint64_t left_ns = deadline_ns > now_ns ? (deadline_ns - now_ns) / hosts_left : 0;
    uint64_t asked_s = 0;
    if (seconds != NULL && str_to_u64(str_from(seconds), &asked_s) && asked_s > 0 &&
        asked_s < left_ns / NS_PER_MS / 1000)
        left_ns = asked_s * 1000 * NS_PER_MS;
    return now_ns + left_ns;
}

PGconn *pg_target_connect(struct pg_target *target, uint64_t deadline_ns, char *reason,
                          size_t reason_size)
{
    size_t first = atomic_load(&target->last_good);
    for (size_t i = 0; i < target->hosts_len; i++) {
        size_t index = (first + i) % target->hosts_len;
        PGconn *connection =
            connect_to(target, index, share_of(target, target->hosts_len - i, deadline_ns), reason,
                       reason_size);
        if (connection != NULL) {
            atomic_store(&target->last_good, index);
            return connection;
        }
    }
    return NULL;
}
