# SPDX-License-Identifier: MIT
# What the benchmarks share; sourced by them in the top directory. Gives $directory, which the
# caller's trap removes.
directory=$(mktemp -d)
program=${INTEGRATION_SERVICE:-build/integration-service}
export LOG_LEVEL="${LOG_LEVEL:-info}"
ticks=$(getconf CLK_TCK)
PATH=$PATH:/usr/sbin

# free_port: one that nobody listens on now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# fill PORT [KEY]: makes 1,000 integrations, each with three tokens as Facebook's has.
fill() {
    python3 - "$1" "${2-}" <<'PYTHON'
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for i in range(1000):
    body = {"id": f"i{i}", "name": "n", "description": "d", "settings": {
        "verify": "x" * 20, "secret": "x" * 32, "page_access_token": "x" * 180}}
    connection.request("POST", "/integrations", json.dumps(body),
                       {"Content-Type": "application/json", "X-API-Key": sys.argv[2]})
    assert connection.getresponse().read()
PYTHON
}

cat >"$directory/get.lua" <<'LUA'
local n = 0
local key = os.getenv("KEY")
if key then wrk.headers["X-API-Key"] = key end
request = function() n = (n * 7 + 1) % 1000; return wrk.format("GET", "/integrations/i" .. n) end
LUA

# children PID: its child processes; cpu PID…: their CPU time so far, in ticks.
children() { cat "/proc/$1/task/$1/children"; }
cpu() {
    for pid; do cut -d' ' -f14,15 "/proc/$pid/stat"; done | awk '{ sum += $1 + $2 } END { print sum }'
}

# load URL CLIENTS SECONDS [SCRIPT]: requests answered and requests/s; fails if any was no success.
load() {
    wrk -t1 -c"$2" -d"$3" --timeout 5 ${4:+-s "$4"} "$1" >"$directory/wrk"
    if grep -E 'Non-2xx|Socket errors' "$directory/wrk" >&2; then exit 1; fi
    awk '/requests in/ { n = $1 } /^Requests\/sec/ { print n, $2 }' "$directory/wrk"
}
