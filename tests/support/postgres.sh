#!/bin/sh
# SPDX-License-Identifier: MIT
# Starts or stops a PostgreSQL server for the unit tests, run by an unprivileged user, with its
# socket in DIRECTORY:
#   postgres.sh start|stop DIRECTORY
set -eu
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
directory=$2
as_user=
if [ "$(id -u)" -eq 0 ]; then # the server refuses to run as root
    chown 65534:65534 "$directory"
    as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
fi
cd /
case $1 in
start)
    $as_user initdb -D "$directory/data" -U postgres -A trust -N -E UTF8 --locale=C.UTF-8 \
        --no-instructions >"$directory/log"
    $as_user pg_ctl start -w -D "$directory/data" -l "$directory/server.log" \
        -o "-c listen_addresses= -c unix_socket_directories=$directory -c fsync=off" >>"$directory/log"
    ;;
stop)
    $as_user pg_ctl stop -w -m immediate -D "$directory/data" >/dev/null
    ;;
esac
