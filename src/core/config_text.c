/* SPDX-License-Identifier: MIT */
#include "core/config_text.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "base/text.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool is_made_of(struct str text, const char *characters)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\0' || strchr(characters, text.data[i]) == NULL)
            return false;
    return true;
}

const char *config_text_is_plain(const char *value)
{
    struct str text = str_from(value);
    if (!text_is_utf8(text))
        return "is not UTF-8";
    return text_has_control(text) ? "holds a line break or another control character: take it out "
                                    "(a file's last line may have one at its end)"
                                  : NULL;
}

enum { ROOT_PATH_MAX = 200 }; /* nginx's locations have at most 255 */

const char *config_text_is_root_path(const char *value)
{
    struct str path = str_from(value);
    struct str rest = path;
    struct str segment;
    if (path.len > ROOT_PATH_MAX)
        return "is longer than 200 characters";
    if (value[0] != '/')
        return "must begin with a slash, as /api does";
    if (!is_made_of(rest, LETTERS DIGITS "/-._~!&'()*+,;=:@"))
        return "may hold letters, digits and -._~!&'()*+,;=:@ between its slashes, as a URL's path "
               "does, and nothing encoded";
    while (str_split(&rest, '/', &segment))
        if (str_equal(segment, STR(".")) || str_equal(segment, STR("..")))
            return "may have no . or .. between its slashes";
    while (str_has_suffix(path, STR("/")))
        path.len--;
    if (str_has_suffix(path, STR("/integrations")))
        return "may not end in /integrations: /metrics would look like an integration";
    return strstr(value, "//") != NULL ? "may have no two slashes in a row" : NULL;
}

const char *config_text_is_host(const char *value)
{
    return is_made_of(str_from(value), LETTERS DIGITS ".:-_") ? NULL
                                                              : "is not a host name or an address";
}

enum { HOST_NAME_LEN = 253 }; /* RFC 1035, section 2.3.4, without the bytes of lengths */

/* What nginx reads as something else in a map of names. */
static bool is_nginx_word(struct str name)
{
    static const struct str words[] = {STR_INIT("default"), STR_INIT("hostnames"),
                                       STR_INIT("include"), STR_INIT("volatile")};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal_ignore_case(name, words[i]))
            return true;
    return false;
}

static bool is_host_name(struct str name)
{
    if (str_has_prefix(name, STR("*.")))
        name = (struct str){name.data + 2, name.len - 2};
    return name.len > 0 && name.len <= HOST_NAME_LEN && name.data[0] != '.' &&
           memmem(name.data, name.len, "..", 2) == NULL && is_made_of(name, LETTERS DIGITS ".-_") &&
           !is_nginx_word(name);
}

const char *config_text_is_host_list(const char *value)
{
    struct str rest = str_from(value);
    struct str name;
    while (str_split(&rest, ',', &name))
        if (!is_host_name(str_trim(name)))
            return "must be host names without ports, with commas between: chat.example, "
                   "*.intern.example";
    return NULL;
}

/* An origin as browsers write it (RFC 6454, section 6.1): scheme, host, and the port if it is not
 * the scheme's own. */
static bool is_origin(struct str origin)
{
    struct str rest = origin;
    struct str scheme;
    if (str_equal(origin, STR("*")))
        return true;
    if (!str_split(&rest, ':', &scheme) || scheme.len == 0 || !str_has_prefix(rest, STR("//")))
        return false;
    rest = (struct str){rest.data + 2, rest.len - 2};
    if ((str_equal(scheme, STR("https")) && str_has_suffix(rest, STR(":443"))) ||
        (str_equal(scheme, STR("http")) && str_has_suffix(rest, STR(":80"))))
        return false;
    return rest.len > 0 && is_made_of(scheme, LETTERS DIGITS "+-.") &&
           is_made_of(rest, "abcdefghijklmnopqrstuvwxyz" DIGITS ".:-_[]");
}

const char *config_text_is_origin_list(const char *value)
{
    struct str rest = str_from(value);
    struct str origin;
    while (str_split(&rest, ',', &origin))
        if (!is_origin(str_trim(origin)))
            return "must be origins as browsers send them, with commas between, or *: "
                   "https://chat.example, http://localhost:3000 (lower case, no path, no slash at "
                   "the end, no port if it is the scheme's own)";
    return NULL;
}

const char *config_text_is_nginx_path(const char *value)
{
    return strpbrk(value, "$\"\\") != NULL
               ? "may hold no $, \" or \\, which nginx would read as its own"
               : NULL;
}
