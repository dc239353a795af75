/* SPDX-License-Identifier: MIT
 *
 * Headers, read as their standards say. */
#include <criterion/criterion.h>

#include "model/http.h"

static const struct {
    const char *accept;
    unsigned weight; /* of text/plain */
    bool named;
} accepts[] = {
    {"", 1000, false},
    {"*/*", 1000, false},
    {"text/plain", 1000, true},
    {"TEXT/Plain;version=0.0.4;q=0.5", 500, true},
    {"text/*;q=0.25, */*;q=0.1", 250, false},
    {"*/*;q=0.1,text/*;q=0.25", 250, false},
    {"text/*;q=0.9, text/plain;q=0.3", 300, true},
    {"text/plain;q=0", 0, true},
    {"text/plain;Q=0", 0, true},
    {"text/html", 0, false},
    {"text/html, application/*", 0, false},
    {"text/plain;q=1.5", 1000, true},
    {"text/plain;q=x", 0, true},
    {"text/plain;q=", 0, true},
    {",,;q=1,", 0, false},
    {"text/", 0, false},
    {"/*", 0, false},
};

Test(http, weighs_accept)
{
    for (size_t i = 0; i < ARRAY_LEN(accepts); i++) {
        bool named = false;
        unsigned weight =
            http_accept_weight(str_from(accepts[i].accept), STR("text/plain"), &named);
        cr_expect(weight == accepts[i].weight && named == accepts[i].named, "%s: %u",
                  accepts[i].accept, weight);
    }
}

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static const struct {
    const char *traceparent;
    bool valid;
} traces[] = {
    {"00-" TRACE "-" PARENT "-01", true},
    {"00-" TRACE "-" PARENT "-00", true},
    {"cc-" TRACE "-" PARENT "-01", true},
    {"cc-" TRACE "-" PARENT "-01-what-comes-later", true},
    {"00-" TRACE "-" PARENT "-01-more", false},
    {"ff-" TRACE "-" PARENT "-01", false},
    {"00-00000000000000000000000000000000-" PARENT "-01", false},
    {"00-" TRACE "-0000000000000000-01", false},
    {"00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01", false},
    {"00-" TRACE "-" PARENT, false},
    {"00-" TRACE "-" PARENT "-1", false},
    {"00-" TRACE "-" PARENT "1-01", false},
    {"0-" TRACE "-" PARENT "-01", false},
    {"", false},
    {"-", false},
    {"---", false},
};

Test(http, reads_traceparents)
{
    for (size_t i = 0; i < ARRAY_LEN(traces); i++) {
        struct http_trace trace = http_read_traceparent(str_from(traces[i].traceparent));
        cr_expect((trace.trace_id.len > 0) == traces[i].valid, "%s", traces[i].traceparent);
        if (traces[i].valid)
            cr_expect(str_equal(trace.trace_id, STR(TRACE)) &&
                          str_equal(trace.parent_id, STR(PARENT)) && trace.flags.len == 2,
                      "%s", traces[i].traceparent);
    }
}

Test(http, knows_who_wants_no_copy)
{
    cr_expect(http_wants_fresh(STR("no-cache")) && http_wants_fresh(STR("max-age=0, No-Cache ")));
    cr_expect(!http_wants_fresh(STR("")) && !http_wants_fresh(STR("no-cache=\"x\"")) &&
              !http_wants_fresh(STR("max-age=0")));
}

Test(http, writes_uris_that_fit_into_headers)
{
    struct buffer out = {0};
    http_append_uri(&out, STR("/a%2F?q=\"<\xC3\xA9>\r\n{}&x=~"));
    cr_expect(str_equal(buffer_str(&out), STR("/a%2F?q=%22%3C%C3%A9%3E%0D%0A%7B%7D&x=~")), "%.*s",
              (int)out.len, out.data);
    buffer_reset(&out, SIZE_MAX);
    http_append_segment(&out, STR("a/b?#%\xC3\xA9.~"));
    cr_expect(str_equal(buffer_str(&out), STR("a%2Fb%3F%23%25%C3%A9.~")));
    buffer_release(&out);
}
