/* SPDX-License-Identifier: MIT
 *
 * What the values of text options may look like, so that a value that would fail later, or be read
 * as something else, stops the start instead. */
#ifndef CORE_CONFIG_TEXT_H
#define CORE_CONFIG_TEXT_H

/* Each returns NULL if a value, which is not empty, is fit; else what is wrong with it and what to
 * do, which repeats nothing of it. */
typedef const char *config_text_check(const char *value);

/* Any text without control characters; of every option, besides its own check. */
config_text_check config_text_is_plain;
config_text_check config_text_is_root_path;
config_text_check config_text_is_host;        /* a name or an address to listen on */
config_text_check config_text_is_host_list;   /* names with commas between, "*.name" too */
config_text_check config_text_is_origin_list; /* origins with commas between, or "*" */
config_text_check config_text_is_nginx_path;  /* a path that nginx reads as it is */

#endif
