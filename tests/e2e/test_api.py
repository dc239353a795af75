# SPDX-License-Identifier: MIT
"""Conditional requests, partial changes, pages and batches, through nginx and under load."""

import contextlib
import random
import re
import subprocess
import tempfile
import threading
import time
import unittest
from urllib.parse import urljoin

from service import PATIENCE, Client, Service, answers, free_port, integration, wait_for
from test_load import in_threads, join


def next_page(answer, path):
    """Where an answer's Link leads; None: it is the last page."""
    link = re.fullmatch('<([^>]*)>; rel="next"', answer.headers.get("Link") or "")
    return urljoin(path, link.group(1)) if link else None


@contextlib.contextmanager
def compressing_nginx(behind):
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        with open(directory + "/nginx.conf", "w", encoding="utf-8") as file:
            file.write(f"""daemon off; pid {directory}/pid; error_log stderr; worker_processes 1;
                events {{ worker_connections 64; }}
                http {{
                    access_log off; gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
                    client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
                    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u;
                    scgi_temp_path {directory}/s;
                    server {{
                        listen 127.0.0.1:{port};
                        location / {{ proxy_pass http://127.0.0.1:{behind}; }}
                    }}
                }}""")
        nginx = subprocess.Popen(["nginx", "-e", "stderr", "-p", directory,
                                  "-c", directory + "/nginx.conf"], stderr=subprocess.DEVNULL)
        try:
            wait_for("nginx", lambda: answers(port, "/health"))
            client = Client(port)
            yield client
            client.close()
        finally:
            nginx.terminate()
            nginx.wait()


class Api(unittest.TestCase):
    environment = {}

    def service(self, **environment):
        return Service(**self.environment, **environment)

    def test_conditions_come_through(self):
        with self.service() as service:
            created = service.request("POST", "/integrations", integration("a/ö"))
            self.assertEqual(created.status, 201)
            path = created.headers["Location"]
            self.assertEqual(path, "/integrations/a%2F%C3%B6")
            tag = created.headers["ETag"]
            self.assertRegex(tag, '^"[1-9][0-9]*-[1-9][0-9]*"$')
            self.assertRegex(created.headers["Last-Modified"], "^..., .. ... .... ..:..:.. GMT$")
            client = service.client()
            for method in "GET", "HEAD":
                answer = client.request(method, path, None, {"If-None-Match": f'W/"1", {tag}'})
                self.assertEqual((answer.status, answer.body), (304, b""))
                self.assertEqual(answer.headers["ETag"], tag)
                self.assertIsNone(answer.headers["Content-Type"])
            every = client.request("GET", "/integrations").headers["ETag"]
            self.assertEqual(client.request("GET", "/integrations?limit=9", None,
                                            {"If-None-Match": every}).status, 304)
            for read in path, path + "?fields=name", "/integrations?fields=etag":
                answer = client.request("GET", read)
                tag = answer.json[0]["etag"] if "etag" in read else answer.headers["ETag"]
                answer = client.request("PATCH", path, {"name": read}, {"If-Match": tag})
                self.assertEqual((answer.status, answer.json["name"]), (200, read))
                self.assertNotEqual(answer.headers["ETag"], tag)
                refused = client.request("PUT", path, integration("a/ö"), {"If-Match": tag})
                self.assertEqual(refused.status, 412)
                self.assertEqual(refused.headers["ETag"], answer.headers["ETag"])
            self.assertEqual(client.request("GET", "/integrations", None,
                                            {"If-None-Match": every}).status, 200)
            then = client.request("GET", path).headers["Last-Modified"]
            self.assertEqual(client.request("GET", path, None, {"If-Modified-Since": then}).status,
                             304)
            self.assertEqual(client.request("DELETE", path, None, {
                "If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}).status, 412)
            answer = client.request("GET", "/integrations/none", None,
                                    {"Accept": "application/problem+json"})
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
            self.assertEqual(answer.json["status"], 404)
            client.close()

    def test_tags_survive_a_server_that_compresses(self):
        """Another nginx in front, which compresses whatever it passes on."""
        with self.service() as service:
            one = integration("one", settings={"pad": "x" * 1000})
            tag = service.request("POST", "/integrations", one).headers["ETag"]
            for accept in {}, {"Accept-Encoding": "gzip"}:
                answer = service.request("GET", "/integrations/one", None, accept)
                self.assertIsNone(answer.headers["Content-Encoding"])
                self.assertEqual(answer.headers["ETag"], tag)
            with compressing_nginx(service.port) as front:
                answer = front.request("GET", "/integrations/one", None,
                                       {"Accept-Encoding": "gzip"})
                self.assertEqual((answer.headers["Content-Encoding"], answer.headers["ETag"]),
                                 ("gzip", "W/" + tag))
                for form in "W/" + tag, tag[:-1] + '-gzip"':
                    self.assertEqual(front.request("GET", "/integrations/one", None,
                                                   {"If-None-Match": form}).status, 304)
                changed = front.request("PUT", "/integrations/one", one, {"If-Match": "W/" + tag})
                self.assertEqual(changed.status, 200)
                refused = front.request("PUT", "/integrations/one", one, {"If-Match": "W/" + tag})
                self.assertEqual(refused.status, 412)

    def count(self, *services):
        """64 clients add to one number 100 times each, and try again when another was faster."""
        clients, times = 64, max(10, int(100 / PATIENCE))
        services[0].request("POST", "/integrations", integration("counter", settings={"n": 0}))
        path = "/integrations/counter"

        def add(number):
            client = services[number % len(services)].client(120)
            for _ in range(times):
                while True:
                    seen = client.request("GET", path)
                    body = seen.json
                    body["settings"]["n"] += 1
                    if random.random() < 0.5:
                        method, body = "PATCH", {"settings": body["settings"]}
                    else:
                        method = "PUT"
                    answer = client.request(method, path, body, {"If-Match": seen.headers["ETag"]})
                    if answer.status == 200:
                        break
                    if answer.status != 412:
                        raise AssertionError(answer)
                    time.sleep(random.random() / 20)
            client.close()

        join(*in_threads(clients, add))
        for service in services:
            self.assertEqual(service.request("GET", path, None, {"Cache-Control": "no-cache"})
                             .json["settings"]["n"], clients * times)

    def test_guarded_changes_lose_nothing(self):
        with self.service() as service:
            self.count(service)

    def test_unguarded_patches_lose_nothing(self):
        """Each client changes a member of its own, without asking what the others did."""
        clients, times = 16, 20
        with self.service() as service:
            service.request("POST", "/integrations", integration("a"))

            def change(number):
                client = service.client(120)
                for turn in range(times):
                    answer = client.request("PATCH", "/integrations/a",
                                            {"settings": {f"k{number}": turn}})
                    self.assertEqual(answer.status, 200, answer)
                client.close()

            join(*in_threads(clients, change))
            self.assertEqual(service.request("GET", "/integrations/a").json["settings"],
                             {f"k{number}": times - 1 for number in range(clients)})

    def create_many(self, service, total):
        for first in range(0, total, 1000):
            operations = [{"op": "create", "integration": integration(f"i{number}")}
                          for number in range(first, min(first + 1000, total))]
            answer = service.request("POST", "/integrations:batch", {"operations": operations})
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual([result["status"] for result in answer.json["results"]],
                             [201] * len(operations))

    def test_pages_while_others_change(self):
        total = int(100000 / PATIENCE)
        with self.service(LOG_LEVEL="warning") as service:
            self.create_many(service, total)
            stop = threading.Event()
            gone = set(random.sample(range(total), total // 20))

            def change(_):
                client = service.client()
                for turn, number in enumerate(gone):
                    if stop.is_set():
                        break
                    client.request("DELETE", f"/integrations/i{number}")
                    client.request("POST", "/integrations", integration(f"new{turn}"))
                client.close()

            threads, failures = in_threads(1, change)
            client = service.client()
            path = "/integrations?limit=1000&fields=id"
            seen = []
            while path:
                answer = client.request("GET", path)
                self.assertEqual(answer.status, 200, answer)
                seen += [item["id"] for item in answer.json]
                path = next_page(answer, path)
            stop.set()
            join(threads, failures)
            client.close()
            self.assertEqual(len(seen), len(set(seen)), "one was doubled")
            missed = {f"i{number}" for number in range(total) if number not in gone} - set(seen)
            self.assertEqual(missed, set())

    def test_pages_behind_a_path(self):
        with self.service(ROOT_PATH="/~me/api") as service:
            for identity in "abc":
                answer = service.request("POST", "/~me/api/integrations", integration(identity))
                self.assertEqual(answer.headers["Location"], f"/~me/api/integrations/{identity}")
            path, seen = "/~me/api/integrations?limit=1&status=no&x=%3C%22", []
            while path:
                answer = service.request("GET", path)
                seen += answer.json
                path = next_page(answer, path)
            self.assertEqual([item["id"] for item in seen], ["a", "b", "c"])

    def test_a_batch_is_made_whole(self):
        with self.service() as service:
            self.create_many(service, 1000)
            operations = [{"op": "patch", "id": f"i{number}", "patch": {"status": True}}
                          for number in range(1000)]
            answer = service.request("POST", "/integrations:batch", {"operations": operations})
            self.assertEqual(answer.status, 200, answer)
            tag = answer.json["results"][7]["etag"]
            self.assertEqual(service.request("GET", "/integrations/i7").headers["ETag"], tag)
            self.assertEqual(len(service.request("GET", "/integrations?status=1").json), 1000)
            before = service.request("GET", "/integrations").body
            bad = operations[:999] + [{"op": "delete", "id": "none"}]
            answer = service.request("POST", "/integrations:batch", {"operations": bad})
            self.assertEqual(answer.status, 409)
            self.assertEqual(answer.json["detail"][0]["loc"], ["body", "operations", 999])
            self.assertEqual(service.request("GET", "/integrations").body, before)

    def test_batches_and_patches_of_many(self):
        """Patches in batches are applied to what is there, whoever changes it meanwhile."""
        clients, times = 8, 20
        with self.service() as service:
            for identity in "ab":
                service.request("POST", "/integrations", integration(identity))

            def change(number):
                client = service.client(120)
                for turn in range(times):
                    operations = [{"op": "patch", "id": identity,
                                   "patch": {"settings": {f"k{number}": turn}}}
                                  for identity in "ab"]
                    answer = client.request("POST", "/integrations:batch",
                                            {"operations": operations})
                    self.assertEqual(answer.status, 200, answer)
                client.close()

            join(*in_threads(clients, change))
            for identity in "ab":
                settings = service.request("GET", f"/integrations/{identity}").json["settings"]
                self.assertEqual(settings, {f"k{number}": times - 1 for number in range(clients)})


if __name__ == "__main__":
    unittest.main()
