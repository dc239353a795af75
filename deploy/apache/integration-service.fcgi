#!/bin/sh
# Apache starts this (as integration-service.cgi it is the same for plain CGI). It must be executable:
# chmod 755.

# Where the data lies: never below the web site, which everybody can read.   CHANGE
export STATE_DIR=/home/USER/integration-service
# A process of mod_fcgid has one request at a time.
export THREADS=1
# Other settings (docs/configuration.md), as NAME=value lines in a file outside of the web site,
# for this one is in it: DATABASE_URL, for example.   CHANGE
settings=/home/USER/integration-service.env
if [ -e "$settings" ]; then
    [ -r "$settings" ] || { echo "cannot read $settings" >&2; exit 1; }
    while IFS= read -r line || [ -n "$line" ]; do # as it stands there: no quotes, nothing is expanded
        case $line in [A-Z]*=*) export "$line" ;; esac
    done <"$settings"
fi

# The program.   CHANGE
exec /home/USER/bin/integration-service
