#!/bin/sh
# SPDX-License-Identifier: MIT
# What a read costs: GET of one of 1,000 integrations through nginx, without keys, with one that sees
# secrets, also where settings are sealed, and with one for which three are masked, beside nginx answering by itself (`return 200`), in
# alternated rounds of one run. CPU microseconds a request, user and system, of the
# processes named; the ratio is what counts, machines differ.
#   bench/read.sh [ROUNDS] [SECONDS] [CLIENTS]
# Needs a build (./dev build), wrk, curl and python3.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-3} seconds=${2:-5} clients=${3:-32}
. bench/lib.sh
port=$(free_port)
keyed_port=$(free_port)
sealed_port=$(free_port)
peer_port=$(free_port)
peer_url=http://127.0.0.1:$peer_port

cat >"$directory/peer.conf" <<CONF
daemon off; pid peer.pid; error_log stderr error; worker_processes auto;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 100000;
    client_body_temp_path a; fastcgi_temp_path b; proxy_temp_path c; scgi_temp_path d; uwsgi_temp_path e;
    server {
        listen 127.0.0.1:$peer_port backlog=4096;
        location / { default_type application/json; return 200 '{"status":"ok"}'; }
    }
}
CONF

secrets=$(STATE_DIR=$directory/keyed "$program" key new a --scopes secrets,write 2>/dev/null)
masked=$(STATE_DIR=$directory/keyed "$program" key new b --scopes read)
mkdir "$directory/sealed"
cp "$directory/keyed/keys" "$directory/sealed/keys"
echo "k1 $(head -c 32 /dev/urandom | base64)" >"$directory/encryption-keys"
STATE_DIR=$directory/state PORT=$port "$program" serve --with-nginx >"$directory/out" 2>"$directory/log" &
service=$!
STATE_DIR=$directory/keyed PORT=$keyed_port "$program" serve --with-nginx \
    >"$directory/keyed.out" 2>"$directory/keyed.log" &
keyed=$!
STATE_DIR=$directory/sealed PORT=$sealed_port ENCRYPTION_KEYS_FILE=$directory/encryption-keys \
    "$program" serve --with-nginx >"$directory/sealed.out" 2>"$directory/sealed.log" &
sealed=$!
nginx -e stderr -p "$directory" -c "$directory/peer.conf" &
peer=$!
trap 'kill $service $keyed $sealed $peer; wait $service $keyed $sealed $peer || true; rm -rf "$directory"' EXIT
until grep -q ready "$directory/out" && grep -q ready "$directory/keyed.out" &&
    grep -q ready "$directory/sealed.out" && curl -s -o /dev/null "$peer_url"; do sleep 0.1; done

fill "$port"
fill "$keyed_port" "$secrets"
fill "$sealed_port" "$secrets"

# of PID NAME: the processes of a service, those of its nginx or the others.
of() {
    for pid in $(children "$1"); do
        if grep -q nginx "/proc/$pid/comm"; then
            [ "$2" = workers ] || children "$pid"
        elif [ "$2" = workers ]; then
            echo "$pid"
        fi
    done
}
peers=$(children $peer)

# row ROUND NAME SERVICE PORT BASE: loads a service, and says what it cost.
row() {
    # shellcheck disable=SC2046
    { w0=$(cpu $(of "$3" workers)); n0=$(cpu $(of "$3" nginx)); }
    loaded=$(load "http://127.0.0.1:$4/" "$clients" "$seconds" "$directory/get.lua")
    # shellcheck disable=SC2046
    { w1=$(cpu $(of "$3" workers)); n1=$(cpu $(of "$3" nginx)); }
    echo "$w0 $w1 $n0 $n1 $loaded $ticks $5" | awk -v round="$1" -v name="$2" '{
        w = ($2 - $1) * 1e6 / $7 / $5; n = ($4 - $3) * 1e6 / $7 / $5
        printf "| %d | %s | %d | %.2f | %.2f | %.2f | %.2f |\n", round, name, $6, w, n, w + n, (w + n) / $8 }'
}

echo "| round | | requests/s | worker µs | nginx µs | together µs | × return 200 |"
echo "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
round=1
while [ $round -le "$rounds" ]; do
    # shellcheck disable=SC2086
    before=$(cpu $peers)
    set -- $(load "$peer_url/" "$clients" "$seconds")
    # shellcheck disable=SC2086
    after=$(cpu $peers)
    base=$(echo "$before $after $1 $ticks" | awk '{ printf "%.2f", ($2 - $1) * 1e6 / $4 / $3 }')
    echo "| $round | nginx, \`return 200\` | ${2%.*} | – | $base | $base | 1.00 |"
    row "$round" "GET one" "$service" "$port" "$base"
    export KEY="$secrets"; row "$round" "GET one, with a key" "$keyed" "$keyed_port" "$base"
    row "$round" "GET one, with a key, sealed" "$sealed" "$sealed_port" "$base"
    export KEY="$masked"; row "$round" "GET one, masked" "$keyed" "$keyed_port" "$base"
    unset KEY
    round=$((round + 1))
done
