# SPDX-License-Identifier: MIT
"""The API's document, held against itself and against the running service."""

import os
import re
import subprocess
import tempfile
import unittest

import openapi  # before Hypothesis: says where that one keeps what it finds
from hypothesis import HealthCheck, Phase, given, seed, settings
from service import LOAD_SECONDS, Service, integration, quote

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

# What leads to each status of each operation: (status, method, path, body, headers).
JSON = {"Content-Type": "application/json"}
FACEBOOK = integration("facebook", status=True, settings={"secret": "x"})
LARGE = integration("facebook", settings={"pad": "x" * 1048576})
BAD = integration("facebook", status="perhaps")
GZIP = {"Content-Encoding": "gzip"}


def as_it_is(client):
    """The body of a request that restores the newest version."""
    return {"revision": client.request("GET", "/integrations/facebook/history").json[0]["revision"]}


STATUSES = [
    (200, "GET", "/integrations", None, {}),
    (200, "GET", "/integrations?limit=1&fields=id,etag&status=true&q=n&id=facebook&after=0", None, {}),
    (304, "GET", "/integrations", None, {"If-None-Match": "*"}),
    (412, "GET", "/integrations", None, {"If-Match": '"999999999"'}),
    (422, "GET", "/integrations?limit=0", None, {}),
    (201, "POST", "/integrations", integration("new"), {}),
    (400, "POST", "/integrations", FACEBOOK, {}),
    (412, "POST", "/integrations", integration("new"), {"If-Match": '"999999999"'}),
    (413, "POST", "/integrations", LARGE, {}),
    (415, "POST", "/integrations", integration("new"), GZIP),
    (422, "POST", "/integrations", BAD, {}),
    (200, "GET", "/integrations/facebook", None, {}),
    (304, "GET", "/integrations/facebook", None, {"If-None-Match": "*"}),
    (404, "GET", "/integrations/none", None, {}),
    (412, "GET", "/integrations/facebook", None, {"If-Match": '"999999999"'}),
    (422, "GET", "/integrations/facebook?fields=x", None, {}),
    (200, "PUT", "/integrations/facebook", FACEBOOK, {}),
    (201, "PUT", "/integrations/new", integration("new"), {"If-None-Match": "*"}),
    (400, "PUT", "/integrations/facebook", b'"\xff"', JSON),
    (404, "PUT", "/integrations/none", integration("none"), {}),
    (412, "PUT", "/integrations/facebook", FACEBOOK, {"If-Match": '"999999999"'}),
    (413, "PUT", "/integrations/facebook", LARGE, {}),
    (415, "PUT", "/integrations/facebook", FACEBOOK, GZIP),
    (422, "PUT", "/integrations/facebook", BAD, {}),
    (200, "PATCH", "/integrations/facebook", {"status": None}, {}),
    (400, "PATCH", "/integrations/facebook", b'"\xff"', JSON),
    (404, "PATCH", "/integrations/none", {}, {}),
    (412, "PATCH", "/integrations/facebook", {}, {"If-Match": '"999999999"'}),
    (413, "PATCH", "/integrations/facebook", LARGE, {}),
    (415, "PATCH", "/integrations/facebook", b"x", {"Content-Type": "text/plain"}),
    (422, "PATCH", "/integrations/facebook", {"name": None}, {}),
    (204, "DELETE", "/integrations/facebook", None, {}),
    (404, "DELETE", "/integrations/none", None, {}),
    (412, "DELETE", "/integrations/facebook", None, {"If-Match": '"999999999"'}),
    (200, "GET", "/integrations/facebook/history?limit=1&after=999999999", None, {}),
    (404, "GET", "/integrations/none/history", None, {}),
    (422, "GET", "/integrations/facebook/history?limit=0", None, {}),
    (200, "POST", "/integrations/facebook/restore", as_it_is, {}),
    (404, "POST", "/integrations/facebook/restore", {"revision": 999999999}, {}),
    (412, "POST", "/integrations/facebook/restore", as_it_is, {"If-Match": '"999999999"'}),
    (413, "POST", "/integrations/facebook/restore", LARGE, {}),
    (415, "POST", "/integrations/facebook/restore", {"revision": 1}, GZIP),
    (422, "POST", "/integrations/facebook/restore", {"revision": "x"}, {}),
    (200, "GET", "/changes?limit=1&wait=0&ids=facebook,x%252Cy&provider=facebook", None, {}),
    (410, "GET", "/changes?after=999999999-1", None, {}),
    (422, "GET", "/changes?after=x", None, {}),
    (200, "POST", "/integrations:batch", {"operations": [{"op": "delete", "id": "facebook"}]}, {}),
    (400, "POST", "/integrations:batch", b'"\xff"', JSON),
    (409, "POST", "/integrations:batch", {"operations": [{"op": "delete", "id": "none"}]}, {}),
    (412, "POST", "/integrations:batch", {"operations": []}, {"If-None-Match": "*"}),
    (413, "POST", "/integrations:batch", LARGE, {}),
    (415, "POST", "/integrations:batch", {"operations": []}, GZIP),
    (422, "POST", "/integrations:batch", {"operations": [{}]}, {}),
    (200, "GET", "/providers", None, {}),
    (200, "GET", "/providers/slack", None, {}),
    (404, "GET", "/providers/none", None, {}),
    (200, "GET", "/health", None, {}),
    (200, "GET", "/readiness", None, {}),
    (200, "GET", "/ready", None, {}),
    (200, "GET", "/metrics", None, {}),
    (200, "GET", "/metrics", None, {"Accept": "application/openmetrics-text"}),
    (200, "GET", "/openapi.json", None, {}),
    (200, "GET", "/docs", None, {}),
    (200, "GET", "/redoc", None, {}),
]
# These are nginx's, or for keys, or of what is not kept, or tell that something is broken: tests of
# nginx, of access, of the history, and of each failure of a store, have them.
ELSEWHERE = {"401", "403", "410", "500", "503", "507"}


class Documented(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service(LOG_LEVEL="critical").__enter__()
        cls.addClassCleanup(cls.service.__exit__, None, None, None)
        cls.document = openapi.Document(cls.service.request("GET", "/openapi.json").json)

    def setUp(self):
        for item in self.service.request("GET", "/integrations?fields=id").json:
            self.service.request("DELETE", "/integrations/" + quote(item["id"]))
        self.assertEqual(self.service.request("POST", "/integrations", FACEBOOK).status, 201)

    def test_examples_fit_their_schemas(self):
        examples = list(self.document.examples())
        self.assertGreater(len(examples), 20)
        for where, schema, value in examples:
            with self.subTest(where):
                self.assertEqual(self.document.faults(schema, value), [])

    def operation(self, method, path):
        path = path.partition("?")[0]
        item = self.document.document["paths"].get(path.replace("/facebook/", "/{id}/")
                                                   .replace("/none/", "/{id}/"))
        if item is None:
            above = path.rpartition("/")[0]
            item = next(item for template, item in self.document.document["paths"].items()
                        if template.startswith(f"{above}/{{"))
        return item[method.lower()]

    def test_every_status_is_as_described(self):
        seen = {}
        for prefix in "", "/admin":
            for status, method, path, body, headers in STATUSES:
                if prefix and not re.match(r"/integrations(/[^/]+)?(\?|$)", path):
                    continue
                self.setUp()
                client = self.service.client()
                if callable(body):
                    body = body(client)
                for accept in {}, {"Accept": "application/problem+json"}:
                    if accept and (status < 400 or "Accept" in headers):
                        continue
                    answer = client.request(method, prefix + path, body, {**headers, **accept})
                    place = f"{method} {prefix}{path} {headers}: {answer!r}"
                    self.assertEqual(answer.status, status, place)
                    self.assertEqual(self.document.faults_of_answer(
                        self.operation(method, prefix + path), answer), [], place)
                client.close()
                name = self.operation(method, prefix + path)["operationId"]
                seen.setdefault(name, set()).add(str(status))
        for _, _, operation, _ in self.document.operations():
            described = set(operation["responses"]) - ELSEWHERE - {"400", "428"}
            name = operation["operationId"]
            self.assertEqual(described - seen.get(name, set()), set(), name)

    def test_a_condition_that_is_required(self):
        with Service(REQUIRE_IF_MATCH="on") as service:
            for method, path, body in (("PUT", "/integrations/facebook", FACEBOOK),
                                       ("PATCH", "/integrations/facebook", {}),
                                       ("DELETE", "/integrations/facebook", None),
                                       ("POST", "/integrations:batch",
                                        {"operations": [{"op": "delete", "id": "facebook"}]})):
                answer = service.request(method, path, body)
                self.assertEqual(answer.status, 428)
                self.assertEqual(
                    self.document.faults_of_answer(self.operation(method, path), answer), [])

    def test_any_request_is_answered_as_described(self):
        client = self.service.client()
        statuses = {}

        def check(operation, request):
            method, target, headers, body = request
            answer = client.request(method, target, body, headers)
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            self.assertLess(answer.status, 500, (request, answer))
            self.assertEqual(self.document.faults_of_answer(operation, answer), [],
                             (request, answer))

        # So many requests an operation: the number does not depend on how fast they are answered.
        examples = int(max(100, 20 * LOAD_SECONDS))
        for method, path, operation, parameters in self.document.operations():
            @seed(1)
            @settings(max_examples=examples, deadline=None, database=None, print_blob=False,
                      phases=[Phase.generate, Phase.shrink],
                      suppress_health_check=list(HealthCheck))
            @given(openapi.requests(self.document, method, path, operation, parameters))
            def run(request):
                check(operation, request)

            with self.subTest(f"{method} {path}"):
                run()
        client.close()
        self.assertLessEqual({200, 201, 400, 404, 412, 422}, set(statuses), statuses)


class Build(unittest.TestCase):
    def check(self, change):
        """What the build's check says of the program's routes, changed."""
        with open(os.path.join(ROOT, "src", "app", "table.c"), encoding="utf-8") as file:
            table = file.read()
        self.assertNotEqual(change(table), table)
        with tempfile.NamedTemporaryFile("w", suffix=".c") as changed:
            changed.write(change(table))
            changed.flush()
            return subprocess.run(
                [os.path.join(ROOT, "build-aux", "openapi-json"),
                 os.path.join(ROOT, "api", "openapi.yaml"), changed.name, "1"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)

    def test_a_route_in_one_place_only_fails_it(self):
        result = self.check(lambda table: table.replace('ROW("/ready"', 'ROW("/steady"'))
        self.assertEqual(result.returncode, 1)
        self.assertIn("no word of GET /steady", result.stderr)
        self.assertIn("there is no GET /ready", result.stderr)
        result = self.check(lambda table: table.replace("[HTTP_PATCH]", "[HTTP_OTHER]"))
        self.assertIn("there is no PATCH /integrations/{id}", result.stderr)
        result = self.check(lambda table: table.replace("SCOPE_WRITE", "SCOPE_NONE"))
        self.assertIn("POST /integrations must say {}", result.stderr)
        result = self.check(lambda table: table.replace("SCOPE_NONE", "SCOPE_READ"))
        self.assertIn("GET /health must say {'security'", result.stderr)
        self.assertEqual(self.check(lambda table: table + "/* as it is */\n").returncode, 0)


if __name__ == "__main__":
    unittest.main()
