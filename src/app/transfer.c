/* SPDX-License-Identifier: MIT */
#include "app/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "model/integration.h"
#include "model/json.h"

enum {
    PATH_SIZE = 1024,
    READ_SIZE = 64 * 1024,
    PROGRESS_EVERY = 1000 /* integrations */
};

/* A sentence for people; false. */
#define FAIL(error, ...) (snprintf((error), TRANSFER_ERROR_SIZE, __VA_ARGS__), false)

/* ---- reading ---- */

struct reading {
    struct arena *arena;
    struct str text;
    struct transfer_list *list;
    size_t *lines; /* of each change */
    char *error;
};

static size_t line_of(const struct reading *reading, const char *at)
{
    size_t line = 1;
    for (const char *c = reading->text.data; c < at; c++)
        line += *c == '\n';
    return line;
}

/* Says what is wrong with an integration: its faults are the contract's, one an entry. */
static void explain(struct reading *reading, size_t line, struct str detail)
{
    struct json_member members[] = {{.name = STR("loc")}, {.name = STR("msg")}};
    struct json_value root;
    struct json_error error;
    struct str entry = detail;
    const char *end = detail.len > 1 ? strstr(detail.data, "},{") : NULL;
    entry.data++; /* the first of the list, without its brackets */
    entry.len = end != NULL ? (size_t)(end - entry.data) + 1 : entry.len - 2;
    if (json_scan(reading->arena, entry, &root, members, 2, &error) != JSON_OK)
        return;
    struct str place = members[0].value.text; /* ["body"], and then a member or an offset */
    struct str message = json_decode_string(reading->arena, members[1].value.text);
    const size_t before = strlen("[\"body\",");
    bool deeper = place.len > before;
    struct str inner = {place.data + before, deeper ? place.len - before - 1 : 0};
    bool is_member = deeper && inner.data[0] == '"';
    (void)FAIL(reading->error, "line %zu: %.*s%s%.*s%s%.*s", line, is_member ? (int)inner.len : 0,
               inner.data, is_member ? ": " : "", (int)message.len, message.data,
               deeper && !is_member ? " at character " : "",
               deeper && !is_member ? (int)inner.len : 0, inner.data);
}

static bool add(struct reading *reading, size_t line, const struct integration *integration)
{
    struct transfer_list *list = reading->list;
    if (list->len == list->cap) {
        size_t cap = list->cap == 0 ? 64 : list->cap * 2;
        struct store_change *changes = realloc(list->changes, cap * sizeof *changes);
        if (changes != NULL)
            list->changes = changes;
        size_t *lines = changes == NULL ? NULL : realloc(reading->lines, cap * sizeof *lines);
        if (lines == NULL)
            return FAIL(reading->error, "no memory for what is to be imported");
        reading->lines = lines;
        list->cap = cap;
    }
    reading->lines[list->len] = line;
    list->changes[list->len++] =
        (struct store_change){STORE_PUT, integration->id, integration->document, 0};
    return true;
}

/* mongoexport's canonical format wraps numbers: {"$numberInt":"5"}. */
static bool has_wrapped_number(struct str document)
{
    return memmem(document.data, document.len, "{\"$number", strlen("{\"$number")) != NULL;
}

static bool take_integration(struct reading *reading, size_t line, struct str text)
{
    static const struct integration_rules rules = {.is_json = true};
    struct integration integration;
    struct buffer detail = {0};
    bool taken = false;
    switch (integration_parse(reading->arena, text, &rules, &integration, &detail)) {
    case INTEGRATION_OK:
        taken = has_wrapped_number(integration.document)
                    ? FAIL(reading->error,
                           "line %zu: numbers are wrapped ({\"$numberInt\": …}): export again with "
                           "mongoexport --jsonFormat=relaxed",
                           line)
                    : add(reading, line, &integration);
        break;
    case INTEGRATION_INVALID:
        buffer_append_char(&detail, '\0');
        detail.len--;
        explain(reading, line, buffer_str(&detail));
        break;
    case INTEGRATION_UNREADABLE:
        (void)FAIL(reading->error, "line %zu: it is not UTF-8, or nested more than %d deep", line,
                   JSON_DEPTH_MAX);
        break;
    case INTEGRATION_NO_MEMORY:
        (void)FAIL(reading->error, "line %zu: no memory", line);
        break;
    }
    buffer_release(&detail);
    return taken;
}

/* Takes the integration out of a line that transfer_export wrote; else it is one itself. */
static bool take_line(struct reading *reading, size_t line, struct str text)
{
    struct json_member members[] = {{.name = STR("integration")}, {.name = STR("id")}};
    struct json_value root;
    struct json_error error;
    if (json_scan(reading->arena, text, &root, members, 2, &error) == JSON_OK &&
        members[0].present && members[0].value.kind == JSON_OBJECT && !members[1].present)
        text = members[0].value.text;
    return take_integration(reading, line, text);
}

static bool take_lines(struct reading *reading)
{
    struct str rest = reading->text;
    struct str text;
    for (size_t line = 1; str_split(&rest, '\n', &text); line++) {
        if (text.len > 0 && text.data[text.len - 1] == '\r')
            text.len--;
        text = str_trim(text);
        if (text.len > 0 && !take_line(reading, line, text))
            return false;
    }
    return true;
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

static bool take_array(struct reading *reading, const char *at)
{
    const char *end = reading->text.data + reading->text.len;
    at = skip_space(at + 1, end);
    size_t line = line_of(reading, at);
    bool more = at < end && *at != ']';
    while (more) {
        const char *stop = json_element_end(at, end);
        if (!take_integration(reading, line, (struct str){at, (size_t)(stop - at)}))
            return false;
        more = stop < end && *stop == ',';
        const char *next = more ? skip_space(stop + 1, end) : stop;
        for (const char *c = at; c < next; c++)
            line += *c == '\n';
        at = next;
    }
    if (at == end || *at != ']')
        return FAIL(reading->error, "line %zu: the array does not end", line);
    if (skip_space(at + 1, end) != end)
        return FAIL(reading->error, "line %zu: something follows the array", line);
    return true;
}

/* ---- ids that stand twice ---- */

struct place {
    struct str id;
    size_t line;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *one = a;
    const struct place *other = b;
    int order = str_compare(one->id, other->id);
    if (order == 0)
        order = one->line < other->line ? -1 : 1;
    return order;
}

static bool ids_are_single(const struct reading *reading)
{
    const struct transfer_list *list = reading->list;
    struct place *places = calloc(list->len + 1, sizeof *places);
    bool single = true;
    if (places == NULL)
        return FAIL(reading->error, "no memory for what is to be imported");
    for (size_t i = 0; i < list->len; i++)
        places[i] = (struct place){list->changes[i].id, reading->lines[i]};
    qsort(places, list->len, sizeof *places, compare_places);
    for (size_t i = 1; i < list->len && single; i++)
        if (str_equal(places[i].id, places[i - 1].id))
            single = FAIL(reading->error, "line %zu: its id stands on line %zu already",
                          places[i].line, places[i - 1].line);
    free(places);
    return single;
}

bool transfer_parse(struct arena *arena, struct str text, struct transfer_list *list, char *error)
{
    struct reading reading = {.arena = arena, .text = text, .list = list};
    const char *first = skip_space(text.data, text.data + text.len);
    bool is_array = first < text.data + text.len && *first == '[';
    reading.error = error;
    *list = (struct transfer_list){0};
    bool parsed =
        (is_array ? take_array(&reading, first) : take_lines(&reading)) && ids_are_single(&reading);
    free(reading.lines);
    return parsed;
}

void transfer_release(struct transfer_list *list)
{
    free(list->changes);
    *list = (struct transfer_list){0};
}

/* ---- the store ---- */

/* A store opened for one command. */
struct opened {
    const struct store_backend *backend;
    struct store *store;
    struct store_session *session;
};

static bool open_store(struct opened *opened, const struct config *config,
                       const struct store_backend *backend, char *error)
{
    struct store_options options = app_store_options(config);
    options.alone = true;
    options.database.processes = 1;
    *opened = (struct opened){.backend = backend};
    if (mkdir(config->state_dir, 0750) != 0 && errno != EEXIST)
        return FAIL(error, "cannot create STATE_DIR %s: %s", config->state_dir, strerror(errno));
    opened->store = backend->open(&options, error, TRANSFER_ERROR_SIZE);
    if (opened->store == NULL)
        return false;
    opened->session = backend->session_open(opened->store);
    if (opened->session != NULL)
        return true;
    backend->close(opened->store);
    return FAIL(error, "cannot open a session of the store");
}

static void close_store(struct opened *opened)
{
    opened->backend->session_close(opened->session);
    opened->backend->close(opened->store);
}

static const char *explain_status(enum store_status status)
{
    switch (status) {
    case STORE_FULL:
        return "the store is full: raise STORE_MAX_BYTES or free disk space";
    case STORE_AWAY:
        return "the database did not take it: see the lines before";
    case STORE_OK:
    case STORE_NOT_FOUND:
    case STORE_EXISTS:
    case STORE_CHANGED:
    case STORE_BROKEN:
        break;
    }
    return "the store failed: see the lines before";
}

/* How far a command has come, on a terminal. */
struct progress {
    FILE *messages;
    bool shown;
    const char *doing;
    size_t count;
};

static struct progress begin_progress(FILE *messages, const char *doing)
{
    return (struct progress){messages, isatty(fileno(messages)), doing, 0};
}

static void step(void *context)
{
    struct progress *progress = context;
    progress->count++;
    if (progress->shown && progress->count % PROGRESS_EVERY == 0)
        fprintf(progress->messages, "\r%s %zu", progress->doing, progress->count);
}

static void end_progress(const struct progress *progress)
{
    if (progress->shown && progress->count >= PROGRESS_EVERY)
        fputs("\r\033[K", progress->messages); /* clears the line (ECMA-48, EL) */
}

/* ---- import ---- */

static bool read_all(FILE *in, struct buffer *text, char *error)
{
    size_t got;
    do {
        char *room = buffer_reserve(text, READ_SIZE);
        if (room == NULL)
            return FAIL(error, "no memory for what is to be imported");
        got = fread(room, 1, READ_SIZE, in);
        text->len += got;
    } while (got > 0);
    if (ferror(in))
        return FAIL(error, "cannot read: %s", strerror(errno));
    buffer_append_char(text, '\0');
    text->len--;
    return true;
}

static bool put_all(const struct config *config, const struct store_backend *backend,
                    const struct transfer_list *list, FILE *messages, char *error)
{
    struct opened opened;
    struct progress progress = begin_progress(messages, "importing");
    struct store_batch batch = {.changes = list->changes,
                                .len = list->len,
                                .deadline_ns = UINT64_MAX,
                                .step = step,
                                .step_context = &progress};
    if (!open_store(&opened, config, backend, error))
        return false;
    enum store_status status = list->len == 0 ? STORE_OK : backend->change(opened.session, &batch);
    close_store(&opened);
    end_progress(&progress);
    if (status != STORE_OK)
        return FAIL(error, "nothing was imported: %s", explain_status(status));
    fprintf(messages, "imported %zu integrations: %zu created, %zu replaced\n", list->len,
            batch.created, list->len - batch.created);
    return true;
}

bool transfer_import(const struct config *config, const struct store_backend *backend, FILE *in,
                     FILE *messages, char *error)
{
    struct arena arena = {0};
    struct buffer text = {0};
    struct transfer_list list = {0};
    bool imported = read_all(in, &text, error) &&
                    transfer_parse(&arena, buffer_str(&text), &list, error) &&
                    put_all(config, backend, &list, messages, error);
    transfer_release(&list);
    buffer_release(&text);
    arena_release(&arena);
    return imported;
}

/* ---- export ---- */

struct writing {
    FILE *out;
    struct progress progress;
};

static bool write_record(void *context, const struct store_record *record)
{
    struct writing *writing = context;
    char created[CLOCK_TEXT_SIZE];
    char updated[CLOCK_TEXT_SIZE];
    clock_format(record->created_us, created);
    clock_format(record->updated_us, updated);
    fprintf(writing->out,
            "{\"sequence\":%" PRIu64 ",\"revision\":%" PRIu64
            ",\"created\":\"%s\",\"updated\":\"%s\",\"integration\":",
            record->sequence, record->revision, created, updated);
    fwrite(record->document.data, 1, record->document.len, writing->out);
    fputs("}\n", writing->out);
    step(&writing->progress);
    return !ferror(writing->out);
}

static bool write_all(const struct config *config, const struct store_backend *backend, FILE *out,
                      FILE *messages, char *error)
{
    struct opened opened;
    struct writing writing = {out, begin_progress(messages, "exporting")};
    struct store_read read = {.fresh = true, .deadline_ns = UINT64_MAX};
    if (!open_store(&opened, config, backend, error))
        return false;
    enum store_status status = backend->each(opened.session, &read, write_record, &writing);
    close_store(&opened);
    end_progress(&writing.progress);
    if (status != STORE_OK)
        return FAIL(error, "%s", explain_status(status));
    if (fflush(out) != 0 || ferror(out) ||
        (fsync(fileno(out)) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP))
        return FAIL(error, "cannot write: %s", strerror(errno));
    fprintf(messages, "exported %zu integrations\n", writing.progress.count);
    return true;
}

/* Writes beside `path`, and puts it there when it is whole. */
static bool write_file(const struct config *config, const struct store_backend *backend,
                       const char *path, FILE *messages, char *error)
{
    char beside[PATH_SIZE];
    int length = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof beside)
        return FAIL(error, "%s: the path is too long", path);
    int fd = mkostemp(beside, O_CLOEXEC); /* for its owner only: it holds tokens */
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (out == NULL)
        return FAIL(error, "cannot write %s: %s", beside, strerror(errno));
    bool written = write_all(config, backend, out, messages, error);
    if (fclose(out) != 0 && written)
        written = FAIL(error, "cannot write %s: %s", beside, strerror(errno));
    if (written && rename(beside, path) != 0)
        written = FAIL(error, "cannot write %s: %s", path, strerror(errno));
    if (!written)
        unlink(beside);
    return written;
}

bool transfer_export(const struct config *config, const struct store_backend *backend,
                     const char *path, FILE *out, FILE *messages, char *error)
{
    return path != NULL ? write_file(config, backend, path, messages, error)
                        : write_all(config, backend, out, messages, error);
}
