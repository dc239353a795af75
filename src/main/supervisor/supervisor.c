/* SPDX-License-Identifier: MIT */
#include "main/supervisor/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"
#include "core/log.h"
#include "main/nginx.h"
#include "main/supervisor/events.h"
#include "main/supervisor/state.h"

enum { DESCRIPTORS_WANTED = 65536 };

static int complain(const char *error)
{
    fprintf(stderr, "integration-service: %s\n", error);
    return EXIT_FAILURE;
}

/* The socket of an earlier program, else the service manager's, else our own. */
static bool open_listener(struct supervisor *supervisor, char *error, size_t error_size)
{
    const struct takeover *earlier = &supervisor->upgrade.earlier;
    if (supervisor->upgrade.took_over)
        return listener_adopt(&supervisor->listener, earlier->listen_fd, earlier->socket_given,
                              error, error_size);
    int given = sd_listen_fds(1);
    if (given == 1)
        return listener_adopt(&supervisor->listener, SD_LISTEN_FDS_START, true, error, error_size);
    if (given > 1)
        snprintf(error, error_size, "the service manager gives %d sockets: one is wanted", given);
    return given <= 0 && listener_open(&supervisor->listener, supervisor->options->parts->config,
                                       error, error_size);
}

/* Goes on with an earlier program's nginx; if it cannot be configured anew, as it was. */
static void adopt_nginx(struct supervisor *supervisor, char *error, size_t error_size)
{
    supervisor->nginx = supervisor->upgrade.earlier.nginx;
    if (supervisor->nginx > 0 &&
        !nginx_renew(supervisor->options->parts->config, supervisor->listener.address,
                     supervisor->nginx, error, error_size))
        LOG(LOG_ERROR, "nginx goes on as it was", LOG_TEXT("error", error));
}

static bool open_nginx(struct supervisor *supervisor, char *error, size_t error_size)
{
    const struct config *config = supervisor->options->parts->config;
    if (supervisor->upgrade.took_over) {
        adopt_nginx(supervisor, error, error_size);
        return true;
    }
    if (!nginx_prepare(config, supervisor->listener.address, error, error_size))
        return false;
    supervisor->nginx = nginx_start(config);
    if (supervisor->nginx < 0)
        snprintf(error, error_size, "cannot fork nginx");
    return supervisor->nginx >= 0;
}

static int open_and_run(struct supervisor *supervisor)
{
    char error[1024];
    if (!open_listener(supervisor, error, sizeof error))
        return complain(error);
    int status = EXIT_FAILURE;
    if (supervisor->options->with_nginx && !open_nginx(supervisor, error, sizeof error))
        complain(error);
    else
        status = events_run(supervisor);
    listener_close(&supervisor->listener);
    return status;
}

static int count_and_run(struct supervisor *supervisor)
{
    char error[1024];
    supervisor->metrics = app_metrics_open(supervisor->options->parts->config, &supervisor->labels,
                                           error, sizeof error);
    if (supervisor->metrics == NULL)
        return complain(error);
    log_count_in(metrics_log_counts(supervisor->metrics));
    metrics_claim(supervisor->metrics, &supervisor->slot, false);
    if (supervisor->upgrade.took_over)
        metrics_skip_cpu(&supervisor->slot);
    int status = open_and_run(supervisor);
    log_count_in(NULL);
    metrics_close(supervisor->metrics);
    return status;
}

/* Says whether this program could go on here, and changes nothing. */
static int rehearse(struct supervisor *supervisor)
{
    char error[1024];
    if (!open_listener(supervisor, error, sizeof error))
        return complain(error);
    return takeover_tell_ready() ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int lock_and_run(struct supervisor *supervisor)
{
    char error[1024];
    supervisor->lock_fd =
        supervisor->upgrade.took_over
            ? supervisor->upgrade.earlier.lock_fd
            : state_dir_lock(supervisor->options->parts->config->state_dir, error, sizeof error);
    if (supervisor->lock_fd < 0)
        return complain(error);
    int status = count_and_run(supervisor);
    close(supervisor->lock_fd);
    return status;
}

/* The memory of an earlier program, whose workers still use it, else new memory. */
static bool open_shared(struct supervisor *supervisor)
{
    size_t size = sizeof *supervisor->shared;
    supervisor->shared_fd = supervisor->upgrade.took_over ? supervisor->upgrade.earlier.shared_fd
                                                          : memfd_create("shared", MFD_CLOEXEC);
    struct stat file;
    if (supervisor->shared_fd < 0 || fstat(supervisor->shared_fd, &file) != 0 ||
        /* never shorter: the workers of an earlier program may use more */
        (file.st_size < (off_t)size && ftruncate(supervisor->shared_fd, (off_t)size) != 0))
        return false;
    supervisor->shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, supervisor->shared_fd, 0);
    return supervisor->shared != MAP_FAILED;
}

/* As many connections as the system lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int supervisor_run(const struct supervisor_options *options)
{
    static struct supervisor supervisor;
    supervisor = (struct supervisor){.options = options,
                                     .started_us = clock_wall_us(),
                                     .listener.fd = -1,
                                     .workers.wanted = config_workers(options->parts->config)};
    supervisor.upgrade.took_over = takeover_receive(&supervisor.upgrade.earlier);
    if (!open_shared(&supervisor) || !events_open(&supervisor))
        return complain(strerror(errno));
    raise_descriptors();
    log_open((enum log_level)options->parts->config->log_level, STDERR_FILENO);
    bool rehearsed = supervisor.upgrade.took_over && supervisor.upgrade.earlier.rehearsed;
    int status = rehearsed ? rehearse(&supervisor) : lock_and_run(&supervisor);
    events_close(&supervisor);
    munmap(supervisor.shared, sizeof *supervisor.shared);
    close(supervisor.shared_fd);
    return status;
}
