/* SPDX-License-Identifier: MIT */
#include "providers/providers.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "core/log.h"

#define SUFFIX ".json"

enum { PATH_SIZE = 512 };

/* What is in the way of a file. */
static bool fail(char error[PROVIDERS_ERROR_SIZE], const char *path, const char *wrong)
{
    snprintf(error, PROVIDERS_ERROR_SIZE, "PROVIDERS_DIR: %s: %s", path, wrong);
    return false;
}

/* Whether a provider can be called so: small letters, digits, "-" and "_", as in an id. */
static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_')
            return false;
    }
    return name.len > 0;
}

/* Returns where a provider is, or is to be put. */
static struct provider *find_place(const struct providers *providers, struct str name)
{
    size_t first = 0;
    size_t last = providers->len;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (str_compare(providers->list[middle].name, name) < 0)
            first = middle + 1;
        else
            last = middle;
    }
    return &providers->list[first];
}

static bool is_at(const struct providers *providers, const struct provider *place, struct str name)
{
    return place < providers->list + providers->len && str_equal(place->name, name);
}

/* Adds a provider, or replaces the one of that name. The name and the text are copied. */
static bool add(struct providers *providers, const char *path, struct str name, struct str text,
                char error[PROVIDERS_ERROR_SIZE])
{
    struct buffer fault = {0};
    struct provider *place = find_place(providers, name);
    bool known = is_at(providers, place, name);
    if (!is_name(name))
        return fail(error, path,
                    "the name of a provider is small letters, digits, \"-\" and \"_\"");
    if (!known && providers->len == PROVIDERS_MAX)
        return fail(error, path, "there are more than 1000 providers");
    struct provider provider = {.name = arena_copy(&providers->arena, name),
                                .text = arena_copy(&providers->arena, text)};
    if (provider.name.data == NULL || provider.text.data == NULL)
        return fail(error, path, "no memory for it");
    provider.schema = schema_read(&providers->arena, provider.text, &fault);
    if (provider.schema == NULL) {
        buffer_append_char(&fault, '\0');
        fail(error, path, fault.failed ? "no memory for it" : fault.data);
    } else {
        if (!known)
            memmove(place + 1, place,
                    (size_t)(providers->list + providers->len++ - place) * sizeof *place);
        else
            schema_release(place->schema);
        *place = provider;
    }
    buffer_release(&fault);
    return provider.schema != NULL;
}

/* The name of the provider that a file is of; empty: it is of none. */
static struct str name_of(const char *file)
{
    struct str name = str_from(file);
    if (name.data[0] == '.' || !str_has_suffix(name, STR(SUFFIX)))
        return STR("");
    return (struct str){name.data, name.len - sizeof SUFFIX + 1};
}

/* ---- files ---- */

/* Returns NULL, or what is wrong. */
static const char *read_file(const char *path, struct buffer *text)
{
    int fd = file_open(path);
    if (fd < 0)
        return strerror(errno);
    const char *wrong = file_read(fd, PROVIDER_FILE_MAX, "it is longer than 256 KiB", text);
    close(fd);
    return wrong;
}

static bool add_file(struct providers *providers, const char *directory, const char *file,
                     char error[PROVIDERS_ERROR_SIZE])
{
    char path[PATH_SIZE];
    struct buffer text = {0};
    int length = snprintf(path, sizeof path, "%s/%s", directory, file);
    if (length < 0 || (size_t)length >= sizeof path)
        return fail(error, directory, "the path is too long");
    const char *wrong = read_file(path, &text);
    bool added = wrong == NULL ? add(providers, path, name_of(file), buffer_str(&text), error)
                               : fail(error, path, wrong);
    buffer_release(&text);
    return added;
}

static bool add_directory(struct providers *providers, struct str directory,
                          char error[PROVIDERS_ERROR_SIZE])
{
    char path[PATH_SIZE];
    struct dirent *entry;
    bool added = true;
    if (directory.len >= sizeof path)
        return fail(error, "its value", "the path is too long");
    snprintf(path, sizeof path, "%.*s", (int)directory.len, directory.data);
    DIR *files = opendir(path);
    if (files == NULL)
        return fail(error, path, strerror(errno));
    while (added && (entry = readdir(files)) != NULL)
        if (name_of(entry->d_name).len > 0)
            added = add_file(providers, path, entry->d_name, error);
    closedir(files);
    return added;
}

static bool add_embedded(struct providers *providers, char error[PROVIDERS_ERROR_SIZE])
{
    for (size_t i = 0; i < embedded_providers_len; i++) {
        const struct embedded_file *file = &embedded_providers[i];
        if (!add(providers, file->name, name_of(file->name), str_from(file->text), error))
            return false;
    }
    return true;
}

/* ---- all of them ---- */

bool providers_open(struct providers *providers, const struct config *config,
                    char error[PROVIDERS_ERROR_SIZE])
{
    struct str rest = str_from(config->providers_dir);
    struct str directory;
    *providers = (struct providers){0};
    providers->list = arena_alloc(&providers->arena, PROVIDERS_MAX * sizeof *providers->list);
    if (providers->list == NULL)
        return fail(error, "providers", "no memory for them");
    bool opened = add_embedded(providers, error);
    while (opened && str_split(&rest, ':', &directory))
        if (directory.len > 0)
            opened = add_directory(providers, directory, error);
    if (!opened)
        providers_close(providers);
    return opened;
}

void providers_close(struct providers *providers)
{
    for (size_t i = 0; i < providers->len; i++)
        schema_release(providers->list[i].schema);
    arena_release(&providers->arena);
    *providers = (struct providers){0};
}

void providers_reload(struct providers *providers, const struct config *config)
{
    struct providers news;
    char error[PROVIDERS_ERROR_SIZE];
    if (!providers_open(&news, config, error)) {
        LOG(LOG_ERROR, "the providers that were known before go on to count",
            LOG_TEXT("error", error));
        return;
    }
    providers_close(providers);
    *providers = news;
}

const struct provider *providers_find(const struct providers *providers, struct str name)
{
    const struct provider *place = find_place(providers, name);
    return is_at(providers, place, name) ? place : NULL;
}

const struct provider *providers_of(const struct providers *providers, struct str id)
{
    struct str name;
    (void)str_split(&id, ':', &name);
    return providers_find(providers, name);
}
