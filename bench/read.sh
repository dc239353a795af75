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
program=${INTEGRATION_SERVICE:-build/integration-service}
directory=$(mktemp -d)
ticks=$(getconf CLK_TCK)

# free_port: one that nobody listens on now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
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

STATE_DIR=$directory/state PORT=$port LOG_LEVEL=${LOG_LEVEL:-info} "$program" serve --with-nginx \
    >"$directory/out" 2>"$directory/log" &
service=$!
PATH=$PATH:/usr/sbin nginx -e stderr -p "$directory" -c "$directory/peer.conf" &
peer=$!
trap 'kill $service $peer; wait $service $peer || true; rm -rf "$directory"' EXIT
until grep -q ready "$directory/out" && curl -s -o /dev/null "$peer_url"; do sleep 0.1; done

python3 - "$port" <<'PYTHON'
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for i in range(1000):
    body = {"id": f"i{i}", "name": "n", "description": "d", "settings": {"pad": "x" * 100}}
    connection.request("POST", "/integrations", json.dumps(body), {"Content-Type": "application/json"})
    assert connection.getresponse().read()
PYTHON
cat >"$directory/get.lua" <<'LUA'
local n = 0
request = function() n = (n * 7 + 1) % 1000; return wrk.format("GET", "/integrations/i" .. n) end
LUA

# children PID: its child processes; cpu PID…: their CPU time so far, in ticks.
children() { cat "/proc/$1/task/$1/children"; }
cpu() {
    for pid; do cut -d' ' -f14,15 "/proc/$pid/stat"; done | awk '{ sum += $1 + $2 } END { print sum }'
}
workers= nginx=
for pid in $(children $service); do
    if grep -q nginx "/proc/$pid/comm"; then nginx=$(children "$pid"); else workers="$workers $pid"; fi
done
peers=$(children $peer)

# load URL SCRIPT: requests answered and requests/s; fails if any was no success.
load() {
    wrk -t1 -c"$clients" -d"$seconds" --timeout 5 ${2:+-s "$2"} "$1" >"$directory/wrk"
    if grep -E 'Non-2xx|Socket errors' "$directory/wrk" >&2; then exit 1; fi
    awk '/requests in/ { n = $1 } /^Requests\/sec/ { print n, $2 }' "$directory/wrk"
}

echo "| round | | requests/s | worker µs | nginx µs | together µs | × return 200 |"
echo "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
round=1
while [ $round -le "$rounds" ]; do
    # shellcheck disable=SC2086
    before=$(cpu $peers)
    set -- $(load "$peer_url/")
    # shellcheck disable=SC2086
    after=$(cpu $peers)
    base=$(echo "$before $after $1 $ticks" | awk '{ printf "%.2f", ($2 - $1) * 1e6 / $4 / $3 }')
    echo "| $round | nginx, \`return 200\` | ${2%.*} | – | $base | $base | 1.00 |"
    # shellcheck disable=SC2086
    { w0=$(cpu $workers); n0=$(cpu $nginx); }
    set -- $(load "$url/" "$directory/get.lua")
    # shellcheck disable=SC2086
    { w1=$(cpu $workers); n1=$(cpu $nginx); }
    echo "$w0 $w1 $n0 $n1 $1 $ticks $base ${2%.*} $round" | awk '{
        w = ($2 - $1) * 1e6 / $6 / $5; n = ($4 - $3) * 1e6 / $6 / $5
        printf "| %d | GET one | %d | %.2f | %.2f | %.2f | %.2f |\n", $9, $8, w, n, w + n, (w + n) / $7 }'
    round=$((round + 1))
done
