/* SPDX-License-Identifier: MIT */
#include "store/pg/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"

/* A look-up, in a thread of its own. Who is the last to leave frees it: its thread, if nobody waits
 * any more. */
struct look_up {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *name;
    struct addrinfo *found;
    int error;
    bool done;
    bool left; /* by one of the two */
};

static void end(struct look_up *this)
{
    if (this->found != NULL)
        freeaddrinfo(this->found);
    pthread_cond_destroy(&this->changed);
    pthread_mutex_destroy(&this->lock);
    free(this->name);
    free(this);
}

/* Gives up the lock, and frees it if the other side has left. */
static void leave(struct look_up *this)
{
    bool last = this->left;
    this->left = true;
    pthread_mutex_unlock(&this->lock);
    if (last)
        end(this);
}

static void *look(void *argument)
{
    struct look_up *this = argument;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(this->name, NULL, &hints, &found);
    pthread_mutex_lock(&this->lock);
    this->found = found;
    this->error = error;
    this->done = true;
    pthread_cond_signal(&this->changed);
    leave(this);
    return NULL;
}

static struct look_up *begin(const char *name)
{
    pthread_t thread;
    pthread_condattr_t clock;
    struct look_up *this = calloc(1, sizeof *this);
    if (this == NULL)
        return NULL;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&this->lock, NULL);
    pthread_cond_init(&this->changed, &clock);
    pthread_condattr_destroy(&clock);
    this->name = strdup(name);
    if (this->name != NULL && pthread_create(&thread, NULL, look, this) == 0) {
        pthread_detach(thread);
        return this;
    }
    end(this);
    return NULL;
}

static void append_addresses(const struct addrinfo *found, struct buffer *addresses, size_t *len)
{
    char text[NI_MAXHOST];
    for (; found != NULL; found = found->ai_next) {
        if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
                        NI_NUMERICHOST) != 0)
            continue;
        if (++*len > 1)
            buffer_append_char(addresses, ',');
        buffer_append_str(addresses, str_from(text));
    }
    buffer_append_char(addresses, '\0');
}

bool pg_resolve(const char *name, uint64_t deadline_ns, struct buffer *addresses, size_t *len,
                char *reason, size_t reason_size)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / (1000 * NS_PER_MS)),
                                   .tv_nsec = (long)(deadline_ns % (1000 * NS_PER_MS))};
    struct look_up *this = begin(name);
    int waited = 0;
    *len = 0;
    if (this == NULL) {
        snprintf(reason, reason_size, "no memory to look up the host");
        return false;
    }
    pthread_mutex_lock(&this->lock);
    while (!this->done && waited == 0)
        waited = pthread_cond_timedwait(&this->changed, &this->lock, &until);
    if (!this->done)
        snprintf(reason, reason_size,
                 "the name of the host was not found in time: look at the DNS");
    else if (this->error != 0)
        snprintf(reason, reason_size, "the name of the host was not found: %s",
                 gai_strerror(this->error));
    append_addresses(this->found, addresses, len);
    leave(this);
    return *len > 0 && !addresses->failed;
}
