/* SPDX-License-Identifier: MIT
 *
 * Parses the input of an import, JSON lines or an array, into changes. */
#include "tools/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/integration.h"
#include "model/json.h"
#include "model/json_walk.h"
#include "seal/seal.h"

enum { READ_SIZE = 64 * 1024 };

/* Where an id stands. */
struct place {
    struct str id;
    size_t line;
};

struct reading {
    struct arena *arena;
    const struct vault *vault;
    struct str text;
    struct transfer_list *list;
    struct place *places; /* of each change */
    size_t places_cap;
    char *error;
};

static size_t line_of(const struct reading *reading, const char *at)
{
    size_t line = 1;
    for (const char *c = reading->text.data; c < at; c++)
        line += *c == '\n';
    return line;
}

/* What Python and JavaScript write and JSON lacks (RFC 8259, section 6). */
static bool is_no_number(struct str text)
{
    return str_has_prefix(text, STR("NaN")) || str_has_prefix(text, STR("Infinity")) ||
           str_has_prefix(text, STR("-Infinity"));
}

/* Reports a fault in the syntax of `text`, if it is one that people often make. */
static bool explain_syntax(struct reading *reading, size_t line, struct str text, size_t at)
{
    if (at == text.len && text.len > 0 && text.data[0] == '{')
        return TRANSFER_FAIL(reading->error,
                             "line %zu: the integration does not end on this line: the input is "
                             "cut off, or has one on several lines (jq -c writes one a line)",
                             line);
    if (at < text.len && is_no_number((struct str){text.data + at, text.len - at}))
        return TRANSFER_FAIL(reading->error,
                             "line %zu: JSON has no NaN and no Infinity, at character %zu", line,
                             at);
    return true;
}

/* Reports the first fault of an integration. */
static bool explain(struct reading *reading, size_t line, struct str text,
                    const struct fault *fault)
{
    const struct str message = fault->message;
    if (fault->place.steps_len == 0)
        return TRANSFER_FAIL(reading->error, "line %zu: %.*s", line, (int)message.len,
                             message.data);
    const struct fault_step *step = &fault->place.steps[0];
    if (step->name.data == NULL)
        return explain_syntax(reading, line, text, step->number) &&
               TRANSFER_FAIL(reading->error, "line %zu: %.*s at character %zu", line,
                             (int)message.len, message.data, step->number);
    return TRANSFER_FAIL(reading->error, "line %zu: \"%.*s\": %.*s", line, (int)step->name.len,
                         step->name.data, (int)message.len, message.data);
}

bool transfer_add(struct transfer_list *list, const struct store_change *change)
{
    if (list->len == list->cap) {
        size_t cap = list->cap == 0 ? 64 : list->cap * 2;
        struct store_change *changes = realloc(list->changes, cap * sizeof *changes);
        if (changes == NULL)
            return false;
        list->changes = changes;
        list->cap = cap;
    }
    list->changes[list->len++] = *change;
    return true;
}

/* Notes on which line a change stands. */
static bool add_place(struct reading *reading, struct str id, size_t line)
{
    size_t len = reading->list->len;
    if (reading->places == NULL || len == reading->places_cap) {
        size_t cap = len == 0 ? 64 : len * 2;
        struct place *places = realloc(reading->places, cap * sizeof *places);
        if (places == NULL)
            return false;
        reading->places = places;
        reading->places_cap = cap;
    }
    reading->places[len] = (struct place){id, line};
    return true;
}

static bool add(struct reading *reading, size_t line, const struct integration *integration)
{
    const struct store_change change = {STORE_PUT, integration->id, integration->document, {0}};
    return (add_place(reading, integration->id, line) && transfer_add(reading->list, &change)) ||
           TRANSFER_FAIL(reading->error, "no memory for what is to be imported");
}

/* The canonical format of mongoexport, whose documents have an "_id", wraps numbers:
 * {"$numberInt":"5"}. */
static bool has_wrapped_number(struct reading *reading, struct str text, struct str document)
{
    struct json_member id = {.name = STR("_id")};
    struct json_value root;
    struct json_error error;
    return json_scan(reading->arena, text, &root, &id, 1, &error) == JSON_OK && id.present &&
           memmem(document.data, document.len, "{\"$number", strlen("{\"$number")) != NULL;
}

/* Opens an integration that was exported sealed; *text is then in the arena. */
static bool open_sealed(struct reading *reading, size_t line, struct str *text)
{
    struct str name = seal_key_name(*text);
    if (name.len == 0)
        return true;
    const struct seal_place anywhere = {.id = integration_id(reading->arena, *text)};
    struct buffer scratch = {0};
    struct buffer opened = {0};
    enum seal_outcome outcome = seal_open(reading->vault, &anywhere, *text, &scratch, &opened);
    if (outcome == SEAL_OPENED)
        *text = arena_copy(reading->arena, buffer_str(&opened));
    buffer_release(&scratch);
    buffer_release(&opened);
    switch (outcome) {
    case SEAL_OPENED:
        break;
    case SEAL_KEY_MISSING:
        return TRANSFER_FAIL(
            reading->error,
            "line %zu: its settings are sealed with the key \"%.*s\", which is not "
            "in ENCRYPTION_KEYS_FILE",
            line, (int)(name.len < VAULT_NAME_MAX ? name.len : VAULT_NAME_MAX), name.data);
    case SEAL_WRONG:
        return TRANSFER_FAIL(reading->error, "line %zu: its settings are not what was sealed",
                             line);
    case SEAL_NO_MEMORY:
        return TRANSFER_FAIL(reading->error, "line %zu: no memory", line);
    }
    return text->data != NULL || TRANSFER_FAIL(reading->error, "line %zu: no memory", line);
}

static bool take_integration(struct reading *reading, size_t line, struct str text)
{
    if (!open_sealed(reading, line, &text))
        return false;
    static const struct integration_rules rules = {.is_json = true};
    struct integration integration;
    struct faults faults = {.arena = reading->arena};
    switch (integration_parse(reading->arena, text, &rules, &integration, &faults)) {
    case INTEGRATION_OK:
        if (!has_wrapped_number(reading, text, integration.document))
            return add(reading, line, &integration);
        return TRANSFER_FAIL(
            reading->error,
            "line %zu: numbers are wrapped ({\"$numberInt\": …}): export again with "
            "mongoexport --jsonFormat=relaxed",
            line);
    case INTEGRATION_INVALID:
        if (faults.len > 0)
            return explain(reading, line, text, &faults.list[0]);
        break; /* no memory to record the fault */
    case INTEGRATION_UNREADABLE:
        return TRANSFER_FAIL(reading->error,
                             "line %zu: it is not UTF-8, or nested more than %d deep", line,
                             JSON_DEPTH_MAX);
    case INTEGRATION_NO_MEMORY:
        break;
    }
    return TRANSFER_FAIL(reading->error, "line %zu: no memory", line);
}

/* The integration in such a line after another program has rewritten it; empty: it is none. */
static struct str unwrap_any(struct reading *reading, struct str line)
{
    struct json_member members[] = {{.name = STR("integration")}, {.name = STR("id")}};
    struct json_value root;
    struct json_error error;
    bool wrapped = json_scan(reading->arena, line, &root, members, 2, &error) == JSON_OK &&
                   members[0].present && members[0].value.kind == JSON_OBJECT &&
                   !members[1].present;
    return wrapped ? members[0].value.text : STR("");
}

/* The integration in a line that transfer_export wrote; empty: it is no such line. Found by what
 * stands around it, for it may be nested as deep as a document can be. */
static struct str unwrap(struct reading *reading, struct str line)
{
    static const struct str first = STR_INIT("{\"sequence\":");
    static const struct str lead = STR_INIT(",\"integration\":");
    const char *at = NULL;
    if (str_has_prefix(line, first) && str_has_suffix(line, STR("}}")))
        at = memmem(line.data, line.len, lead.data, lead.len);
    if (at == NULL)
        return unwrap_any(reading, line);
    at += lead.len;
    return (struct str){at, (size_t)(line.data + line.len - 1 - at)};
}

/* Whether the line is the last that transfer_export wrote; *count is its number. */
static bool is_last(struct reading *reading, struct str line, uint64_t *count)
{
    struct json_member members[] = {{.name = STR("exported")}, {.name = STR("id")}};
    struct json_value root;
    struct json_error error;
    return json_scan(reading->arena, line, &root, members, 2, &error) == JSON_OK &&
           members[0].present && !members[1].present && str_to_u64(members[0].value.text, count);
}

static bool take_line(struct reading *reading, size_t line, struct str text)
{
    uint64_t count;
    struct str unwrapped = unwrap(reading, text);
    if (is_last(reading, text, &count)) {
        reading->list->cut_off = false;
        return count == reading->list->len ||
               TRANSFER_FAIL(reading->error,
                             "line %zu: %" PRIu64 " integrations were exported, but %zu are here: "
                             "if that is meant, remove this line and import",
                             line, count, reading->list->len);
    }
    if (unwrapped.len == 0)
        return take_integration(reading, line, text);
    reading->list->cut_off = true;
    return take_integration(reading, line, unwrapped);
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
    while (more && at < end) {
        if (*at == ',' || *at == ']')
            return TRANSFER_FAIL(reading->error, "line %zu: a comma too many", line);
        const char *stop = json_walk_end(at, end);
        if (!take_integration(reading, line, (struct str){at, (size_t)(stop - at)}))
            return false;
        more = stop < end && *stop == ',';
        const char *next = more ? skip_space(stop + 1, end) : stop;
        for (const char *c = at; c < next; c++)
            line += *c == '\n';
        at = next;
    }
    if (at == end || *at != ']')
        return TRANSFER_FAIL(reading->error, "line %zu: the array does not end", line);
    if (skip_space(at + 1, end) != end)
        return TRANSFER_FAIL(reading->error, "line %zu: something follows the array", line);
    return true;
}

/* ---- duplicate ids ---- */

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
    struct place *places = reading->places;
    size_t len = places == NULL ? 0 : reading->list->len;
    if (len > 0)
        qsort(places, len, sizeof *places, compare_places);
    for (size_t i = 1; i < len; i++)
        if (str_equal(places[i].id, places[i - 1].id))
            return TRANSFER_FAIL(reading->error, "line %zu: its id stands on line %zu already",
                                 places[i].line, places[i - 1].line);
    return true;
}

/* Editors put a byte order mark in front (RFC 8259, section 8.1, lets it be ignored). */
static struct str without_mark(struct str text)
{
    const struct str mark = STR("\xEF\xBB\xBF");
    return str_has_prefix(text, mark) ? (struct str){text.data + mark.len, text.len - mark.len}
                                      : text;
}

static bool is_utf16(struct str text)
{
    return str_has_prefix(text, STR("\xFF\xFE")) || str_has_prefix(text, STR("\xFE\xFF"));
}

bool transfer_parse(struct arena *arena, const struct vault *vault, struct str text,
                    struct transfer_list *list, char *error)
{
    struct reading reading = {
        .arena = arena, .vault = vault, .text = without_mark(text), .list = list};
    const char *end = text.data + text.len;
    const char *first = skip_space(reading.text.data, end);
    bool is_array = first < end && *first == '[';
    reading.error = error;
    *list = (struct transfer_list){0};
    if (is_utf16(text))
        return TRANSFER_FAIL(error, "the input is UTF-16: save it as UTF-8");
    if (first == end)
        return TRANSFER_FAIL(error, "the input is empty (a list of nothing is [])");
    bool parsed =
        (is_array ? take_array(&reading, first) : take_lines(&reading)) && ids_are_single(&reading);
    free(reading.places);
    return parsed;
}

void transfer_release(struct transfer_list *list)
{
    free(list->changes);
    *list = (struct transfer_list){0};
}

/* Reads all of `in`, and puts a NUL behind it. */
static bool read_text(FILE *in, struct buffer *text, char *error)
{
    size_t got;
    do {
        char *room = buffer_reserve(text, READ_SIZE);
        if (room == NULL)
            return TRANSFER_FAIL(error, "no memory for what is to be imported");
        got = fread(room, 1, READ_SIZE, in);
        text->len += got;
    } while (got > 0);
    if (ferror(in))
        return TRANSFER_FAIL(error, "cannot read: %s", strerror(errno));
    buffer_append_char(text, '\0');
    text->len--;
    return true;
}

bool transfer_read(const struct config *config, FILE *in, struct transfer_input *input, char *error)
{
    struct vault vault;
    *input = (struct transfer_input){0};
    if (!vault_open(config->encryption_keys_file, &vault, error, TRANSFER_ERROR_SIZE))
        return false;
    bool parsed =
        read_text(in, &input->text, error) &&
        transfer_parse(&input->arena, &vault, buffer_str(&input->text), &input->list, error);
    vault_release(&vault);
    return parsed;
}

void transfer_input_release(struct transfer_input *input)
{
    transfer_release(&input->list);
    buffer_release(&input->text);
    arena_release(&input->arena);
}
