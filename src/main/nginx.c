/* SPDX-License-Identifier: MIT */
#include "main/nginx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/directory.h"
#include "main/nginx_templates.h"

enum {
    SOCKET_PATH_MAX = 107, /* unix(7) */
    PORT_WAIT_MS = 2000,
    IDLE_MS = 5000 /* how long nginx keeps an idle connection to a worker, at most */
};

static bool fail(char *error, size_t error_size, const char *what, const char *reason)
{
    snprintf(error, error_size, "%s: %s", what, reason);
    return false;
}

static bool is_ipv6(const struct config *config)
{
    return strchr(config->host, ':') != NULL;
}

/* HOST:PORT, with an IPv6 address in brackets. */
static void host_and_port(const struct config *config, char *text, size_t size)
{
    snprintf(text, size, is_ipv6(config) ? "[%s]:%" PRIu64 : "%s:%" PRIu64, config->host,
             config->port);
}

void nginx_url(const struct config *config, char *url, size_t size)
{
    char place[300];
    host_and_port(config, place, sizeof place);
    snprintf(url, size, "http://%s", place);
}

/* ---- the templates ---- */

/* A name between two @, and what it stands for. */
struct substitution {
    const char *name;
    const char *value;
};

/* Appends a value as nginx reads it within double quotes. */
static void append_quoted(struct buffer *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            buffer_append_char(out, '\\');
        buffer_append_char(out, *value);
    }
}

static void render(struct buffer *out, const char *template,
                   const struct substitution *substitutions, size_t len)
{
    const char *mark;
    while ((mark = strchr(template, '@')) != NULL) {
        size_t i = 0;
        while (i < len && strncmp(mark, substitutions[i].name, strlen(substitutions[i].name)) != 0)
            i++;
        size_t taken = i < len ? strlen(substitutions[i].name) : 1;
        buffer_append(out, template, (size_t)(mark - template));
        if (i < len)
            append_quoted(out, substitutions[i].value);
        else
            buffer_append_char(out, '@');
        template = mark + taken;
    }
    buffer_append_str(out, str_from(template));
}

static bool write_file(const char *directory, const char *name, const struct buffer *content,
                       char *error, size_t error_size)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = content->failed ? NULL : fopen(path, "we");
    bool written = file != NULL && fwrite(content->data, 1, content->len, file) == content->len;
    if (file != NULL && fclose(file) != 0)
        written = false;
    return written || fail(error, error_size, path, strerror(errno));
}

/* Whether a row of the map has the name already: nginx takes none twice. */
static bool has_host(const struct buffer *rows, struct str name)
{
    struct str rest = buffer_str(rows);
    struct str row;
    while (str_split(&rest, ';', &row))
        if (str_equal_ignore_case(str_trim(row), name))
            return true;
    return str_equal_ignore_case(name, STR("localhost"));
}

/* Appends the names of a list, which have been checked, with a semicolon after each. */
static void append_hosts(struct buffer *names, const char *list)
{
    struct str rest = str_from(list);
    struct str name;
    while (str_split(&rest, ',', &name)) {
        name = str_trim(name);
        if (has_host(names, name))
            continue;
        buffer_append_str(names, name);
        buffer_append_char(names, ';');
    }
}

static bool is_address(const char *host)
{
    return host[strspn(host, "0123456789.")] == '\0' || strchr(host, ':') != NULL;
}

/* Appends rows of nginx's map for the names that the service may be asked for. */
static void append_allowed_hosts(struct buffer *out, const struct config *config)
{
    struct buffer names = {0};
    struct str name;
    if (!is_address(config->host))
        append_hosts(&names, config->host);
    append_hosts(&names, config->allowed_hosts);
    struct str rest = buffer_str(&names);
    while (str_split(&rest, ';', &name))
        if (name.len > 0) {
            buffer_append_str(out, name);
            buffer_append_str(out, STR(" 0; "));
        }
    buffer_append_char(out, '\0');
    out->failed |= names.failed;
    buffer_release(&names);
}

/* Writes all templates with their values. */
static bool write_templates(const char *directory, const struct substitution *substitutions,
                            size_t len, char *error, size_t error_size)
{
    for (size_t i = 0; i < nginx_templates_len; i++) {
        struct buffer content = {0};
        render(&content, nginx_templates[i].text, substitutions, len);
        bool written = write_file(directory, nginx_templates[i].name, &content, error, error_size);
        buffer_release(&content);
        if (!written)
            return false;
    }
    return true;
}

static bool write_configuration(const struct config *config, const char *directory,
                                const char *spool, const char *www, const char *fastcgi_address,
                                char *error, size_t error_size)
{
    char listen[300];
    char body[32];
    char drain[32];
    char idle[32];
    char root[256]; /* longer ones are no ROOT_PATH */
    struct buffer hosts = {0};
    /* A draining worker waits for nginx to close its idle connections. */
    uint64_t idle_ms =
        config->drain_timeout_ms / 2 < IDLE_MS ? config->drain_timeout_ms / 2 : IDLE_MS;
    host_and_port(config, listen, sizeof listen);
    snprintf(root, sizeof root, "%s", config->root_path);
    for (size_t len = strlen(root); len > 0 && root[len - 1] == '/'; len--)
        root[len - 1] = '\0';
    snprintf(body, sizeof body, "%" PRIu64, config->max_body_bytes);
    snprintf(drain, sizeof drain, "%" PRIu64 "ms", config->drain_timeout_ms + 1);
    snprintf(idle, sizeof idle, "%" PRIu64 "ms", idle_ms + 1);
    append_allowed_hosts(&hosts, config);
    const struct substitution substitutions[] = {
        {"@FASTCGI@", fastcgi_address},
        {"@LISTEN@", listen},
        {"@MAX_BODY_BYTES@", body},
        {"@DRAIN_TIMEOUT@", drain},
        {"@IDLE_TIMEOUT@", idle},
        /* Only root can change users; nginx's usual one may not enter a directory of root's. */
        {"@USER@", geteuid() == 0 ? "user root;" : ""},
        {"@WWW@", www},
        {"@ROOT@", root},
        {"@SPOOL@", spool},
        {"@ALLOWED_HOSTS@", hosts.failed ? "" : hosts.data},
    };
    bool written =
        write_templates(directory, substitutions, ARRAY_LEN(substitutions), error, error_size);
    buffer_release(&hosts);
    return written;
}

/* ---- addresses ---- */

static struct addrinfo *look_up(const struct config *config)
{
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    snprintf(port, sizeof port, "%" PRIu64, config->port);
    return getaddrinfo(config->host, port, &hints, &found) == 0 ? found : NULL;
}

/* Listens for a moment. 0, or an errno. */
static int try_once(const struct addrinfo *address)
{
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    bool listens = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                   bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 1) == 0;
    int reason = listens ? 0 : errno;
    close(fd);
    return reason;
}

/* The same; for a while, if somebody listens there: it may be the nginx of a service that was
 * killed, which is just ending. */
static int try_address(const struct addrinfo *address)
{
    uint64_t until_ns = clock_after_ms(PORT_WAIT_MS);
    int reason;
    while ((reason = try_once(address)) == EADDRINUSE && clock_steady_ns() < until_ns)
        poll(NULL, 0, PORT_WAIT_MS / 50);
    return reason;
}

/* nginx itself would try for seconds, and report it less clearly. */
static bool check_address(const struct config *config, char *error, size_t error_size)
{
    char place[300];
    struct addrinfo *found = look_up(config);
    if (found == NULL)
        return fail(error, error_size, "HOST", "is not an address of this machine");
    int reason = try_address(found);
    freeaddrinfo(found);
    host_and_port(config, place, sizeof place);
    if (reason == EADDRINUSE)
        snprintf(error, error_size,
                 "PORT: another program listens on %s: stop it, or set PORT to another number",
                 place);
    else if (reason != 0)
        snprintf(error, error_size, "HOST and PORT: cannot listen on %s: %s", place,
                 strerror(reason));
    return reason == 0;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool nginx_is_public(const struct config *config)
{
    struct addrinfo *found = look_up(config);
    bool public = found != NULL && !is_loopback(found->ai_addr);
    if (found != NULL)
        freeaddrinfo(found);
    return public;
}

bool nginx_answers(const struct config *config)
{
    struct addrinfo *found = look_up(config);
    if (found == NULL)
        return false;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return answers;
}

/* ---- the program ---- */

static bool directory_of(const struct config *config, char directory[PATH_MAX], char *error,
                         size_t error_size)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/nginx", config->state_dir);
    if (length < 0 || (size_t)length >= sizeof path)
        return fail(error, error_size, "STATE_DIR", "the path is too long");
    return directory_prepare_inside(path, error, error_size) &&
           (realpath(path, directory) != NULL || fail(error, error_size, path, strerror(errno)));
}

/* Stores the path of the directory for temporary files, which is created if it does not exist. */
static bool spool_of(const struct config *config, const char *directory, char spool[PATH_MAX],
                     char *error, size_t error_size)
{
    const char *wanted = config->spool_dir[0] != '\0' ? config->spool_dir : directory;
    if (!directory_prepare(wanted, "SPOOL_DIR", error, error_size))
        return false;
    return realpath(wanted, spool) != NULL || fail(error, error_size, "SPOOL_DIR", strerror(errno));
}

/* nginx takes relative paths to begin in its own directory. */
static bool absolute_address(const char *address, char *absolute, size_t size)
{
    char path[PATH_MAX];
    if (strncmp(address, "unix:", 5) != 0)
        return snprintf(absolute, size, "%s", address) < (int)size;
    return realpath(address + 5, path) != NULL &&
           snprintf(absolute, size, "unix:%s", path) < (int)size;
}

static bool configure(const struct config *config, const char *fastcgi_address, char *error,
                      size_t error_size)
{
    char directory[PATH_MAX];
    char spool[PATH_MAX];
    char www[PATH_MAX] = WWW_DIR;
    char absolute[PATH_MAX + 8];
    if (!directory_of(config, directory, error, error_size))
        return false;
    if (!spool_of(config, directory, spool, error, error_size))
        return false;
    if (config->www_dir[0] != '\0' && realpath(config->www_dir, www) == NULL)
        return fail(error, error_size, "WWW_DIR", strerror(errno));
    if (!absolute_address(fastcgi_address, absolute, sizeof absolute))
        return fail(error, error_size, fastcgi_address, strerror(errno));
    if (strncmp(absolute, "unix:", 5) == 0 && strlen(absolute) > 5 + SOCKET_PATH_MAX)
        return fail(error, error_size, absolute,
                    "a socket's whole path has at most 107 bytes; choose a shorter STATE_DIR");
    return write_configuration(config, directory, spool, www, absolute, error, error_size);
}

bool nginx_prepare(const struct config *config, const char *fastcgi_address, char *error,
                   size_t error_size)
{
    return check_address(config, error, error_size) &&
           configure(config, fastcgi_address, error, error_size);
}

bool nginx_renew(const struct config *config, const char *fastcgi_address, pid_t nginx, char *error,
                 size_t error_size)
{
    return configure(config, fastcgi_address, error, error_size) &&
           (kill(nginx, SIGHUP) == 0 || fail(error, error_size, "nginx", strerror(errno)));
}

static void exec_nginx(const struct config *config, pid_t parent)
{
    char directory[PATH_MAX];
    char configuration[PATH_MAX + 16];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* a Ctrl-C is for the supervisor, which ends nginx in order */
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent) /* it died before prctl(2), so no signal will come */
        _exit(EXIT_FAILURE);
    char error[PATH_MAX + 256];
    if (!directory_of(config, directory, error, sizeof error))
        return;
    snprintf(configuration, sizeof configuration, "%s/nginx.conf", directory);
    /* An ordinary user's PATH often lacks the directories of servers. */
    const char *path = getenv("PATH");
    char search[4096];
    snprintf(search, sizeof search, "%s:/usr/local/sbin:/usr/sbin:/sbin",
             path == NULL ? "/usr/bin" : path);
    setenv("PATH", search, 1);
    execlp("nginx", "nginx", "-e", "stderr", "-p", directory, "-c", configuration, (char *)NULL);
}

pid_t nginx_start(const struct config *config)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    exec_nginx(config, parent);
    fprintf(stderr, "integration-service: cannot run nginx: %s (Debian package: nginx)\n",
            strerror(errno));
    _exit(127);
}
