/* SPDX-License-Identifier: MIT */
#include "server/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/log.h"
#include "server/poller.h"

/* Interrupts accept4(2) in the acceptor thread; the signal has no other effect. */
#define WAKE_ACCEPTOR SIGUSR2

enum { PAUSE_MS = 50 /* after a failure, for example if descriptors have run out */ };

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * (long)NS_PER_MS}, NULL);
}

static void *accept_connections(void *argument)
{
    struct worker *worker = argument;
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, WAKE_ACCEPTOR);
    pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    while (atomic_load(&worker->accepting)) {
        int fd = accept4(worker->options->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            poller_take_in(worker, fd);
        } else if (errno == EAGAIN) { /* a stopping worker made the shared socket non-blocking */
            poll(&(struct pollfd){worker->options->listen_fd, POLLIN, 0}, 1, -1);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            LOG(LOG_ERROR, "cannot accept a connection", LOG_TEXT("error", strerror(errno)));
            pause_ms(PAUSE_MS);
        }
    }
    return NULL;
}

static void on_wake(int signal)
{
    (void)signal;
}

bool acceptor_start(struct worker *worker)
{
    struct sigaction action = {.sa_handler = on_wake}; /* no SA_RESTART: accept4 must return */
    sigaction(WAKE_ACCEPTOR, &action, NULL);
    atomic_store(&worker->accepting, true);
    return pthread_create(&worker->acceptor, NULL, accept_connections, worker) == 0;
}

void acceptor_stop(struct worker *worker)
{
    atomic_store(&worker->accepting, false);
    /* A signal that arrives just before accept4 blocks is lost, so repeat it until the thread
     * ends. */
    while (pthread_tryjoin_np(worker->acceptor, NULL) == EBUSY) {
        pthread_kill(worker->acceptor, WAKE_ACCEPTOR);
        pause_ms(1);
    }
}

void acceptor_take_queue(struct worker *worker)
{
    int listen_fd = worker->options->listen_fd;
    int flags = fcntl(listen_fd, F_GETFL);
    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return;
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            poller_take_in(worker, fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}
