#!/bin/sh
# SPDX-License-Identifier: MIT
# What PostgreSQL costs, beside peers in the same run, in alternated rounds:
#   reads   GET of one of 1,000 integrations, embedded and with a database: CPU µs a request (user and
#           system of workers and nginx)
#   writes  PUT with 8 clients, beside pgbench -M prepared calling the same function with 8 clients on
#           the same server: a second
#   bench/postgres.sh [ROUNDS] [SECONDS]
# Needs a build (./dev build), wrk, curl, python3 and PostgreSQL's server with pgbench.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-3} seconds=${2:-5}
. bench/lib.sh
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)

# A server with its default settings (durable), on a socket.
as_user=
if [ "$(id -u)" -eq 0 ]; then
    as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
fi
mkdir "$directory/postgres"
[ -z "$as_user" ] || chown -R 65534:65534 "$directory/postgres" && chmod 755 "$directory"
server=$directory/postgres
(cd / && $as_user initdb -D "$server/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >"$directory/initdb")
(cd / && $as_user pg_ctl start -w -D "$server/data" -l "$server/log" \
    -o "-c listen_addresses= -c unix_socket_directories=$server" >/dev/null)

embedded_port=$(free_port)
STATE_DIR=$directory/embedded PORT=$embedded_port "$program" serve --with-nginx \
    >"$directory/embedded.out" 2>"$directory/embedded.log" &
embedded=$!
port=$(free_port)
DATABASE_URL="postgresql://postgres@/postgres?host=$server" STATE_DIR=$directory/state PORT=$port \
    "$program" serve --with-nginx >"$directory/out" 2>"$directory/log" &
service=$!
trap 'kill $embedded $service; wait $embedded $service || true
    (cd / && $as_user pg_ctl stop -m immediate -D "$server/data" >/dev/null); rm -rf "$directory"' EXIT
until grep -q ready "$directory/embedded.out" && grep -q ready "$directory/out"; do sleep 0.1; done

fill "$embedded_port"
fill "$port"
cat >"$directory/put.lua" <<'LUA'
local headers = {["Content-Type"] = "application/json"}
request = function()
    local id = "i" .. math.random(0, 999)
    return wrk.format("PUT", "/integrations/" .. id, headers, '{"id":"' .. id ..
        '","name":"n","description":"d","settings":{"pad":"' .. string.rep("x", 100) .. '"}}')
end
LUA
cat >"$directory/put.sql" <<'SQL'
\set n random(0, 999)
\set tag random(1, 9000000000000000000)
SELECT * FROM integration_change('replace', 'i' || :n, ('{"id":"i' || :n || '","name":"n","description":"d","status": false,"settings":{"pad":"' || repeat('x', 100) || '"}}')::json, :tag, 0);
SQL

# serving PID: the workers of a service and of its nginx.
serving() {
    for pid in $(children "$1"); do
        case $(cat "/proc/$pid/comm") in
        nginx) children "$pid" ;;
        follower) ;;
        *) echo "$pid" ;;
        esac
    done
}
# read_cost PID PORT: requests/s and CPU µs a request.
read_cost() {
    # shellcheck disable=SC2046
    before=$(cpu $(serving "$1"))
    loaded=$(load "http://127.0.0.1:$2" 32 "$seconds" "$directory/get.lua")
    # shellcheck disable=SC2046
    after=$(cpu $(serving "$1"))
    echo "$before $after $loaded $ticks" | awk '{ printf "%d %.2f", $4, ($2 - $1) * 1e6 / $5 / $3 }'
}

echo "| round | | requests/s | worker + nginx µs | × embedded |"
echo "| ---: | --- | ---: | ---: | ---: |"
round=1
while [ $round -le "$rounds" ]; do
    one=$(read_cost $embedded "$embedded_port")
    other=$(read_cost $service "$port")
    echo "$round $one $other" | awk '{
        printf "| %d | GET one, embedded | %d | %.2f | 1.00 |\n", $1, $2, $3
        printf "| %d | GET one, with a database | %d | %.2f | %.2f |\n", $1, $4, $5, $5 / $3 }'
    round=$((round + 1))
done
echo
echo "| round | | changes/s | × pgbench |"
echo "| ---: | --- | ---: | ---: |"
round=1
while [ $round -le "$rounds" ]; do
    (cd / && pgbench -n -M prepared -c 8 -j 2 -T "$seconds" -f "$directory/put.sql" -h "$server" -U postgres \
        postgres >"$directory/pgbench" 2>&1) || { cat "$directory/pgbench"; exit 1; }
    base=$(awk '/^tps/ { print $3 }' "$directory/pgbench")
    set -- $(load "http://127.0.0.1:$port" 8 "$seconds" "$directory/put.lua")
    echo "$round $base $2" | awk '{
        printf "| %d | pgbench | %d | 1.00 |\n| %d | PUT | %d | %.2f |\n", $1, $2, $1, $3, $3 / $2 }'
    round=$((round + 1))
done
