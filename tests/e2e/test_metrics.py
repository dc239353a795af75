# SPDX-License-Identifier: MIT
"""The service seen from outside: by a real Prometheus, and by who reads its log."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

import fastcgi
from postgres import Postgres
from service import LOAD_SECONDS, PATIENCE, Service, free_port, integration, wait_for
from test_load import in_threads, join

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")
TRACE = "0af7651916cd43dd8448eb211c80319c"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;q=0.75," \
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def promtool(text):
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)


class Prometheus:
    """A real one that scrapes a service each second; a context manager."""

    def __init__(self, service):
        self.directory = tempfile.mkdtemp(prefix="integration-prometheus-")
        self.port = free_port()
        with open(os.path.join(self.directory, "config.yml"), "w", encoding="ascii") as file:
            file.write(f"""global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: integration-service
    static_configs: [{{targets: ["127.0.0.1:{service.port}"]}}]
""")

    def __enter__(self):
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.directory}/config.yml",
             f"--storage.tsdb.path={self.directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"])
        wait_for("Prometheus to see the service up", lambda: self.value("up") == 1, 60)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def query(self, expression):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + \
            urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    def value(self, expression):
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else None


class Seen(unittest.TestCase):
    def test_prometheus_counts_what_was_sent(self):
        with Service(LOG_LEVEL="warning") as service, Prometheus(service) as prometheus:
            service.request("POST", "/integrations", integration("one"))
            answered = [0] * 8
            stop = threading.Event()

            def work(number):
                client = service.client()
                while not stop.is_set():
                    if client.request("GET", "/integrations/one").status == 200:
                        answered[number] += 1
                client.close()

            threads, failures = in_threads(8, work)
            for _ in range(max(int(LOAD_SECONDS / 2), 2)):
                time.sleep(2)
                os.kill(random.choice(service.worker_pids()), signal.SIGKILL)
            stop.set()
            join(threads, failures)
            # A killed worker may have counted an answer that nginx did not get.
            ours = service.metrics()[
                'http_requests_total{method="GET",endpoint="/integrations/{id}",http_status="200"}']
            self.assertLessEqual(sum(answered), ours)
            self.assertLessEqual(ours - sum(answered), 8 * LOAD_SECONDS)
            one = 'http_requests_total{endpoint="/integrations/{id}",method="GET",http_status="200"}'
            wait_for("Prometheus to have it all", lambda: prometheus.value(one) == ours)
            # From now on nobody is killed.
            client = service.client()
            for _ in range(500):
                self.assertEqual(client.request("GET", "/integrations/one").status, 200)
            client.close()
            self.assertEqual(wait_for("the rest", lambda: (
                value := prometheus.value(one)) != ours and value >= ours + 500 and value), ours + 500)
            self.assertEqual(prometheus.value("min_over_time(up[1m])"), 1)
            self.assertGreater(prometheus.value("integration_worker_endings_total"
                                                '{reason="signal"}'), 0)
            for counter in "http_requests_total", "http_request_latency_seconds_count", \
                    "integration_store_operations_total", "process_cpu_seconds_total":
                self.assertEqual(prometheus.value(f"sum(resets({counter}[5m]))"), 0, counter)

    def test_both_formats_are_well_formed(self):
        with Postgres() as server:
            with Service(DATABASE_URL=server.url) as service:
                for n in range(3):
                    service.request("POST", "/integrations", integration(f"i{n}"))
                    service.request("GET", f"/integrations/i{n}")
                service.request("GET", "/integrations")
                service.request("GET", "/readiness")
                text = service.request("GET", "/metrics")
                self.assertEqual(text.headers["Content-Type"],
                                 "text/plain; version=0.0.4; charset=utf-8")
                result = promtool(text.body)
                self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))
                openmetrics = service.request("GET", "/metrics", None, {"Accept": OPENMETRICS})
                self.assertEqual(openmetrics.headers["Content-Type"],
                                 "application/openmetrics-text; version=1.0.0; charset=utf-8")
                body = openmetrics.body.decode()
                self.assertTrue(body.endswith("# EOF\n"))
                self.assertIn("# TYPE http_requests counter\n", body)
                self.assertIn("\nhttp_requests_total{", body)
                self.assertNotIn("# EOF", text.body.decode())
                families = re.findall(r"^# TYPE (\S+)", body, re.M)
                self.assertEqual(len(families), len(set(families)))
                samples = service.metrics()
                self.assertEqual(samples['integration_store_operations_total'
                                         '{operation="change",outcome="ok"}'], 3)
                self.assertEqual(samples['integration_store_operation_seconds_count'
                                         '{operation="get"}'], 3)
                # A real Prometheus takes it (a page that it cannot read makes the target down).
                with Prometheus(service) as prometheus:
                    self.assertEqual(prometheus.value("integration_database_up"), 1)

    def test_the_rules_are_right(self):
        for words in ["check", "rules", "rules.yml"], ["check", "config", "prometheus.yml"], \
                ["test", "rules", "rules_test.yml"]:
            result = subprocess.run(["promtool", *words], cwd=os.path.join(DEPLOY, "prometheus"),
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_rules_and_dashboard_ask_for_what_there_is(self):
        with open(os.path.join(DEPLOY, "prometheus", "rules.yml"), encoding="utf-8") as file:
            rules = file.read()
        with open(os.path.join(DEPLOY, "grafana", "integration-service.json"),
                  encoding="utf-8") as file:
            panels = [panel for panel in json.load(file)["panels"] if panel["type"] != "row"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        with Postgres() as server:
            with Service(DATABASE_URL=server.url) as service, Prometheus(service) as prometheus:
                stop = threading.Event()

                def work(number):
                    client = service.client()
                    while not stop.wait(0.01):
                        client.request("POST", "/integrations", integration(f"i{number}"))
                        client.request("GET", f"/integrations/i{number}")
                        client.request("DELETE", f"/integrations/i{number}")
                        client.request("GET", "/readiness")
                    client.close()

                threads, failures = in_threads(2, work)
                os.kill(service.worker_pids()[0], signal.SIGKILL)
                time.sleep(5)
                families = {re.sub(r"(_bucket|_sum|_count)?({.*)?$", "", name)
                            for name in service.metrics()} | {"up"}
                asked = set(re.findall(r"\b(?:http|process|integration)_\w+\b(?=[{\[ )])", rules))
                self.assertGreaterEqual(len(asked), 8)
                self.assertEqual({re.sub("_bucket$", "", name) for name in asked} - families, set())
                for panel in panels:
                    for target in panel["targets"]:
                        query = target["expr"].replace("$job", "integration-service").replace(
                            "$__rate_interval", "10s")
                        wait_for(f"data of {panel['title']}: {query}",
                                 lambda query=query: prometheus.query(query), 15)
                stop.set()
                join(threads, failures)

    def test_random_paths_add_no_series(self):
        with Service(LOG_LEVEL="error") as service:
            client = service.client()
            for _ in range(2):
                client.request("GET", "/integrations/x")
                client.request("BREW", "/integrations/tea")
                client.request("GET", "/nothing")
            service.metrics()
            before = len(service.metrics())
            for n in range(200):
                client.request(f"M{n}", f"/integrations/{n}")
            client.close()
            script = os.path.join(service.directory, "random.lua")
            with open(script, "w", encoding="ascii") as file:
                file.write("""local n = 0
                    local methods = {"PROPFIND", "LOCK", "REPORT", "MKCOL"}
                    request = function()
                        n = n + 1
                        local path = "/integrations/" .. math.random() .. n
                        if n % 3 == 1 then return wrk.format(methods[n % 4 + 1], path) end
                        if n % 3 == 2 then return wrk.format("GET", path .. "/x?" .. n) end
                        return wrk.format("GET", path)
                    end""")
            sent = 0
            while sent < 100000 / PATIENCE:
                output = subprocess.run(
                    ["wrk", "-t1", "-c16", "-d2", "-s", script, f"http://127.0.0.1:{service.port}"],
                    capture_output=True, text=True, check=True).stdout
                self.assertNotIn("Socket errors", output)
                sent += int(re.search(r"(\d+) requests in", output).group(1))
            self.assertEqual(len(service.metrics()), before)

    def test_nobody_writes_a_log_line_but_the_service(self):
        planted = 'x"}\n{"level":"critical","msg":"planted"}\r\x1b[2J\0\x85\u2028'
        with Service(LOG_LEVEL="debug") as service:
            for name in ("REQUEST_METHOD", "REQUEST_URI", "HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT",
                         "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_ORIGIN", "REMOTE_ADDR", planted):
                pairs = {"REQUEST_METHOD": "POST", "REQUEST_URI": "/integrations", name: planted}
                connection = fastcgi.Connection(service.socket)
                connection.send(fastcgi.begin(keep=False) + fastcgi.params(
                    pairs.pop("REQUEST_METHOD"), pairs.pop("REQUEST_URI"), **pairs) +
                    fastcgi.stdin(json.dumps(integration(planted)).encode()))
                self.assertGreaterEqual(connection.answer()[0], 200)
                connection.close()
            service.request("GET", "/health")
            service.stop()
            lines = [line for line in service.stderr().split("\n")
                     if not re.match(r"\d{4}/\d\d/\d\d |$", line)]  # nginx's own
            self.assertNotIn("planted", "".join(lines))
            requests = [json.loads(line) for line in lines if '"msg":"request"' in line]
            self.assertGreaterEqual(len(requests), 9)
            for line in lines:
                self.assertTrue(line.isascii() and line.isprintable(), line)
                self.assertEqual(list(json.loads(line))[:3], ["time", "level", "msg"])

    def test_a_trace_is_taken_up_and_passed_on(self):
        with Service() as service:
            def line_of(answer):  # which is written after it
                return wait_for("its line", lambda: [
                    line for line in service.log("request")
                    if line["request_id"] == answer.headers["X-Request-ID"]])[0]

            answer = service.request("GET", "/health", None,
                                     {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
            version, trace, span, flags = answer.headers["traceparent"].split("-")
            self.assertEqual((version, trace, flags), ("00", TRACE, "01"))
            line = line_of(answer)
            self.assertEqual((line["trace_id"], line["span_id"], line["parent_id"]),
                             (TRACE, span, "b7ad6b7169203331"))
            plain = service.request("GET", "/health", None, {"traceparent": "00-x"})
            self.assertIsNone(plain.headers["traceparent"])
            self.assertNotIn("trace_id", line_of(plain))

    def test_a_log_that_nobody_reads_keeps_nobody_waiting(self):
        reader, writer = os.pipe()
        with Service(nginx=True) as service:
            service.stop()
            # Its standard error becomes a pipe that nobody empties.
            real = subprocess.Popen
            try:
                subprocess.Popen = lambda *words, **options: real(
                    *words, **{**options, "stderr": writer})
                service.start()
            finally:
                subprocess.Popen = real
            client = service.client()
            longest = 0
            for _ in range(3000):
                started = time.monotonic()
                self.assertEqual(client.request("GET", "/health").status, 200)
                longest = max(longest, time.monotonic() - started)
            client.close()
            self.assertLess(longest, 1 * PATIENCE)
            self.assertGreater(service.metrics()["integration_log_dropped_lines_total"], 1000)
            os.read(reader, 65536)
            service.stop()
        os.close(reader)
        os.close(writer)


if __name__ == "__main__":
    unittest.main()
