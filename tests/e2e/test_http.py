# SPDX-License-Identifier: MIT
"""HTTP as clients speak it, well and badly, through nginx."""

import json
import os
import socket
import unittest

from service import PATIENCE, Client, Service, answers, integration, own_nginx, wait_for

def head(line, *headers, body=b""):
    """A raw request, its Host and the end of its headers added."""
    lines = [line, "Host: localhost", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def post(body, *headers, content_type="application/json"):
    if isinstance(body, str):
        body = body.encode()
    return head("POST /integrations HTTP/1.1", f"Content-Type: {content_type}",
                f"Content-Length: {len(body)}", *headers, body=body)


def document(**members):
    return json.dumps({**integration("bad"), **members})


def settings(text):
    return '{"id":"bad","name":"n","description":"d","settings":%s}' % text


SYNTAX = "value_error.jsondecode"

# Each request with the status it gets, and the `type` of a validation error or the `detail`.
BAD = [
    # the request line and the headers: nginx refuses them
    (b"\r\n\r\nnonsense\r\n\r\n", 400, "Bad Request"),
    (b"GET\r\n\r\n", 400, "Bad Request"),
    (head("GET /health HTTP/9.9"), 505, "HTTP Version Not Supported"),
    (head("GET /health FTP/1.1"), 400, "Bad Request"),
    (b"GET /health HTTP/1.1\r\n\r\n", 400, "Bad Request"),  # no Host
    (head("G@T /health HTTP/1.1"), 400, "Bad Request"),
    (head("GET /%zz HTTP/1.1"), 400, "Bad Request"),
    (head("GET /integrations/%00 HTTP/1.1"), 400, "Bad Request"),
    (head("GET /integrations/%4 HTTP/1.1"), 400, "Bad Request"),
    (head("GET /.. HTTP/1.1"), 400, "Bad Request"),
    (head("GET /integrations/../../x HTTP/1.1"), 400, "Bad Request"),
    (head("GET /" + "x" * 40000 + " HTTP/1.1"), 414, "Request URI too long"),
    (head("GET /health HTTP/1.1", "X: " + "y" * 80000), 431, "Request header fields too large"),
    (head("GET /health HTTP/1.1", *(f"X{i}: {'y' * 9000}" for i in range(9))), 431,
     "Request header fields too large"),
    (head("OPTIONS * HTTP/1.1"), 400, "Bad Request"),  # nginx knows no such target
    (head("GET /health HTTP/1.1", "Host: y"), 400, "Bad Request"),
    (head("POST /integrations HTTP/1.1", "Content-Length: -1"), 400, "Bad Request"),
    (head("POST /integrations HTTP/1.1", "Content-Length: 1x"), 400, "Bad Request"),
    (head("POST /integrations HTTP/1.1", "Content-Length: 2", "Content-Length: 3", body=b"{}"),
     400, "Bad Request"),
    (head("POST /integrations HTTP/1.1", "Content-Length: 2", "Transfer-Encoding: chunked",
          body=b"0\r\n\r\n"), 400, "Bad Request"),
    (head("POST /integrations HTTP/1.1", "Transfer-Encoding: gzip"), 501, "Not Implemented"),
    (head("POST /integrations HTTP/1.1", "Transfer-Encoding: chunked", body=b"zz\r\n"), 400, "Bad Request"),
    (head("TRACE /health HTTP/1.1"), 405, "Method Not Allowed"),
    # paths and methods
    (head("GET / HTTP/1.1"), 404, "Not Found"),
    (head("GET //integrations HTTP/1.1"), 404, "Not Found"),
    (head("GET /integrations/a/b HTTP/1.1"), 404, "Not Found"),
    (head("GET /INTEGRATIONS HTTP/1.1"), 404, "Not Found"),
    (head("GET /integrations/none HTTP/1.1"), 404, "not found"),
    (head("GET /integrations/%FF HTTP/1.1"), 404, "not found"),
    (head("GET /integrations/%C0%80 HTTP/1.1"), 404, "not found"),
    (head("GET /integrations/" + "x" * 256 + " HTTP/1.1"), 404, "not found"),
    (head("GET /integrations/" + "x" * 9000 + " HTTP/1.1"), 404, "not found"),
    (head("GET /integrations/a%0Ab HTTP/1.1"), 404, "not found"),
    (head("GET http://localhost/integrations/none HTTP/1.1"), 404, "not found"),
    (head("DELETE /integrations/none HTTP/1.1"), 404, "not found"),
    (head("DELETE /integrations HTTP/1.1"), 405, "Method Not Allowed"),
    (head("PATCH /integrations HTTP/1.1"), 405, "Method Not Allowed"),
    (head("FOO /integrations HTTP/1.1"), 405, "Method Not Allowed"),
    (head("POST /health HTTP/1.1", "Content-Length: 0"), 405, "Method Not Allowed"),
    # bodies: their size and kind
    (post(b""), 422, "value_error.missing"),
    (post("x" * 1048577), 413, "Request body too large"),
    (head("POST /integrations HTTP/1.1", "Content-Type: application/json",
          "Transfer-Encoding: chunked",
          body=b"100000\r\n" + b" " * 0x100000 + b"\r\n1\r\nx\r\n0\r\n\r\n"),
     413, "Request body too large"),
    (post(document(), content_type="text/plain"), 422, "type_error.dict"),
    (post(document(), content_type="application/jsonp"), 422, "type_error.dict"),
    (post("null"), 422, "value_error.missing"),
    (post("[]"), 422, "type_error.dict"),
    (post('[["id","x"]]'), 422, "type_error.dict"),
    (post("true"), 422, "type_error.dict"),
    # JSON
    (post("{"), 422, SYNTAX),
    (post("{'id':1}"), 422, SYNTAX),
    (post('{"id":1,}'), 422, SYNTAX),
    (post('{"id":1} x'), 422, SYNTAX),
    (post('{"id":01}'), 422, SYNTAX),
    (post('{"id":1.}'), 422, SYNTAX),
    (post('{"id":/* c */1}'), 422, SYNTAX),
    (post('{"id":"a\tb"}'), 422, SYNTAX),
    (post('{"id":"a\0b"}'), 422, SYNTAX),
    (post('{"id":"\\x"}'), 422, SYNTAX),
    (post('{"id":"\\u00g0"}'), 422, SYNTAX),
    (post(b"\xEF\xBB\xBF{}"), 422, SYNTAX),
    (post(settings('{"a":NaN}')), 422, SYNTAX),
    (post(settings('{"a":-Infinity}')), 422, SYNTAX),
    (post(b'{"id":"\xFF"}'), 400, "There was an error parsing the body"),
    (post(b'{"id":"\xC0\x80"}'), 400, "There was an error parsing the body"),
    (post(b'{"id":"\xED\xA0\x80"}'), 400, "There was an error parsing the body"),
    (post("{}".encode("utf-16")), 400, "There was an error parsing the body"),
    (post(settings('{"a":' + "[" * 99 + "]" * 99 + "}")), 400,
     "There was an error parsing the body"),
    (post("[" * 500000), 400, "There was an error parsing the body"),
    (post('{"a":' * 100000), 400, "There was an error parsing the body"),
    # members
    (post(document(id=None)), 422, "type_error.none.not_allowed"),
    (post(document(id="")), 422, "value_error.id"),
    (post(document(id="x" * 256)), 422, "value_error.id"),
    (post(document(id="é" * 128)), 422, "value_error.id"),
    (post(document(id="a\nb")), 422, "value_error.id"),
    (post(document(id="\x7f")), 422, "value_error.id"),
    (post(document(id="..")), 422, "value_error.id"),
    (post(document(id="../metrics")), 422, "value_error.id"),
    (post(document(id="a/../../b")), 422, "value_error.id"),
    (post(document(id=1.5)), 422, "type_error.str"),
    (post(document(name=["n"])), 422, "type_error.str"),
    (post(document(description=True)), 422, "type_error.str"),
    (post(document(status="maybe")), 422, "type_error.bool"),
    (post(document(status=[])), 422, "type_error.bool"),
    (post(document(settings=[])), 422, "type_error.dict"),
    (post(document(settings="x")), 422, "type_error.dict"),
    (post(settings('{"a":1e400}')), 422, "value_error.number_range"),
    (post(settings('{"a":"\\ud800"}')), 422, "value_error.surrogate"),
    (post(settings('{"k":1,"k":2}')), 422, "value_error.duplicate_key"),
    (post(settings('{"a":[{"k":1,"\\u006b":2}]}')), 422, "value_error.duplicate_key"),
]


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.service.start()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None)

    def raw(self, data):
        """Sends bytes; the status, headers and body of the answer."""
        with socket.create_connection(("127.0.0.1", self.service.port), 30 * PATIENCE) as client:
            try:
                client.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it was read
            answer = b""
            try:
                while more := client.recv(65536):
                    answer += more
            except ConnectionResetError:
                pass
        lines, body = answer.split(b"\r\n\r\n", 1)
        return int(lines.split()[1]), lines.decode("latin-1").lower(), body

    def test_every_bad_request_gets_its_answer(self):
        self.assertGreaterEqual(len(BAD), 60)
        client = self.service.client()
        for data, status, expected in BAD:
            with self.subTest(request=data[:120]):
                got, headers, body = self.raw(data)
                self.assertEqual(got, status, body)
                self.assertIn("content-type: application/json", headers)
                detail = json.loads(body)["detail"]
                if isinstance(detail, list):
                    self.assertEqual([entry["type"] for entry in detail], [expected])
                else:
                    self.assertEqual(detail, expected)
                if status == 405:
                    self.assertIn("\r\nallow: get, head", headers)
                self.assertEqual(client.request("GET", "/health").status, 200)
        self.assertEqual(client.request("GET", "/integrations").json, [])
        client.close()

    def test_head_is_get_without_the_body(self):
        client = self.service.client()
        client.request("POST", "/integrations", integration("head"))
        get = client.request("GET", "/integrations/head")
        answer = client.request("HEAD", "/integrations/head")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.headers["Content-Length"], str(len(get.body)))
        self.assertEqual(client.request("HEAD", "/integrations/none").status, 404)
        self.assertEqual(client.request("DELETE", "/integrations/head").status, 204)
        client.close()

    def test_files_can_only_be_read(self):
        for path in "/ui/", "/ui/ui.js", "/docs/start.js":
            for method in "POST", "PUT", "DELETE", "TRACE":
                answer = self.service.request(method, path, "")
                self.assertEqual((answer.status, answer.json),
                                 (405, {"detail": "Method Not Allowed"}), (method, path))
                if method != "TRACE":  # nginx refuses that everywhere, before it looks at the path
                    self.assertEqual(answer.headers["Allow"], "GET, HEAD", (method, path))

    def test_options_tells_what_is_allowed(self):
        answer = self.service.request("OPTIONS", "/integrations/x")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(answer.headers["Allow"], "GET, HEAD, PUT, PATCH, DELETE, OPTIONS")
        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])

    def test_ids_of_every_kind_are_reachable(self):
        client = self.service.client()
        from service import quote
        ids = ["a b", "a/b", "/", "//", "%2F", "a?b", "a#b", "a+b", "%", "é", "e\u0301", "日本",
               "😀", "...", "a;b", "x" * 255, "integrations", "'\"\\", "~", "\u00a0", "a=b&c"]
        for identity in ids:
            self.assertEqual(client.request("POST", "/integrations",
                                            integration(identity)).status, 201, identity)
            path = "/integrations/" + quote(identity)
            self.assertEqual(client.request("GET", path).json["id"], identity)
            self.assertEqual(client.request("PUT", path, integration(identity, name="2")).json,
                             {**integration(identity, name="2"), "status": False, "settings": {}})
            self.assertEqual(client.request("DELETE", path).status, 204)
            self.assertEqual(client.request("GET", path).status, 404)
        client.close()

    def test_settings_come_back_as_they_were_sent(self):
        texts = ['{"z":1,"a":2,"m":{"b":[],"a":{}}}', '{"n":123456789012345678901234567890}',
                 '{"n":[1.10,1e2,1E+2,-0,-0.0,0.1e-7,1e-400]}', '{"u":"\\u0000\\ud83d\\ude00"}',
                 '{"":"😀","a\\u0000b":1,"a":2}', '{"s":"\\/ \\" \x7f"}',
                 '{"big":%s}' % ("9" * 5000)]
        client = self.service.client()
        for text in texts:
            answer = client.request("POST", "/integrations", settings(text))
            self.assertEqual(answer.status, 201, answer)
            for body in answer.body, client.request("GET", "/integrations/bad").body:
                self.assertEqual(body.decode().split('"settings":')[1], text + "}")
            self.assertIn(text.encode(), client.request("GET", "/integrations").body)
            client.request("DELETE", "/integrations/bad")
        client.close()

    def test_a_large_list(self):
        client = self.service.client()
        pad = "x" * 100000
        for i in range(30):
            client.request("POST", "/integrations", integration(f"large{i}", settings={"p": pad}))
        items = client.request("GET", "/integrations").json
        self.assertEqual([item["id"] for item in items], [f"large{i}" for i in range(30)])
        for i in range(30):
            client.request("DELETE", f"/integrations/large{i}")
        client.close()

    def test_a_body_may_come_in_chunks(self):
        body = json.dumps(integration("chunked")).encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, bytes([byte])) for byte in body) + b"0\r\n\r\n"
        status, _, _ = self.raw(head("POST /integrations HTTP/1.1", "Transfer-Encoding: chunked",
                                     "Content-Type: application/json", body=chunks))
        self.assertEqual(status, 201)
        self.assertEqual(self.service.request("DELETE", "/integrations/chunked").status, 204)

    def test_a_request_id_is_taken_or_made(self):
        answer = self.service.request("GET", "/health", headers={"X-Request-ID": "trace-1"})
        self.assertEqual(answer.headers["X-Request-ID"], "trace-1")
        answer = self.service.request("GET", "/health", headers={"X-Request-ID": "no good"})
        self.assertRegex(answer.headers["X-Request-ID"], "^[0-9a-f]{32}$")
        wait_for("the log line", lambda: "trace-1" in [
            line["request_id"] for line in self.service.log("request")])

    def test_metrics_are_the_same_whoever_answers(self):
        name = 'http_requests_total{method="GET",endpoint="unmatched",http_status="404"}'
        before = self.service.metrics().get(name, 0)
        for _ in range(40):
            self.service.request("GET", "/no/such/path")
        values = {self.service.metrics()[name] for _ in range(20)}
        self.assertEqual(values, {before + 40})
        self.assertEqual(self.service.metrics()["integration_workers"], 2)


class Logs(unittest.TestCase):
    def test_a_line_a_request_and_no_secret(self):
        with Service(APP_NAME="log-test") as service:
            secret = "planted-secret"
            body = integration("secret", settings={"page_access_token": secret})
            service.request("POST", "/integrations", body)
            service.request("GET", "/integrations/secret?" + secret)
            service.request("PUT", "/integrations/secret", {**body, "status": secret})
            service.request("POST", "/integrations", '{"settings":{"a":"%s"' % secret)
            service.request("POST", "/integrations?" + secret, "x" * 2000000)
            service.request("GET", "/integrations/%00" + secret)
            service.request("GET", "/" + secret, headers={"X-Request-ID": secret + "\x1b[31m"})
            service.stop()
            lines = service.log("request")
            self.assertEqual(
                [(line["method"], line["route"], line["status"]) for line in lines],
                [("POST", "/integrations", 201), ("GET", "/integrations/{id}", 200),
                 ("PUT", "/integrations/{id}", 422), ("POST", "/integrations", 422),
                 ("GET", "unmatched", 404)])
            for line in lines:
                self.assertEqual(line["level"], "info")
                self.assertEqual(sorted(line), ["bytes", "level", "method", "msg", "request_id",
                                                "route", "status", "time", "us"])
            self.assertNotIn(secret, service.stderr())

    def test_the_level_is_honoured(self):
        with Service(LOG_LEVEL="warning") as service:
            service.request("GET", "/health")
            service.stop()
            self.assertEqual(service.log(), [])


class Included(unittest.TestCase):
    """The files for a site's own nginx, as the example for the framework includes them."""

    def test_errors_are_the_service_s_own(self):
        with open(os.path.join(os.path.dirname(__file__), "..", "..", "examples",
                               "ai-chatbot-framework", "nginx.conf"), encoding="utf-8") as file:
            site = file.read()
        with Service() as service, own_nginx(service, site) as port:
            wait_for("nginx", lambda: answers(port, "/admin/integrations/"))
            client = Client(port)
            answer = client.request("POST", "/admin/integrations", "x" * 2000000)
            self.assertEqual((answer.status, answer.json),
                             (413, {"detail": "Request body too large"}))
            client.close()
            service.stop()
            client = Client(port)
            for method, outcome in ("GET", None), ("PUT", "unknown"), ("DELETE", "unknown"):
                answer = client.request(method, "/admin/integrations/x", integration("x"))
                self.assertEqual((answer.status, answer.json),
                                 (502, {"detail": "The service is not reachable"}))
                self.assertEqual(answer.headers["X-Outcome"], outcome)
            client.close()


def status_for(service, host, target="/health", method="GET", *headers):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split(b" ")[1]), answer.partition(b"\r\n\r\n")[2]


class ForeignPages(unittest.TestCase):
    """What a page of another site can have a visitor's browser do."""

    def test_a_name_that_nobody_gave_the_service_reads_nothing(self):
        with Service(ALLOWED_HOSTS="chat.example, *.intern.example,chat.example",
                     ROOT_PATH="/api") as service:
            port = service.port
            for host in ("localhost", f"localhost:{port}", "LOCALHOST", "127.0.0.1",
                         f"127.0.0.1:{port}", "10.1.2.3", f"[::1]:{port}", "[fe80::1]",
                         "chat.example", f"chat.example:{port}", "Chat.Example.", "a.intern.example"):
                self.assertEqual(status_for(service, host)[0], 200, host)
            for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example",
                         "localhost.evil.example", "notlocalhost", "chat.example.evil.example",
                         "intern.example.evil", "1.2.3", "0x7f000001", "x"):
                for target in "/health", "/integrations", "/nowhere", "/api/ui/", "/metrics", "/docs":
                    status, body = status_for(service, host, target)
                    self.assertEqual(status, 421, (host, target))
                    self.assertIn("ALLOWED_HOSTS", json.loads(body)["detail"])
                self.assertEqual(status_for(service, "localhost", f"http://{host}/health")[0], 421)

    def test_long_names_and_paths(self):
        host = "integration-service.production.eu-central-1.elb.amazonaws.com"
        root = "/" + "r" * 199
        with Service(ALLOWED_HOSTS=f"{host},{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}",
                     ROOT_PATH=root) as service:
            for name, status in (host, 200), ("other." + host, 421):
                self.assertEqual(service.request("GET", root + "/health", headers={
                    "Host": name}).status, status)
            self.assertEqual(service.request("GET", root + "/ui/").status, 200)

    def test_the_host_it_listens_on_may_be_asked_for(self):
        # A name that every machine resolves, to 127.0.0.1 (inet_aton(3)).
        with Service(HOST="0x7f.1", ALLOWED_HOSTS="localhost, 0X7F.1") as service:
            self.assertEqual(status_for(service, "0x7f.1")[0], 200)
            self.assertEqual(status_for(service, "0x7f.2")[0], 421)

    def test_it_changes_nothing(self):
        with Service() as service:
            service.request("POST", "/integrations", integration("facebook"))
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                            {"Origin": "https://evil.example"}, {"Origin": "null"}):
                for method, path in (("DELETE", "/integrations/facebook"),
                                     ("POST", "/integrations:batch"), ("PUT", "/integrations/facebook"),
                                     ("PATCH", "/admin/integrations/facebook")):
                    answer = service.request(method, path, b'{"operations":[]}', headers)
                    self.assertEqual(answer.status, 403, (method, headers))
                    self.assertIn("CORS_ALLOW_ORIGINS", answer.json["detail"])
                self.assertEqual(service.request("GET", "/integrations", headers=headers).status, 200)
            own = {"Origin": f"http://127.0.0.1:{service.port}"}
            self.assertEqual(
                service.request("DELETE", "/integrations/facebook", headers=own).status, 204)


class Cors(unittest.TestCase):
    def test_a_browser_may_call(self):
        with Service(CORS_ALLOW_ORIGINS="https://a.example,https://b.example") as service:
            headers = {"Origin": "https://b.example", "Access-Control-Request-Method": "PUT",
                       "Access-Control-Request-Headers": "content-type"}
            answer = service.request("OPTIONS", "/integrations/x", headers=headers)
            self.assertEqual((answer.status, answer.body), (200, b"OK"))
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://b.example")
            self.assertEqual(answer.headers["Access-Control-Allow-Headers"], "content-type")
            self.assertEqual(answer.headers["Vary"], "Origin")
            self.assertEqual(answer.headers["Access-Control-Max-Age"], "600")
            answer = service.request("GET", "/integrations", headers=headers)
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://b.example")


if __name__ == "__main__":
    unittest.main()
