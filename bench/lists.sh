#!/bin/sh
# SPDX-License-Identifier: MIT
# What lists cost, in alternated rounds of one run: a poll of an unchanged list of 1,000 (304) beside
# /health, and the last page of 100,000 beside the first. CPU microseconds a request, user and system,
# of workers and nginx together.
#   bench/lists.sh [ROUNDS] [SECONDS] [CLIENTS]
# Needs a build (./dev build), wrk, curl and python3.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-3} seconds=${2:-5} clients=${3:-32}
. bench/lib.sh
port=$(free_port)
url=http://127.0.0.1:$port

STATE_DIR=$directory/state PORT=$port "$program" serve --with-nginx \
    >"$directory/out" 2>"$directory/log" &
service=$!
trap 'kill $service; wait $service || true; rm -rf "$directory"' EXIT
until grep -q ready "$directory/out"; do sleep 0.1; done
processes=
for pid in $(children $service); do
    if grep -q nginx "/proc/$pid/comm"; then processes="$processes $(children "$pid")"; else processes="$processes $pid"; fi
done

# poll: writes a script for wrk that asks for the list with the tag that it has.
poll() {
    tag=$(curl -sI "$url/integrations" | tr -d '\r' | sed -n 's/^ETag: //p')
    printf "wrk.path = '/integrations'\nwrk.headers['If-None-Match'] = '%s'\n" "$tag" >"$directory/poll.lua"
}

# measure NAME BASE URL [SCRIPT]: a row of the table; its cost goes to $cost. BASE empty: it is the base.
measure() {
    name=$1 base=$2
    shift 2
    # shellcheck disable=SC2086
    before=$(cpu $processes)
    answered=$(load "$1" "$clients" "$seconds" ${2:+"$2"})
    # shellcheck disable=SC2086
    after=$(cpu $processes)
    cost=$(echo "$before $after $answered $ticks" | awk '{ printf "%.2f", ($2 - $1) * 1e6 / $5 / $3 }')
    echo "$answered $cost ${base:-$cost} $round" | awk -v name="$name" \
        '{ printf "| %d | %s | %d | %.2f | %.2f |\n", $5, name, $2, $3, $3 / $4 }'
}

fill "$port"
poll
echo "| round | | requests/s | CPU µs | ratio |"
echo "| ---: | --- | ---: | ---: | ---: |"
round=1
while [ $round -le "$rounds" ]; do
    measure '`/health`' '' "$url/health"
    measure 'poll of 1,000, unchanged' "$cost" "$url" "$directory/poll.lua"
    round=$((round + 1))
done

python3 - "$port" <<'PYTHON'
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for first in range(1000, 100000, 1000):
    operations = [{"op": "create", "integration": {"id": f"i{i}", "name": "n", "description": "d",
                                                   "settings": {"pad": "x" * 100}}}
                  for i in range(first, first + 1000)]
    connection.request("POST", "/integrations:batch", json.dumps({"operations": operations}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.read() and answer.status == 200
PYTHON
round=1
while [ $round -le "$rounds" ]; do
    measure 'first page of 100,000 (`limit=100`)' '' "$url/integrations?limit=100"
    measure 'last page' "$cost" "$url/integrations?limit=100&after=99900"
    round=$((round + 1))
done
