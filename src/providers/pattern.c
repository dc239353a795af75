/* SPDX-License-Identifier: MIT */
#include "providers/pattern.h"

#include "providers/schema.h"

/* Whether a bracket expression, from behind its "[", means the same; returns its end, or NULL. */
static const char *skip_brackets(const char *at, const char *end)
{
    if (at < end && *at == '^')
        at++;
    for (const char *first = at; at < end; at++) {
        if (*at == '\\' || *at == '[')
            return NULL; /* an escape for one, a character for the other; or [:alpha:] */
        if (*at == ']')
            return at == first ? NULL : at;
    }
    return NULL;
}

/* Whether POSIX and ECMAScript mean the same by a pattern, as far as can be seen. */
static bool is_common(struct str pattern)
{
    const char *end = pattern.data + pattern.len;
    for (const char *at = pattern.data; at < end; at++) {
        char next = '\0';
        if (at + 1 < end)
            next = at[1];
        bool repeats = *at == '*' || *at == '+' || *at == '?' || *at == '}';
        if (*at == '\0' || (*at == '(' && next == '?') ||
            (*at == '{' && (next < '0' || next > '9')) ||
            (repeats && (next == '?' || next == '+' || next == '*')))
            return false;
        if (*at == '\\' && (next == '\0' || strchr("^$.*+?()[]{}|/\\", next) == NULL))
            return false;
        if (*at == '\\')
            at++;
        else if (*at == '[' && (at = skip_brackets(at + 1, end)) == NULL)
            return false;
    }
    return true;
}

bool pattern_compile(struct str text, regex_t *pattern)
{
    return is_common(text) && regcomp(pattern, text.data, REG_EXTENDED | REG_NOSUB) == 0;
}

bool pattern_matches(const regex_t *pattern, struct str text)
{
    regmatch_t all = {.rm_so = 0, .rm_eo = (regoff_t)text.len};
    return text.len <= SCHEMA_MATCHED_MAX &&
           regexec(pattern, text.data, 1, &all, REG_STARTEND) == 0;
}
