# SPDX-License-Identifier: MIT
"""Keys: who is let in, to what, and how that is changed."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import openapi
import test_golden
from keys import KeyedClient, bearer, in_force, key
from postgres import Postgres, WithDatabase
from service import PATIENCE, PROGRAM, Service, integration, wait_for
from test_hosting import Apache, ApacheCgi, ApacheProxy, Lighttpd

SCOPES = "read", "secrets", "write", "metrics"
METHODS = "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"


class Commands(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.file = os.path.join(self.directory, "keys")

    def key(self, *words, **options):
        return key(self.directory, *words, **options)

    def names(self):
        return [line.split()[0] for line in self.key("list").splitlines()]

    def read(self):
        with open(self.file) as file:
            return file.read()

    def test_new_list_rotate_revoke(self):
        made = self.key("new", "admin", "--scopes", "secrets,write")
        self.assertRegex(made, r"^isk_[0-9A-Za-z]{49}$")
        self.assertNotIn(made, self.read())
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        self.assertNotEqual(self.key("new", "bot", "--scopes", "secrets", "--expires", "90d"), made)
        self.assertRegex(self.key("list"),
                         r"^admin +secrets,write\nbot +secrets  until \d{4}-\d\d-\d\dT.*Z$")
        rotated = self.key("rotate", "bot", "--overlap", "7d")
        self.assertEqual(self.names(), ["admin", "bot", "bot"])
        self.assertNotEqual(rotated, made)
        self.key("rotate", "bot")  # at once: the others are gone
        self.assertEqual(self.names(), ["admin", "bot"])
        self.key("revoke", "bot")
        self.assertEqual(self.names(), ["admin"])

    def test_what_it_does_not_do(self):
        self.key("new", "one", "--scopes", "secrets")
        before = self.read()
        for words, status, said in (
                (("new", "one", "--scopes", "write"), 1, "rotate or revoke"),
                (("revoke", "two"), 1, 'no key "two"'), (("rotate", "two"), 1, 'no key "two"'),
                (("new", "a b", "--scopes", "write"), 2, "a name is"),
                (("new", "../x", "--scopes", "write"), 2, "a name is"),
                (("new", "two"), 2, "usage"), (("new", "two", "--scopes", ""), 2, "usage"),
                (("new", "two", "--scopes", "all"), 2, "usage"),
                (("new", "two", "--scopes", "write", "--expires", "soon"), 2, "usage"),
                (("new", "two", "--scopes"), 2, "usage"), (("revoke",), 2, "usage"),
                (("revoke", "one", "--scopes", "write"), 2, "usage"), ((), 2, "usage")):
            self.assertIn(said, self.key(*words, status=status), words)
            self.assertEqual(self.read(), before, words)

    def test_the_file_stays_what_it_was_otherwise(self):
        """Comments, permissions, owner, and the link that leads to it."""
        real = os.path.join(self.directory, "real")
        with open(real, "w") as file:
            file.write("# ours\n\nold  write " + "0" * 64 + "\n# last")
        os.chmod(real, 0o640)
        os.symlink("real", self.file)
        self.key("new", "new", "--scopes", "metrics")
        self.assertTrue(os.path.islink(self.file))
        self.assertEqual(os.stat(real).st_mode & 0o777, 0o640)
        self.assertRegex(self.read(), r"^# ours\n\nold  write 0{64}\n# last\nnew metrics \w{64}\n$")
        self.assertEqual(sorted(os.listdir(self.directory)), ["keys", "real"])

    def test_many_at_once(self):
        threads = [threading.Thread(target=lambda n=n: self.key(
            "new", f"key{n}", "--scopes", "write")) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.names()), 20)

    def test_faults_of_the_file(self):
        digest = "0" * 64
        for text, said in (
                ("bot write", "line 1: the SHA-256"),
                (f"# x\nbot reed,write {digest}", "line 2: the scopes"),
                (f"b/t write {digest}", "line 1: the name"),
                ("bot write isk_planted", "line 1: the SHA-256"),
                (f"bot write {digest} id=a", "line 1: at the end of a line"),
                (f"bot write {digest} ids=a,,b", "line 1: ids="),
                (f"bot write,metrics {digest} ids=a", "line 1: a key with ids="),
                (f"user:bot write {digest}", "line 1: at the end of a line"),
                ("user: write", "line 1: the name"),
                (f"a write {digest}\nb read {digest}", "has the key or the user of another line"),
                ("user:a@b write\nuser:a%40b read", "has the key or the user of another line"),
                (f"bot write {digest} expires=2027-02-30T00:00:00Z", "not a time"),
                (f"bot write {digest} expires=tomorrow", "not a time")):
            with open(self.file, "w") as file:
                file.write(text)
            for words in ("list",), ("new", "x", "--scopes", "write"):
                self.assertIn(said, self.key(*words, status=1), text)
            self.assertNotIn("planted", self.key("list", status=1))
            result = subprocess.run([PROGRAM, "serve"], capture_output=True, text=True, timeout=30,
                                    env={"STATE_DIR": self.directory})
            self.assertEqual(result.returncode, 1)
            self.assertIn(said, result.stderr)
            self.assertEqual(self.read(), text)
        os.chmod(self.file, 0o666)
        self.assertIn("chmod o-w", self.key("list", status=1))

    def test_a_file_that_is_named_must_be_there(self):
        result = subprocess.run([PROGRAM, "check-config"], capture_output=True, text=True,
                                env={"STATE_DIR": self.directory, "KEYS_FILE": self.file})
        self.assertEqual(result.returncode, 1)
        self.assertIn("there is no such file: make a key", result.stderr)


class Gate(unittest.TestCase):
    def keys(self, state_dir):
        """Keys of all kinds by name; those that are in force with the scopes that they have."""
        found = {"+".join(scopes): key(state_dir, "new", "-".join(("k", *scopes)),
                                       "--scopes", ",".join(scopes))
                 for length in range(1, len(SCOPES) + 1)
                 for scopes in itertools.combinations(SCOPES, length)}
        found["revoked"] = key(state_dir, "new", "revoked", "--scopes", ",".join(SCOPES))
        key(state_dir, "revoke", "revoked")
        found["expired"] = key(state_dir, "new", "expired", "--scopes", ",".join(SCOPES),
                               "--expires", "1s")
        found["bound"] = key(state_dir, "new", "bound", "--scopes", "secrets,write",
                             "--ids", "another")
        found["malformed"] = found["secrets"][:-1] + ("A" if found["secrets"][-1] != "A" else "B")
        return found

    def check_matrix(self, site, keys):
        """Every operation of the service's own document with every key."""
        document = site.request("GET", "/openapi.json").json
        described = openapi.Document(document)
        client = site.client()
        for path, item in document["paths"].items():
            for method in METHODS:
                operation = item.get("get" if method == "HEAD" else method.lower())
                if operation is None:
                    continue
                needed = set(operation.get("x-scopes", []))
                for name, text in {"none": None, **keys}.items():
                    for headers in ([{}] if text is None else [bearer(text), {"X-API-Key": text}]):
                        answer = client.request(method, path.replace("{id}", "nothing"),
                                                "[]" if method in ("POST", "PUT", "PATCH") else None,
                                                headers)
                        with self.subTest(method=method, path=path, key=name, headers=headers):
                            self.check_answer(answer, needed, name, path)
                            if answer.status in (401, 403) and method != "HEAD":
                                self.assertEqual(described.faults_of_answer(operation, answer), [])
        client.close()

    def check_answer(self, answer, needed, name, path):
        challenge = answer.headers["WWW-Authenticate"] or ""
        if not needed:
            self.assertNotIn(answer.status, (401, 403))
            return
        self.assertLessEqual({"Authorization", "X-API-Key"}, {
            name.strip() for name in ",".join(answer.headers.get_all("Vary")).split(",")})
        if name in ("none", "revoked", "expired", "malformed"):
            self.assertEqual(answer.status, 401)
            self.assertTrue(challenge.startswith("Bearer "), challenge)
            self.assertEqual("invalid_token" in challenge, name != "none")
            self.assertEqual("expired" in challenge, name == "expired")
        elif name == "bound" and "{id}" in path:
            self.assertEqual(answer.status, 403)
            self.assertIn("bound to other integrations", challenge)
        elif needed <= set(name.replace("bound", "secrets+write").replace(
                "secrets", "secrets+read").split("+")):
            self.assertIn(answer.status, (200, 400, 404, 422))
        else:
            self.assertEqual(answer.status, 403)
            self.assertIn(f'error="insufficient_scope", scope="{" ".join(sorted(needed))}"',
                          challenge)

    def test_matrix_with_nginx(self):
        with Service() as service:
            keys = self.keys(service.state_dir)
            in_force(service)
            self.check_matrix(service, keys)
            log = service.stderr()
            for text in keys.values():
                self.assertNotIn(text, log)
                self.assertNotIn(text[4:], log)
            self.assertIn('"key":"k-secrets-write"', log)

    def test_matrix_with_other_servers(self):
        for kind in Apache, ApacheCgi, ApacheProxy, Lighttpd:
            site = kind()
            os.makedirs(site.state_dir, exist_ok=True)
            keys = self.keys(site.state_dir)
            time.sleep(1.1)
            with self.subTest(kind.__name__), site:
                self.check_matrix(site, {name: keys[name] for name in (
                    "secrets", "secrets+write", "bound", "expired", "malformed")})

    def test_without_keys_nothing_changes(self):
        with Service() as service:
            for headers in {}, bearer("isk_x"), {"X-API-Key": "x"}, {"Authorization": "Basic eDp5"}:
                answer = service.request("GET", "/integrations", headers=headers)
                self.assertEqual((answer.status, answer.headers["Vary"]), (200, None))
            self.assertNotIn('"key"', service.stderr())

    def test_ways_to_send_a_key(self):
        with Service() as service:
            made = key(service.state_dir, "new", "a", "--scopes", "secrets")
            in_force(service)
            for headers, status in (
                    (bearer(made), 200), ({"Authorization": f"bearer  {made} "}, 200),
                    ({"Authorization": "Basic eDp5", "X-API-Key": made}, 200),
                    ({"Authorization": f"Basic {made}"}, 401), ({"Authorization": made}, 401),
                    ({"Authorization": f"Bearer {made} {made}"}, 401),
                    ({"Authorization": f"Bearer {made}x"}, 401), ({"X-API-Key": ""}, 401),
                    ({"Cookie": f"key={made}"}, 401)):
                self.assertEqual(service.request("GET", "/integrations", headers=headers).status,
                                 status, headers)
            self.assertEqual(service.request("GET", f"/integrations?key={made}").status, 401)

    def test_problem_details(self):
        with Service() as service:
            key(service.state_dir, "new", "a", "--scopes", "secrets")
            in_force(service)
            problem = service.request("GET", "/integrations",
                                      headers={"Accept": "application/problem+json"})
            self.assertEqual((problem.json["status"], problem.json["title"]), (401, "Unauthorized"))


class Open(unittest.TestCase):
    """Where nobody needs a key."""

    def test_other_machines_are_not_let_in_without_a_key(self):
        with tempfile.TemporaryDirectory() as directory:
            for host in "0.0.0.0", "::":
                result = subprocess.run(
                    [PROGRAM, "serve", "--with-nginx"], capture_output=True, text=True, timeout=30,
                    env={"PATH": "/usr/bin:/bin", "STATE_DIR": directory, "HOST": host})
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertRegex(result.stderr, r"^HOST: .*`integration-service key new .*"
                                 r"ALLOW_ANONYMOUS=on\n$")
        for host in "127.0.0.1", "127.0.0.2", "localhost", "::1":
            with Service(HOST=host):
                pass
        with Service(HOST="0.0.0.0", ALLOW_ANONYMOUS="on") as service:
            self.assertEqual(service.request("GET", "/integrations").status, 200)
            service.stop()
            del service.environment["ALLOW_ANONYMOUS"]
            key(service.state_dir, "new", "a", "--scopes", "secrets")
            service.start()
            self.assertEqual(service.request("GET", "/integrations").status, 401)


class Changes(unittest.TestCase):
    """Of the file, while the service runs."""

    def test_a_revoked_key_is_refused_within_a_second(self):
        """In every worker, under load, with reloads and kills."""
        with Service(WORKERS="3", LOG_LEVEL="error") as service:
            admin = key(service.state_dir, "new", "admin", "--scopes", "secrets,write")
            made = key(service.state_dir, "new", "a", "--scopes", "secrets")
            in_force(service)
            service.request("POST", "/integrations", integration("a"), bearer(admin))
            seen, stop = [], threading.Event()

            def read():
                client = service.client()
                while not stop.is_set():
                    began = time.monotonic()
                    seen.append((began, client.request("GET", "/integrations/a",
                                                       headers=bearer(made)).status))
                client.close()

            def disturb():
                while not stop.is_set():
                    service.process.send_signal(signal.SIGHUP)
                    time.sleep(0.4)
                    for pid in service.worker_pids()[:1]:
                        try:
                            os.kill(pid, signal.SIGKILL)
                        except ProcessLookupError:
                            pass
                    time.sleep(0.4)

            threads = [threading.Thread(target=read) for _ in range(4)]
            threads.append(threading.Thread(target=disturb))
            for thread in threads:
                thread.start()
            time.sleep(1.5)
            revoking = time.monotonic()
            key(service.state_dir, "revoke", "a")
            revoked = time.monotonic()
            time.sleep(1.5 + PATIENCE)
            stop.set()
            for thread in threads:
                thread.join()
            late = max((began - revoked for began, status in seen if status == 200), default=0)
            self.assertLess(late, 0.1 + PATIENCE)
            self.assertEqual({status for began, status in seen
                              if began < revoking - 0.5} - {502, 503}, {200})
            self.assertEqual({status for began, status in seen
                              if began > revoked + 0.1 + PATIENCE} - {502, 503}, {401})

    def test_a_fault_keeps_what_was(self):
        with Service() as service:
            made = key(service.state_dir, "new", "a", "--scopes", "secrets")
            path = os.path.join(service.state_dir, "keys")
            in_force(service)
            shutil.copy(path, path + ".kept")

            def still_counts():
                for sent in 0, signal.SIGHUP, signal.SIGKILL:
                    if sent == signal.SIGKILL:
                        for pid in service.worker_pids():
                            os.kill(pid, sent)
                    elif sent:
                        service.process.send_signal(sent)
                    time.sleep(0.7)
                    answer = wait_for("an answer", lambda: next((answer for answer in [
                        service.request("GET", "/integrations", headers=bearer(made))]
                        if answer.status != 502), None))
                    self.assertEqual(answer.status, 200)
                    self.assertEqual(service.request("GET", "/integrations").status, 401)

            with open(path, "a") as file:
                file.write("b write planted\n")
            warning = wait_for("a warning", lambda: service.request(
                "GET", "/readiness").json.get("warning"))
            self.assertEqual(warning, "KEYS_FILE: line 2: the SHA-256 of the key is not 64 "
                             "hexadecimal digits")
            still_counts()
            self.assertEqual(service.request("GET", "/ready").json["status"], "ok")
            self.assertTrue(service.log("KEYS_FILE: the keys that it held before go on to count"))
            os.unlink(path)
            wait_for("another", lambda: service.request(
                "GET", "/readiness").json["warning"] == "KEYS_FILE: it is gone")
            still_counts()
            shutil.move(path + ".kept", path)
            wait_for("no warning", lambda: service.request(
                "GET", "/readiness").json == {"status": "ready"})
            still_counts()
            self.assertNotIn("planted", service.stderr())

    def test_a_file_of_a_clock_that_is_ahead(self):
        with Service() as service:
            made = key(service.state_dir, "new", "a", "--scopes", "secrets")
            path = os.path.join(service.state_dir, "keys")
            ahead = time.time() + 86400
            os.utime(path, (ahead, ahead))
            in_force(service)
            answer = service.request("GET", "/integrations", headers=bearer(made))
            self.assertEqual(answer.status, 200)
            key(service.state_dir, "revoke", "a")
            os.utime(path, (ahead, ahead))
            time.sleep(1.2 + PATIENCE / 2)
            answer = service.request("GET", "/integrations", headers=bearer(made))
            self.assertEqual(answer.status, 401)

    def test_the_last_key_leaves_no_door_open(self):
        with Service() as service:
            made = key(service.state_dir, "new", "a", "--scopes", "secrets")
            in_force(service)
            key(service.state_dir, "revoke", "a")
            wait_for("its end", lambda: service.request(
                "GET", "/integrations", headers=bearer(made)).status == 401)
            service.stop()
            service.start()
            self.assertEqual(service.request("GET", "/integrations").status, 401)

    def test_keys_are_known_while_the_database_is_away(self):
        with Postgres() as server, Service(DATABASE_URL=server.url) as service:
            made = key(service.state_dir, "new", "a", "--scopes", "secrets,write")
            in_force(service)
            service.request("POST", "/integrations", integration("a"), bearer(made))
            server.stop()
            self.assertEqual(service.request("GET", "/integrations/a").status, 401)
            self.assertEqual(service.request("GET", "/integrations/a",
                                             headers=bearer(made)).status, 200)
            server.start()


SECRETS = {
    "page_access_token": "planted-1", "nested": {"deep": {"er": "planted-2"}, "": "planted-3"},
    "list": ["planted-4", {"in": "planted-5"}, ["planted-6"], "planted-4"],
    "escaped": "planted-7 \u00e9\n\"[{,:]}\\", "na/me~\u00e9\"": "planted-8",
    "number": 7, "switch": True, "nothing": None, "empty": "", "none": {}, "no": []}
MASK = re.compile(r"\[secret:[0-9a-f]{12}\]")


class Masks(unittest.TestCase):
    environment = {}

    def setUp(self):
        self.service = self.enterContext(Service(**self.environment))
        self.admin = self.new("admin", *SCOPES)
        self.reader = self.new("reader", "read", "metrics")
        self.writer = self.new("writer", "read", "write")
        in_force(self.service)

    def new(self, name, *scopes):
        return {"X-API-Key": key(self.service.state_dir, "new", name, "--scopes", ",".join(scopes))}

    def ask(self, who, method, path, body=None, status=None, **headers):
        answer = self.service.request(method, path, body, {**who, **headers})
        if status is not None:
            self.assertEqual(answer.status, status, answer.body)
        return answer

    def create(self, identity, settings=None):
        return self.ask(self.admin, "POST", "/integrations", integration(
            identity, settings=SECRETS if settings is None else settings), 201)

    def stored(self, identity):
        return self.ask(self.admin, "GET", f"/integrations/{identity}", status=200).body

    def test_secrets_are_seen_by_no_read_key(self):
        for n in range(3):
            self.create(f"i{n}")
        masked = self.ask(self.reader, "GET", "/integrations/i0", status=200).json["settings"]
        self.assertEqual({name: masked[name] for name in (
            "number", "switch", "nothing", "empty", "none", "no")}, {
                "number": 7, "switch": True, "nothing": None, "empty": "", "none": {}, "no": []})
        self.assertEqual(len(MASK.findall(json.dumps(masked))), 9)
        for path in ("/integrations", "/integrations/i0", "/integrations/i0?fields=settings",
                     "/integrations?fields=settings,etag", "/integrations?limit=1",
                     "/integrations?q=planted", "/integrations?status=false", "/integrations?id=i1",
                     "/admin/integrations", "/admin/integrations/i2", "/integrations/planted-1",
                     "/integrations?q=planted-1", "/metrics", "/openapi.json", "/readiness"):
            for headers in {}, {"Cache-Control": "no-cache"}, {"Accept": "application/problem+json"}:
                answer = self.ask(self.reader, "GET", path, **headers)
                self.assertNotIn("planted", answer.body.decode().replace(
                    "planted-1%", ""), path)
                self.assertNotIn("planted", str(answer.headers).replace(path, ""), path)
        for body in ({"name": "new"}, {"settings": {"page_access_token": None}}, {}):
            answer = self.ask(self.writer, "PATCH", "/integrations/i1", body, 200)
            self.assertNotIn("planted", answer.body.decode())
        answer = self.ask(self.writer, "PUT", "/integrations/i1", integration(
            "i1", settings={"a": "planted-9"}), 200)
        self.assertRegex(answer.json["settings"]["a"], MASK)
        answer = self.ask(self.writer, "POST", "/integrations", integration(
            "i9", settings={"a": "planted-9"}), 201)
        self.assertRegex(answer.json["settings"]["a"], MASK)
        self.assertNotIn("planted", self.service.stderr())

    def test_masks_tell_equal_from_unequal_and_nothing_more(self):
        self.create("a", {"x": "same", "y": "same", "z": ["same", "same", "other"]})
        self.create("b", {"x": "same"})
        one = self.ask(self.reader, "GET", "/integrations/a").json["settings"]
        other = self.ask(self.reader, "GET", "/integrations/b").json["settings"]
        self.assertEqual(one["z"][0], one["z"][1])
        self.assertEqual(len({one["x"], one["y"], *one["z"], other["x"]}), 5)
        self.service.stop()
        self.service.start()
        self.assertEqual(self.ask(self.reader, "GET", "/integrations/a").json["settings"], one)
        self.ask(self.admin, "PATCH", "/integrations/a", {"settings": {"x": "new"}}, 200)
        changed = self.ask(self.reader, "GET", "/integrations/a").json["settings"]
        self.assertNotEqual(changed.pop("x"), one.pop("x"))
        self.assertEqual(changed, one)

    def test_what_was_masked_is_sent_back(self):
        """As an admin page does, that knows nothing of masks: what is stored stays, byte for byte."""
        self.create("a")
        settings = self.ask(self.admin, "GET", "/integrations/a?fields=settings").body
        for n in range(200):
            path = ("/integrations/a", "/admin/integrations/a")[n % 2]
            document = self.ask(self.writer, "GET", path, status=200).json
            document.update(name=f"name {n}", status=n % 2 == 0)
            answer = self.ask(self.writer, "PUT", path, document, 200)
            self.assertEqual(answer.json, document)
        self.assertEqual(self.ask(self.admin, "GET", "/integrations/a?fields=settings").body, settings)
        masked = self.ask(self.writer, "GET", "/integrations/a").json
        answer = self.ask(self.writer, "PATCH", "/integrations/a", {
            "settings": {name: value for name, value in [*masked["settings"].items(), (
                "new", "planted-9")] if value is not None}}, 200)  # null would remove it
        self.assertEqual(self.ask(self.admin, "GET", "/integrations/a").json["settings"],
                         {**SECRETS, "new": "planted-9"})
        self.ask(self.writer, "PATCH", "/integrations/a", {"settings": {"new": None}}, 200)
        self.ask(self.writer, "POST", "/integrations:batch", {"operations": [
            {"op": "put", "integration": {**masked, "name": "one"}},
            {"op": "patch", "id": "a", "patch": {"settings": {
                "list": masked["settings"]["list"][::-1]}}}]}, 200)
        self.assertEqual(self.ask(self.admin, "GET", "/integrations/a").json["settings"],
                         {**SECRETS, "list": SECRETS["list"][::-1]})
        self.ask(self.admin, "PUT", "/integrations/a", masked, 200)  # who may see them, likewise
        self.assertEqual(self.ask(self.admin, "GET", "/integrations/a?fields=settings").body, settings)

    def wrong(self):
        """Settings of "a" that hold masks which stand for nothing there."""
        masked = self.ask(self.reader, "GET", "/integrations/a").json["settings"]
        other = self.ask(self.reader, "GET", "/integrations/b").json["settings"]
        token = masked["page_access_token"]
        return [
            {"page_access_token": other["page_access_token"]}, {"other": token},
            {"page_access_token": masked["nested"]["deep"]["er"]}, {"nested": {"": token}},
            {"page_access_token": token + " "}, {"page_access_token": "x" + token},
            {"page_access_token": token + token}, {"page_access_token": [token]},
            {"list": [masked["list"][1]["in"]]}, {"list": [[masked["list"][0]]]},
            {"page_access_token": "[secret:0123456789ab]"}, {"x": {"y": ["[secret:0123456789ab]"]}},
            {"page_access_token": token, "escaped": token}]

    def test_wrong_masks_are_refused(self):
        self.create("a")
        self.create("b")
        before = self.stored("a")
        for who in self.writer, self.admin:
            for settings in self.wrong():
                for raw in False, True:
                    text = json.dumps(settings)
                    if raw:  # "[" and "s" as escapes: the same to who reads it
                        text = text.replace("[secret", "\\u005b\\u0073ecret")
                    body = f'{{"id":"a","name":"n","description":"","settings":{text}}}'
                    kind = {"Content-Type": "application/json"}
                    for method, path, sent in (
                            ("PUT", "/integrations/a", body),
                            ("PATCH", "/integrations/a", f'{{"settings":{text}}}'),
                            ("POST", "/integrations", body.replace('"id":"a"', '"id":"c"')),
                            ("POST", "/integrations:batch",
                             f'{{"operations":[{{"op":"delete","id":"b"}},'
                             f'{{"op":"put","integration":{body}}}]}}'),
                            ("POST", "/integrations:batch",
                             f'{{"operations":[{{"op":"create","integration":'
                             f'{body.replace(chr(34) + "a" + chr(34), chr(34) + "c" + chr(34), 1)}}}]}}'),
                            ("POST", "/integrations:batch",
                             f'{{"operations":[{{"op":"patch","id":"a","patch":{{"settings":{text}}}}}]}}')):
                        answer = self.ask(who, method, path, sent, **kind)
                        with self.subTest(method=method, path=path, sent=sent):
                            self.assertEqual(answer.status, 422, answer.body)
                            self.assertEqual(answer.json["detail"][0]["type"], "value_error.mask")
                    self.assertEqual(self.stored("a"), before)
        self.ask(self.admin, "GET", "/integrations/c", status=404)
        self.ask(self.admin, "GET", "/integrations/b", status=200)
        self.ask(self.writer, "PUT", "/integrations/none", integration(
            "none", settings={"a": "[secret:0123456789ab]"}), 404)
        self.ask(self.writer, "PUT", "/integrations/a", integration(
            "a", settings={"a": "[secret:0123456789a]", "b": "[secret:0123456789AB]",
                           "c": "secret:0123456789ab]"}), 200)  # which look like none

    def test_conditions_hold(self):
        self.create("a")
        document = self.ask(self.writer, "GET", "/integrations/a")
        tag = document.headers["ETag"]
        self.ask(self.admin, "PATCH", "/integrations/a", {"name": "theirs"}, 200)
        self.ask(self.writer, "PUT", "/integrations/a", document.json, 412, **{"If-Match": tag})
        self.assertEqual(self.ask(self.admin, "GET", "/integrations/a").json["name"], "theirs")
        self.ask(self.writer, "PUT", "/integrations/a", document.json, 200)

    def test_a_secret_that_changes_meanwhile(self):
        """A mask never brings back a value that is no longer there, nor is stored itself."""
        self.create("a", {"token": "t0"})
        stop, statuses = threading.Event(), []

        def send_back():
            client = self.service.client()
            while not stop.is_set():
                document = client.request("GET", "/integrations/a", headers=self.writer).json
                statuses.append(client.request("PUT", "/integrations/a", document,
                                               self.writer).status)
            client.close()

        def send_in_batches():
            client = self.service.client()
            while not stop.is_set():
                document = client.request("GET", "/integrations/a", headers=self.writer).json
                statuses.append(client.request("POST", "/integrations:batch", {"operations": [
                    {"op": "put", "integration": document},
                    {"op": "patch", "id": "a", "patch": {"name": "x" * 30000}},
                    {"op": "patch", "id": "a", "patch": {"name": "y"}}]}, self.writer).status)
            client.close()

        threads = [threading.Thread(target=send) for send in (
            send_back, send_back, send_in_batches, send_in_batches)]
        for thread in threads:
            thread.start()
        for n in range(1, 150):
            self.ask(self.admin, "PATCH", "/integrations/a", {"settings": {"token": f"t{n}"}}, 200)
            self.assertEqual(self.ask(self.admin, "GET", "/integrations/a").json["settings"],
                             {"token": f"t{n}"})
        stop.set()
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(statuses), {200, 422})
        self.assertIn(200, statuses)
        self.assertEqual(self.ask(self.admin, "GET", "/integrations/a").json["settings"],
                         {"token": "t149"})

    def test_the_recorded_answers_with_a_key(self):
        client = KeyedClient(self.service.port, self.admin["X-API-Key"])
        test_golden.replay_all(self, client)
        client.close()


class MasksWithDatabase(WithDatabase, Masks):
    database_settings = {"fsync": "off"}

    def test_all_hosts_make_the_same(self):
        self.create("a")
        masked = self.ask(self.reader, "GET", "/integrations/a").json
        with Service(DATABASE_URL=self.server.url) as other:
            shutil.copy(os.path.join(self.service.state_dir, "keys"), other.state_dir)
            in_force(other)
            for headers in {}, {"Cache-Control": "no-cache"}:
                self.assertEqual(other.request("GET", "/integrations/a", headers={
                    **self.reader, **headers}).json, masked)
            self.assertEqual(other.request("PUT", "/integrations/a", masked, self.writer).status, 200)
            self.create("b", {"token": "t0"})
            wait_for("it", lambda: other.request("GET", "/integrations/b",
                                                 headers=self.reader).status == 200)
            os.kill(other.follower_pid(), signal.SIGSTOP)  # its replica stays behind
            self.ask(self.admin, "PATCH", "/integrations/b", {"settings": {"token": "t1"}}, 200)
            newer = self.ask(self.reader, "GET", "/integrations/b").json
            for n, change in enumerate((
                    ("PUT", "/integrations/b", {**newer, "name": "one"}),
                    ("POST", "/integrations:batch", {"operations": [
                        {"op": "put", "integration": {**newer, "name": "two"}}]}),
                    ("PATCH", "/integrations/b", {"settings": newer["settings"]}))):
                if n > 0:
                    self.ask(self.admin, "PATCH", "/integrations/b", {"description": f"{n}"}, 200)
                answer = other.request(*change, self.writer)
                self.assertEqual(answer.status, 200, answer.body)
            os.kill(other.follower_pid(), signal.SIGCONT)
            self.assertEqual(self.ask(self.admin, "GET", "/integrations/b").json["settings"],
                             {"token": "t1"})
            self.server.stop()
            self.assertEqual(other.request("GET", "/integrations/a", headers=self.reader).json, masked)
            self.server.start()
        site = ApacheCgi(DATABASE_URL=self.server.url)  # which has no replica
        os.makedirs(site.state_dir, exist_ok=True)
        shutil.copy(os.path.join(self.service.state_dir, "keys"), site.state_dir)
        with site:
            self.assertEqual(site.request("GET", "/integrations/a", headers=self.reader).json, masked)
        self.assertEqual(self.ask(self.admin, "GET", "/integrations/a").json["settings"], SECRETS)
