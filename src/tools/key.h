/* SPDX-License-Identifier: MIT
 *
 * `integration-service key`: makes, lists, replaces and revokes keys, by writing their file anew. A
 * running service sees that within a second. */
#ifndef TOOLS_KEY_H
#define TOOLS_KEY_H

#include "core/config.h"

enum key_command_end {
    KEY_COMMAND_DONE,
    KEY_COMMAND_FAILED, /* standard error says why; the file is what it was */
    KEY_COMMAND_USAGE   /* the words make no command */
};

extern const char key_command_usage[];

/* Runs the command that the words make: "new NAME --scopes read,write" and so on, with the file
 * of keys that the configuration names. A new key is printed on standard output, once. */
enum key_command_end key_command(const struct config *config, int argc, char **argv);

#endif
