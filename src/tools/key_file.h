/* SPDX-License-Identifier: MIT
 *
 * The file of keys while a command writes it anew: whole or not at all, by one command at a time,
 * and with the owner and the permissions that it had. */
#ifndef TOOLS_KEY_FILE_H
#define TOOLS_KEY_FILE_H

#include <stdio.h>

#include "access/keys.h"
#include "base/buffer.h"

struct key_file {
    bool found;         /* there was a file */
    struct buffer text; /* what it holds */
    struct keys keys;   /* the same */
    FILE *out;          /* what it will hold */
    char path[512];     /* without symbolic links */
    char temporary[600];
    int directory_fd; /* locked */
};

/* Begins, waiting until other commands are done. On failure returns false, and has said why, and
 * there is nothing to close. */
MUST_CHECK bool key_file_begin(struct key_file *file, const char *path);

/* Puts what was written in the file's place. On failure returns false, and has said why; the file
 * is what it was. */
MUST_CHECK bool key_file_end(struct key_file *file);

/* Releases it; without key_file_end nothing has happened. */
void key_file_close(struct key_file *file);

#endif
