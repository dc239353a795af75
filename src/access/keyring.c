/* SPDX-License-Identifier: MIT */
#include "access/keyring.h"

#include "base/clock.h"
#include "core/log.h"

#define NS_PER_US 1000ULL
#define TICK_US 20000ULL

static void look_at(const char *path, struct stat *file)
{
    if (stat(path, file) != 0)
        *file = (struct stat){0};
}

bool keyring_open(struct keyring *keyring, const struct config *config, char *error,
                  size_t error_size)
{
    char fault[KEYS_FAULT_SIZE];
    *keyring = (struct keyring){0};
    if (!config_keys_path(config, keyring->path, sizeof keyring->path)) {
        snprintf(error, error_size, "KEYS_FILE: the path is too long");
        return false;
    }
    /* Before it is read: if it is changed in between, it is read again. */
    look_at(keyring->path, &keyring->seen);
    bool loaded = keys_load(keyring->path, &keyring->keys, &keyring->closed, fault);
    if (loaded && !keyring->closed && config->keys_file[0] != '\0') {
        loaded = false;
        snprintf(fault, sizeof fault,
                 "there is no such file: make a key with `integration-service "
                 "key new NAME --scopes secrets,write`");
    }
    if (!loaded) {
        snprintf(error, error_size, "KEYS_FILE: %s: %s", keyring->path, fault);
        keys_release(&keyring->keys);
        return false;
    }
    pthread_rwlock_init(&keyring->lock, NULL);
    return true;
}

void keyring_close(struct keyring *keyring)
{
    keys_release(&keyring->keys);
    pthread_rwlock_destroy(&keyring->lock);
}

/* ---- changes of the file ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Whether the file may still change without looking changed: its time is that of the last tick of
 * the kernel's clock. (One in the future says nothing; clocks of hosts differ.) */
static bool is_recent(const struct stat *file)
{
    uint64_t changed_us =
        (uint64_t)file->st_mtim.tv_sec * US_PER_S + (uint64_t)file->st_mtim.tv_nsec / NS_PER_US;
    uint64_t now_us = clock_wall_us();
    return changed_us <= now_us && now_us - changed_us < TICK_US;
}

/* Takes over what was read, or else its fault. */
static void take_over(struct keyring *keyring, const struct keys *keys, const char *fault)
{
    struct keys old = {0};
    pthread_rwlock_wrlock(&keyring->lock);
    keyring->closed = true; /* also with a file that has never been without fault */
    if (fault[0] == '\0') {
        old = keyring->keys;
        keyring->keys = *keys;
    }
    snprintf(keyring->fault, sizeof keyring->fault, "%s", fault);
    pthread_rwlock_unlock(&keyring->lock);
    keys_release(&old);
}

bool keyring_look(struct keyring *keyring)
{
    struct stat before;
    struct stat after;
    struct keys keys;
    bool found;
    char fault[KEYS_FAULT_SIZE] = "";
    look_at(keyring->path, &before);
    if (is_same(&before, &keyring->seen))
        return false;
    bool loaded = keys_load(keyring->path, &keys, &found, fault);
    look_at(keyring->path, &after);
    if (!is_same(&before, &after) || is_recent(&after)) { /* somebody is still writing it */
        keys_release(&keys);
        return false;
    }
    keyring->seen = after;
    if (!loaded || !found) {
        if (!found && !keyring->closed)
            return false; /* it came and went */
        if (!found)
            snprintf(fault, sizeof fault, "it is gone");
        LOG(LOG_ERROR, "KEYS_FILE: the keys that it held before go on to count",
            LOG_TEXT("file", keyring->path), LOG_TEXT("error", fault));
    } else {
        LOG(LOG_INFO, "KEYS_FILE was read", LOG_NUMBER("keys", (int64_t)keys.len));
    }
    take_over(keyring, &keys, fault);
    return fault[0] == '\0';
}

bool keyring_is_closed(struct keyring *keyring)
{
    pthread_rwlock_rdlock(&keyring->lock);
    bool closed = keyring->closed;
    pthread_rwlock_unlock(&keyring->lock);
    return closed;
}

void keyring_fault(struct keyring *keyring, char fault[KEYS_FAULT_SIZE])
{
    pthread_rwlock_rdlock(&keyring->lock);
    memcpy(fault, keyring->fault, KEYS_FAULT_SIZE);
    pthread_rwlock_unlock(&keyring->lock);
}

/* ---- judging ---- */

/* Copies the ids that an entry is bound to. */
static bool bind_to_ids(const struct key_entry *entry, struct arena *arena, struct key_grant *grant)
{
    struct str *ids = NULL;
    if (entry->ids.len == 0)
        return true;
    struct str text = arena_copy(arena, entry->ids);
    if (text.data == NULL || !keys_split_ids(arena, text, &ids, &grant->ids_len))
        return false;
    grant->ids = ids;
    return ids != NULL;
}

static void look_up(const struct keyring *keyring, const uint8_t digest[KEY_DIGEST_LEN],
                    struct arena *arena, struct key_grant *grant)
{
    const struct key_entry *entry = keys_find(&keyring->keys, digest);
    if (entry == NULL)
        return;
    memcpy(grant->name, entry->name, sizeof grant->name);
    if (keys_has_expired(entry)) {
        grant->verdict = KEY_EXPIRED;
    } else if (bind_to_ids(entry, arena, grant)) {
        grant->verdict = KEY_VALID;
        grant->number = keys_number(entry);
        grant->scopes = entry->scopes;
    }
}

/* Digests what the caller is found by; returns false if that is in no file. */
static bool digest_caller(struct str text, struct str remote_user, uint8_t digest[KEY_DIGEST_LEN])
{
    if (text.len == 0)
        keys_digest_user(remote_user, digest);
    else if (key_has_form(text))
        key_digest(text, digest);
    else
        return false;
    return true;
}

void keyring_judge(struct keyring *keyring, struct str text, struct str remote_user,
                   struct arena *arena, struct key_grant *grant)
{
    uint8_t digest[KEY_DIGEST_LEN];
    bool missing = text.len == 0 && remote_user.len == 0;
    *grant = (struct key_grant){.verdict = missing ? KEY_MISSING : KEY_UNKNOWN};
    bool known = !missing && digest_caller(text, remote_user, digest);
    pthread_rwlock_rdlock(&keyring->lock);
    if (!keyring->closed)
        *grant = (struct key_grant){.verdict = KEY_NOT_NEEDED, .scopes = SCOPES_ALL};
    else if (known)
        look_up(keyring, digest, arena, grant);
    pthread_rwlock_unlock(&keyring->lock);
    if ((grant->scopes & SCOPE_SECRETS) != 0)
        grant->scopes |= SCOPE_READ;
}
