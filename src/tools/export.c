/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "model/integration.h"
#include "seal/seal.h"
#include "tools/tool.h"
#include "tools/transfer.h"

enum { PATH_SIZE = 1024 };

struct exporting {
    const struct config *config;
    const struct store_backend *backend;
    bool clear; /* nothing is sealed */
    FILE *messages;
    char *error;
    size_t count;
    size_t unreadable; /* that could not be opened, and are missing */
};

struct writing {
    FILE *out;
    const struct vault *vault; /* seals what is written; NULL: it is not sealed */
    struct tool_progress progress;
    struct arena arena;
    struct buffer sealed;
    bool has_memory;
    size_t unreadable;
};

/* Seals a document so that who has the key can open it anywhere. Its data is NULL if it is no
 * integration, which an administrator may have put into the database. */
static struct str seal(struct writing *writing, struct str document)
{
    arena_reset(&writing->arena);
    buffer_reset(&writing->sealed, SIZE_MAX);
    const struct seal_place anywhere = {.id = integration_id(&writing->arena, document)};
    bool sealed = seal_append(writing->vault, &anywhere, document, &writing->sealed);
    writing->has_memory = !writing->sealed.failed && !writing->arena.failed;
    return sealed ? buffer_str(&writing->sealed) : (struct str){NULL, 0};
}

static bool write_record(void *context, const struct store_record *record)
{
    struct writing *writing = context;
    struct str document = record->document;
    char created[CLOCK_TEXT_SIZE];
    char updated[CLOCK_TEXT_SIZE];
    writing->unreadable += record->unreadable;
    if (record->unreadable)
        return true;
    if (writing->vault != NULL)
        document = seal(writing, document);
    if (!writing->has_memory)
        return false;
    if (document.data == NULL) { /* it is no integration */
        writing->unreadable++;
        return true;
    }
    clock_format(record->created_us, created);
    clock_format(record->updated_us, updated);
    fprintf(writing->out,
            "{\"sequence\":%" PRIu64 ",\"revision\":%" PRIu64
            ",\"created\":\"%s\",\"updated\":\"%s\",\"integration\":",
            record->sequence, record->revision, created, updated);
    fwrite(document.data, 1, document.len, writing->out);
    fputs("}\n", writing->out);
    tool_progress_step(&writing->progress);
    return !ferror(writing->out);
}

/* Writes all records while they are read: `out` must not make the reader wait. */
static bool write_records(struct exporting *exporting, FILE *out)
{
    struct tool tool;
    struct writing writing = {.out = out,
                              .progress = tool_progress_begin(exporting->messages, "exporting"),
                              .has_memory = true};
    struct store_read read = {.fresh = true};
    if (!tool_open(&tool, "export", exporting->config, exporting->backend, exporting->error,
                   TRANSFER_ERROR_SIZE))
        return false;
    if (!exporting->clear && vault_first(&tool.vault) != NULL)
        writing.vault = &tool.vault;
    enum store_status status =
        service_list(&tool.session, &tool.caller, &read, write_record, &writing);
    tool_close(&tool);
    tool_progress_end(&writing.progress);
    arena_release(&writing.arena);
    buffer_release(&writing.sealed);
    if (!writing.has_memory)
        return TRANSFER_FAIL(exporting->error, "no memory to seal an integration");
    if (status != STORE_OK)
        return TRANSFER_FAIL(exporting->error, "%s", tool_explain(status));
    fprintf(out, "{\"exported\":%zu}\n", writing.progress.count);
    exporting->count = writing.progress.count;
    exporting->unreadable = writing.unreadable;
    return true;
}

static bool is_file(FILE *out)
{
    struct stat status;
    return fstat(fileno(out), &status) == 0 && S_ISREG(status.st_mode);
}

/* Collects all records before it writes them: whoever reads a pipe may take any time, and meanwhile
 * the store could not use freed space again. */
static bool write_collected(struct exporting *exporting, FILE *out)
{
    char *text = NULL;
    size_t len = 0;
    FILE *collected = open_memstream(&text, &len);
    if (collected == NULL)
        return TRANSFER_FAIL(exporting->error, "no memory for what is to be exported");
    bool written = write_records(exporting, collected);
    if (fclose(collected) != 0 && written)
        written = TRANSFER_FAIL(exporting->error, "no memory for what is to be exported");
    if (written)
        fwrite(text, 1, len, out); /* write_all() looks for errors */
    free(text);
    return written;
}

static bool write_all(struct exporting *exporting, FILE *out)
{
    bool written = is_file(out) ? write_records(exporting, out) : write_collected(exporting, out);
    if (!written)
        return false;
    if (fflush(out) != 0 || ferror(out) ||
        (fsync(fileno(out)) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP))
        return TRANSFER_FAIL(exporting->error, "cannot write: %s", strerror(errno));
    fprintf(exporting->messages, "exported %zu integrations\n", exporting->count);
    return true;
}

/* Writes into what is no file: a pipe, a terminal, a device. */
static bool write_into(struct exporting *exporting, const char *path)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return TRANSFER_FAIL(exporting->error, "cannot write %s: %s", path, strerror(errno));
    bool written = write_all(exporting, out);
    if (fclose(out) != 0 && written)
        written = TRANSFER_FAIL(exporting->error, "cannot write %s: %s", path, strerror(errno));
    return written;
}

/* Writes to a temporary file next to `path`, and renames it when it is complete. */
static bool write_file(struct exporting *exporting, const char *path)
{
    char beside[PATH_SIZE];
    int length = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof beside)
        return TRANSFER_FAIL(exporting->error, "%s: the path is too long", path);
    int fd = mkostemp(beside, O_CLOEXEC); /* readable by its owner only: it contains tokens */
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (out == NULL)
        return TRANSFER_FAIL(exporting->error, "cannot write %s: %s", beside, strerror(errno));
    bool written = write_all(exporting, out);
    if (fclose(out) != 0 && written)
        written = TRANSFER_FAIL(exporting->error, "cannot write %s: %s", beside, strerror(errno));
    if (written && rename(beside, path) != 0)
        written = TRANSFER_FAIL(exporting->error, "cannot write %s: %s", path, strerror(errno));
    if (!written)
        unlink(beside);
    return written;
}

/* Writes to what is there, if it is no file; else in its place, or to where a link leads. */
static bool write_to(struct exporting *exporting, const char *path)
{
    struct stat status;
    bool is_there = stat(path, &status) == 0;
    if (is_there && !S_ISREG(status.st_mode))
        return write_into(exporting, path);
    char *target = is_there ? realpath(path, NULL) : NULL;
    bool written = write_file(exporting, target == NULL ? path : target);
    free(target);
    return written;
}

bool transfer_export(const struct config *config, const struct store_backend *backend, bool clear,
                     const char *path, FILE *out, FILE *messages, char *error)
{
    struct exporting exporting = {config, backend, clear, messages, error, 0, 0};
    if (path == NULL &&
        is_file(out)) /* it contains tokens; a file of somebody else's stays as it is */
        (void)fchmod(fileno(out), 0600);
    if (!(path != NULL ? write_to(&exporting, path) : write_all(&exporting, out)))
        return false;
    return exporting.unreadable == 0 ||
           TRANSFER_FAIL(error,
                         "%zu integrations are missing, for they cannot be opened, or sealed",
                         exporting.unreadable);
}
