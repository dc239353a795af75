/* SPDX-License-Identifier: MIT */
#include "app/query.h"

#include "app/answer.h"
#include "app/conditions.h"
#include "base/text.h"
#include "model/json.h"

enum { PAGE_BYTES_MAX = 8 << 20 };

const struct str query_operation_names[QUERY_OPERATIONS] = {
    [STORE_CREATE] = STR_INIT("create"),
    [STORE_REPLACE] = STR_INIT("replace"),
    [STORE_REMOVE] = STR_INIT("remove"),
};

/* Stores accept valid ids only. This one no integration has. */
static const struct str no_id = STR_INIT("..");

_Static_assert((int)STORE_IDS_MAX >= (int)KEYS_IDS_MAX, "those of a key fit");

/* ---- parsing ---- */

struct reader {
    const struct call *call;
    struct query *query;
};

static void fault(struct reader *reader, const char *name, const char *message, const char *type)
{
    const struct fault_place query = {.root = "query"};
    struct fault_place place = fault_place_member(&query, str_from(name));
    faults_add(&reader->call->session->faults, &place, str_from(message), type);
}

static void read_limit(struct reader *reader, struct str value)
{
    uint64_t limit;
    if (!str_to_u64(value, &limit))
        fault(reader, "limit", "value is not a valid integer", "type_error.integer");
    else if (limit < 1)
        fault(reader, "limit", "ensure this value is greater than or equal to 1",
              "value_error.number.not_ge");
    else if (limit > QUERY_LIMIT_MAX)
        fault(reader, "limit", "ensure this value is less than or equal to 1000",
              "value_error.number.not_le");
    else
        reader->query->limit = limit;
}

/* What a veiled position is of, as its second number: one for each must not be taken for another,
 * or for a version, of which this is the tag. */
static const uint64_t A_PLACE = 0; /* in the order of creation */
static const uint64_t A_REVISION = UINT64_MAX;

/* Reads a position as query_tell_next writes it. */
static bool read_position(const struct app_session *session, uint64_t kind, struct str text,
                          uint64_t *position)
{
    struct veil_numbers numbers;
    if (session->grant.ids == NULL)
        return str_to_u64(text, position) && *position <= INT64_MAX;
    bool ours = veil_read(&session->veil, text, &numbers) && numbers.second == kind;
    *position = numbers.first;
    return ours;
}

static void append_position(const struct app_session *session, uint64_t kind, uint64_t position,
                            struct buffer *out)
{
    if (session->grant.ids == NULL)
        buffer_append_u64(out, position);
    else
        veil_append(&session->veil, (struct veil_numbers){position, kind}, out);
}

void query_append_revision(const struct call *call, uint64_t revision, struct buffer *out)
{
    const char *quote = call->session->grant.ids == NULL ? "" : "\"";
    buffer_append_str(out, str_from(quote));
    append_position(call->session, A_REVISION, revision, out);
    buffer_append_str(out, str_from(quote));
}

bool query_read_revision(const struct call *call, const struct json_value *value,
                         uint64_t *revision)
{
    struct str text = value->text;
    if (call->session->grant.ids == NULL)
        return value->kind == JSON_INTEGER &&
               read_position(call->session, A_REVISION, text, revision);
    return value->kind == JSON_STRING &&
           read_position(call->session, A_REVISION, (struct str){text.data + 1, text.len - 2},
                         revision);
}

/* Reads a position; an empty value means: from the start. */
static void read_place(struct reader *reader, uint64_t kind, struct str value)
{
    uint64_t place = 0;
    if (value.len == 0 || read_position(reader->call->session, kind, value, &place))
        reader->query->after = place;
    else
        fault(reader, "after", "value is none that a Link gave", "value_error.cursor");
}

static void read_after(struct reader *reader, struct str value)
{
    read_place(reader, A_PLACE, value);
}

static void read_below(struct reader *reader, struct str value)
{
    read_place(reader, A_REVISION, value);
}

static void read_status(struct reader *reader, struct str value)
{
    reader->query->has_status = integration_status_from(value, &reader->query->status);
    if (!reader->query->has_status)
        fault(reader, "status", "value could not be parsed to a boolean", "type_error.bool");
}

static void read_text(struct reader *reader, struct str value)
{
    struct buffer folded = {0};
    text_append_folded(&folded, value);
    reader->query->text = arena_copy(&reader->call->session->arena, buffer_str(&folded));
    buffer_release(&folded);
}

static void read_id(struct reader *reader, struct str value)
{
    struct query *query = reader->query;
    if (query->ids == NULL)
        query->ids = arena_alloc(&reader->call->session->arena, STORE_IDS_MAX * sizeof *query->ids);
    if (query->ids == NULL)
        return; /* the failure is recorded in the arena */
    if (query->ids_len == STORE_IDS_MAX)
        fault(reader, "id", "ensure this value has at most 100 items",
              "value_error.list.max_items");
    else
        query->ids[query->ids_len++] = integration_id_is_valid(value) ? value : no_id;
}

static void read_fields(struct reader *reader, struct str value)
{
    struct str name;
    unsigned fields = 0;
    while (str_split(&value, ',', &name)) {
        unsigned field = 0;
        name = str_trim(name);
        while (field < INTEGRATION_FIELDS && !str_equal(name, integration_field_names[field]))
            field++;
        if (field == INTEGRATION_FIELDS && !str_equal(name, STR("etag"))) {
            fault(reader, "fields",
                  "value is not a list of id, name, description, status, settings and etag",
                  "value_error.fields");
            return;
        }
        fields |= 1U << field;
    }
    reader->query->fields |= fields; /* comma-separated or in repeated parameters */
}

/* Reads ids with commas between, each percent-encoded by itself if need be: many clients encode
 * those commas, too. */
static void read_ids(struct reader *reader, struct str value)
{
    struct str id;
    while (str_split(&value, ',', &id))
        read_id(reader, text_percent_decode(&reader->call->session->arena, id));
}

void query_take_cursor(const struct call *call, const char *place, struct str value,
                       struct query *query)
{
    struct reader reader = {.call = call, .query = query};
    const struct app_session *session = call->session;
    struct veil_numbers numbers;
    if (session->grant.ids == NULL)
        query->cursor = conditions_version(call, value);
    else if (veil_read_once(&session->veil, value, &numbers))
        query->cursor = (struct store_version){numbers.first, numbers.second};
    query->has_cursor = query->cursor.tag != 0 && conditions_is_version(query->cursor);
    if (value.len > 0 && !query->has_cursor)
        fault(&reader, place, "value is no cursor that a list or a feed gave",
              "value_error.cursor");
}

static void read_cursor(struct reader *reader, struct str value)
{
    query_take_cursor(reader->call, "after", value, reader->query);
}

static void read_wait(struct reader *reader, struct str value)
{
    if (!str_to_u64(value, &reader->query->wait_s))
        fault(reader, "wait", "value is not a valid integer", "type_error.integer");
    else if (reader->query->wait_s > QUERY_WAIT_MAX_S)
        fault(reader, "wait", "ensure this value is less than or equal to 25",
              "value_error.number.not_le");
}

static void read_provider(struct reader *reader, struct str value)
{
    reader->query->provider = value;
}

static void read_operation(struct reader *reader, struct str value)
{
    for (unsigned i = 0; i < ARRAY_LEN(query_operation_names); i++)
        if (query_operation_names[i].len > 0 && str_equal(value, query_operation_names[i])) {
            reader->query->operations |= 1U << i;
            return;
        }
    fault(reader, "operation", "value is none of create, replace and remove", "value_error.enum");
}

static const struct parameter {
    struct str name;
    void (*read)(struct reader *reader, struct str value);
    unsigned kinds; /* of queries that it belongs to */
} parameters[] = {
    {STR_INIT("limit"), read_limit, QUERY_OF_LIST | QUERY_OF_HISTORY | QUERY_OF_CHANGES},
    {STR_INIT("after"), read_after, QUERY_OF_LIST},
    {STR_INIT("after"), read_below, QUERY_OF_HISTORY},
    {STR_INIT("after"), read_cursor, QUERY_OF_CHANGES},
    {STR_INIT("wait"), read_wait, QUERY_OF_CHANGES},
    {STR_INIT("ids"), read_ids, QUERY_OF_CHANGES},
    {STR_INIT("provider"), read_provider, QUERY_OF_CHANGES},
    {STR_INIT("operation"), read_operation, QUERY_OF_CHANGES},
    {STR_INIT("status"), read_status, QUERY_OF_LIST},
    {STR_INIT("q"), read_text, QUERY_OF_LIST},
    {STR_INIT("id"), read_id, QUERY_OF_LIST},
    {STR_INIT("fields"), read_fields, QUERY_OF_LIST | QUERY_OF_ONE},
};

static const struct parameter *find_parameter(struct str name, enum query_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        if (str_equal(name, parameters[i].name) && (parameters[i].kinds & kind) != 0)
            return &parameters[i];
    return NULL;
}

static void read_parameter(struct reader *reader, enum query_kind kind, struct str pair)
{
    struct arena *arena = &reader->call->session->arena;
    struct str name;
    (void)str_split(&pair, '=', &name);
    const struct parameter *parameter = find_parameter(http_decode_form(arena, name), kind);
    if (parameter != NULL)
        parameter->read(reader, http_decode_form(arena, pair));
}

/* Limits a query to the ids that the key is bound to. */
static void bind_to_ids(const struct call *call, struct query *query)
{
    const struct key_grant *grant = &call->session->grant;
    struct str *ids = arena_alloc(&call->session->arena, STORE_IDS_MAX * sizeof *ids);
    size_t len = 0;
    for (size_t i = 0; ids != NULL && i < grant->ids_len; i++)
        if ((query->ids_len == 0 || str_is_among(grant->ids[i], query->ids, query->ids_len)) &&
            integration_id_is_valid(grant->ids[i]))
            ids[len++] = grant->ids[i];
    if (ids != NULL && len == 0)
        ids[len++] = no_id;
    query->ids = ids;
    query->ids_len = len;
}

void query_parse(const struct call *call, enum query_kind kind, struct query *query)
{
    struct reader reader = {.call = call, .query = query};
    struct str rest = http_target_query(call->request->target);
    struct str pair;
    while (str_split(&rest, '&', &pair))
        read_parameter(&reader, kind, pair);
    if (call->session->grant.ids != NULL)
        bind_to_ids(call, query);
}

bool query_is_right(const struct call *call)
{
    if (call->session->faults.len == 0)
        return !call->session->arena.failed;
    answer_faults(call, 422);
    return false;
}

bool query_read(const struct call *call, enum query_kind kind, struct query *query)
{
    query_parse(call, kind, query);
    return query_is_right(call);
}

/* ---- applying the query ---- */

/* Whether a JSON string contains the case-folded text. */
static bool has_text(struct arena *arena, struct str string, struct str text,
                     struct buffer *scratch)
{
    if (string.len < 2 || string.data[0] != '"') /* not written by this service */
        return false;
    struct str value = {string.data + 1, string.len - 2};
    if (memchr(string.data, '\\', string.len) != NULL)
        value = json_decode_string(arena, string);
    buffer_reset(scratch, SIZE_MAX);
    text_append_folded(scratch, value);
    return scratch->len >= text.len &&
           memmem(scratch->data, scratch->len, text.data, text.len) != NULL;
}

bool query_wants(const struct query *query, const struct store_record *record, struct arena *arena,
                 struct buffer *scratch)
{
    struct str values[INTEGRATION_FIELDS];
    if (!query->has_status && query->text.len == 0)
        return true;
    if (!integration_split(arena, record->document, values))
        return false;
    if (query->has_status && (values[INTEGRATION_STATUS].data[0] == 't') != query->status)
        return false;
    return query->text.len == 0 ||
           has_text(arena, values[INTEGRATION_NAME], query->text, scratch) ||
           has_text(arena, values[INTEGRATION_DESCRIPTION], query->text, scratch);
}

void query_append(const struct call *call, const struct query *query,
                  const struct store_record *record, struct arena *arena, struct buffer *out)
{
    struct str values[INTEGRATION_FIELDS];
    char separator = '{';
    if (query->fields == 0 || !integration_split(arena, record->document, values)) {
        buffer_append_str(out, record->document);
        return;
    }
    for (unsigned field = 0; field < INTEGRATION_FIELDS; field++)
        if ((query->fields & 1U << field) != 0) {
            buffer_append_char(out, separator);
            text_append_json(out, integration_field_names[field]);
            buffer_append_char(out, ':');
            buffer_append_str(out, values[field]);
            if (field == INTEGRATION_SETTINGS && record->unreadable)
                buffer_append_str(out, STR(",\"unreadable\":\"the settings could not be read\""));
            separator = ',';
        }
    if ((query->fields & 1U << QUERY_ETAG) != 0) {
        buffer_append_char(out, separator);
        buffer_append_str(out, STR("\"etag\":\"\\\""));
        conditions_append_tag(call, out, store_record_version(record));
        buffer_append_str(out, STR("\\\"\""));
    }
    buffer_append_char(out, '}');
}

bool query_page_is_full(const struct query *query, uint64_t count, const struct buffer *body)
{
    return (query->limit > 0 && count == query->limit) || body->len >= PAGE_BYTES_MAX;
}

void query_append_cursor(const struct call *call, struct store_version version, struct buffer *out)
{
    const struct app_session *session = call->session;
    if (session->grant.ids == NULL)
        conditions_append_tag(call, out, version);
    else /* whether it is another one tells of changes of others */
        veil_append_once(&session->veil, (struct veil_numbers){version.revision, version.tag}, out);
}

void query_tell_next(const struct call *call, enum query_kind kind, uint64_t last)
{
    struct arena *arena = &call->session->arena;
    const struct http_request *request = call->request;
    struct str rest = http_target_query(request->target);
    struct str pair;
    struct buffer link = {0};
    buffer_append_char(&link, '<');
    http_append_uri(&link, request->prefix);
    http_append_uri(&link, http_target_path(request->target));
    buffer_append_char(&link, '?');
    while (str_split(&rest, '&', &pair)) {
        struct str value = pair;
        struct str name;
        (void)str_split(&value, '=', &name);
        const struct parameter *parameter = find_parameter(http_decode_form(arena, name), kind);
        if (parameter == NULL || parameter->read == read_after || parameter->read == read_below)
            continue;
        http_append_uri(&link, pair);
        buffer_append_char(&link, '&');
    }
    buffer_append_str(&link, STR("after="));
    append_position(call->session, kind == QUERY_OF_LIST ? A_PLACE : A_REVISION, last, &link);
    buffer_append_str(&link, STR(">; rel=\"next\""));
    answer_header(call, STR("Link"), &link);
}
