#!/bin/sh
# SPDX-License-Identifier: MIT
# What a read costs: GET of one of 1,000 integrations through nginx, beside nginx answering by itself
# (`return 200`), in alternated rounds of one run. CPU microseconds a request, user and system, of the
# processes named; the ratio is what counts, machines differ.
#   bench/read.sh [ROUNDS] [SECONDS] [CLIENTS]
# Needs a build (./dev build), wrk, curl and python3.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-3} seconds=${2:-5} clients=${3:-32}
. bench/lib.sh
port=$(free_port)
peer_port=$(free_port)
url=http://127.0.0.1:$port
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

STATE_DIR=$directory/state PORT=$port "$program" serve --with-nginx \
    >"$directory/out" 2>"$directory/log" &
service=$!
nginx -e stderr -p "$directory" -c "$directory/peer.conf" &
peer=$!
trap 'kill $service $peer; wait $service $peer || true; rm -rf "$directory"' EXIT
until grep -q ready "$directory/out" && curl -s -o /dev/null "$peer_url"; do sleep 0.1; done

fill "$port"

workers= nginx=
for pid in $(children $service); do
    if grep -q nginx "/proc/$pid/comm"; then nginx=$(children "$pid"); else workers="$workers $pid"; fi
done
peers=$(children $peer)

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
    # shellcheck disable=SC2086
    { w0=$(cpu $workers); n0=$(cpu $nginx); }
    set -- $(load "$url/" "$clients" "$seconds" "$directory/get.lua")
    # shellcheck disable=SC2086
    { w1=$(cpu $workers); n1=$(cpu $nginx); }
    echo "$w0 $w1 $n0 $n1 $1 $ticks $base ${2%.*} $round" | awk '{
        w = ($2 - $1) * 1e6 / $6 / $5; n = ($4 - $3) * 1e6 / $6 / $5
        printf "| %d | GET one | %d | %.2f | %.2f | %.2f | %.2f |\n", $9, $8, w, n, w + n, (w + n) / $7 }'
    round=$((round + 1))
done
