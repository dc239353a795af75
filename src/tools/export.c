/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/tool.h"
#include "tools/transfer.h"

enum { PATH_SIZE = 1024 };

struct writing {
    FILE *out;
    struct tool_progress progress;
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
    tool_progress_step(&writing->progress);
    return !ferror(writing->out);
}

/* Writes all records while they are read: `out` must not make the reader wait. */
static bool write_records(const struct config *config, const struct store_backend *backend,
                          FILE *out, FILE *messages, char *error, size_t *count)
{
    struct tool tool;
    struct writing writing = {out, tool_progress_begin(messages, "exporting")};
    struct store_read read = {.fresh = true};
    if (!tool_open(&tool, "export", config, backend, error, TRANSFER_ERROR_SIZE))
        return false;
    enum store_status status =
        service_list(&tool.session, &tool.caller, &read, write_record, &writing);
    tool_close(&tool);
    tool_progress_end(&writing.progress);
    if (status != STORE_OK)
        return TRANSFER_FAIL(error, "%s", tool_explain(status));
    fprintf(out, "{\"exported\":%zu}\n", writing.progress.count);
    *count = writing.progress.count;
    return true;
}

static bool is_file(FILE *out)
{
    struct stat status;
    return fstat(fileno(out), &status) == 0 && S_ISREG(status.st_mode);
}

/* Collects all records before it writes them: whoever reads a pipe may take any time, and meanwhile
 * the store could not use freed space again. */
static bool write_collected(const struct config *config, const struct store_backend *backend,
                            FILE *out, FILE *messages, char *error, size_t *count)
{
    char *text = NULL;
    size_t len = 0;
    FILE *collected = open_memstream(&text, &len);
    if (collected == NULL)
        return TRANSFER_FAIL(error, "no memory for what is to be exported");
    bool written = write_records(config, backend, collected, messages, error, count);
    if (fclose(collected) != 0 && written)
        written = TRANSFER_FAIL(error, "no memory for what is to be exported");
    if (written)
        fwrite(text, 1, len, out); /* write_all() looks for errors */
    free(text);
    return written;
}

static bool write_all(const struct config *config, const struct store_backend *backend, FILE *out,
                      FILE *messages, char *error)
{
    size_t count = 0;
    bool written = is_file(out) ? write_records(config, backend, out, messages, error, &count)
                                : write_collected(config, backend, out, messages, error, &count);
    if (!written)
        return false;
    if (fflush(out) != 0 || ferror(out) ||
        (fsync(fileno(out)) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP))
        return TRANSFER_FAIL(error, "cannot write: %s", strerror(errno));
    fprintf(messages, "exported %zu integrations\n", count);
    return true;
}

/* Writes into what is no file: a pipe, a terminal, a device. */
static bool write_into(const struct config *config, const struct store_backend *backend,
                       const char *path, FILE *messages, char *error)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return TRANSFER_FAIL(error, "cannot write %s: %s", path, strerror(errno));
    bool written = write_all(config, backend, out, messages, error);
    if (fclose(out) != 0 && written)
        written = TRANSFER_FAIL(error, "cannot write %s: %s", path, strerror(errno));
    return written;
}

/* Writes to a temporary file next to `path`, and renames it when it is complete. */
static bool write_file(const struct config *config, const struct store_backend *backend,
                       const char *path, FILE *messages, char *error)
{
    char beside[PATH_SIZE];
    int length = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof beside)
        return TRANSFER_FAIL(error, "%s: the path is too long", path);
    int fd = mkostemp(beside, O_CLOEXEC); /* readable by its owner only: it contains tokens */
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (out == NULL)
        return TRANSFER_FAIL(error, "cannot write %s: %s", beside, strerror(errno));
    bool written = write_all(config, backend, out, messages, error);
    if (fclose(out) != 0 && written)
        written = TRANSFER_FAIL(error, "cannot write %s: %s", beside, strerror(errno));
    if (written && rename(beside, path) != 0)
        written = TRANSFER_FAIL(error, "cannot write %s: %s", path, strerror(errno));
    if (!written)
        unlink(beside);
    return written;
}

/* Writes to what is there, if it is no file; else in its place, or to where a link leads. */
static bool write_to(const struct config *config, const struct store_backend *backend,
                     const char *path, FILE *messages, char *error)
{
    struct stat status;
    bool is_there = stat(path, &status) == 0;
    if (is_there && !S_ISREG(status.st_mode))
        return write_into(config, backend, path, messages, error);
    char *target = is_there ? realpath(path, NULL) : NULL;
    bool written = write_file(config, backend, target == NULL ? path : target, messages, error);
    free(target);
    return written;
}

bool transfer_export(const struct config *config, const struct store_backend *backend,
                     const char *path, FILE *out, FILE *messages, char *error)
{
    if (path != NULL)
        return write_to(config, backend, path, messages, error);
    if (is_file(out)) /* it contains tokens; a file of somebody else's stays as it is */
        (void)fchmod(fileno(out), 0600);
    return write_all(config, backend, out, messages, error);
}
