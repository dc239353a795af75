/* SPDX-License-Identifier: MIT
 *
 * The providers that integrations are of: a JSON Schema of the settings for each. Some are part of
 * the program (providers/), others, or other versions of these, come from directories: a file
 * NAME.json each. An integration's provider is its id, or what stands in front of the first ":" in
 * it ("facebook:shop").
 *
 * Limits: PROVIDERS_MAX, and PROVIDER_FILE_MAX bytes a file. */
#ifndef PROVIDERS_PROVIDERS_H
#define PROVIDERS_PROVIDERS_H

#include "base/arena.h"
#include "base/embedded.h"
#include "core/config.h"
#include "providers/schema.h"

enum { PROVIDERS_MAX = 1000, PROVIDER_FILE_MAX = 256 << 10, PROVIDERS_ERROR_SIZE = 1024 };

struct provider {
    struct str name;
    struct str text; /* its schema, as it stands in the file */
    const struct schema *schema;
};

struct providers {
    struct arena arena;
    struct provider *list; /* by name */
    size_t len;
};

/* The files of providers/ that the build embeds. */
extern const struct embedded_file embedded_providers[];
extern const size_t embedded_providers_len;

/* Reads the files of the directories that the configuration names. On failure returns false with
 * which file is wrong, where, and how, in `error`, and there is nothing to close. */
MUST_CHECK bool providers_open(struct providers *providers, const struct config *config,
                               char error[PROVIDERS_ERROR_SIZE]);
void providers_close(struct providers *providers);

/* Reads them anew; if something is wrong, logs it and keeps what was. */
void providers_reload(struct providers *providers, const struct config *config);

/* Return a provider, or NULL: by its name, or of the integration with an id. */
const struct provider *providers_find(const struct providers *providers, struct str name);
const struct provider *providers_of(const struct providers *providers, struct str id);

#endif
