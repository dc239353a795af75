/* SPDX-License-Identifier: MIT
 *
 * The command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "main/supervisor.h"
#include "store/store.h"

#ifndef PACKAGE_VERSION
#error "PACKAGE_VERSION comes from configure"
#endif

enum { EXIT_USAGE = 2 };

static const char usage[] =
    "usage: integration-service serve [--with-nginx]   run the service until SIGTERM\n"
    "       integration-service check-config           print the configuration it would run with\n"
    "       integration-service --version | --help\n";

static int print_help(void)
{
    fputs(usage, stdout);
    fputs("\nConfigured by environment variables:\n\n", stdout);
    config_print_options(stdout);
    return EXIT_SUCCESS;
}

static const char *from_environment(const char *name)
{
    return getenv(name);
}

static int check_config(void)
{
    struct config config;
    if (config_load(&config, from_environment, stderr) > 0)
        return EXIT_FAILURE;
    config_print(&config, stdout);
    return EXIT_SUCCESS;
}

static int serve(bool with_nginx)
{
    struct config config;
    if (config_load(&config, from_environment, stderr) > 0)
        return EXIT_FAILURE;
    return supervisor_run(&(struct supervisor_options){&config, &store_lmdb, with_nginx});
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    const char *option = argc > 2 ? argv[2] : "";
    if (strcmp(command, "serve") == 0 && argc == 2)
        return serve(false);
    if (strcmp(command, "serve") == 0 && argc == 3 && strcmp(option, "--with-nginx") == 0)
        return serve(true);
    if (strcmp(command, "check-config") == 0 && argc == 2)
        return check_config();
    if (strcmp(command, "--help") == 0 && argc == 2)
        return print_help();
    if (strcmp(command, "--version") == 0 && argc == 2) {
        puts("integration-service " PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    fputs(usage, stderr);
    return EXIT_USAGE;
}
