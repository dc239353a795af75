# SPDX-License-Identifier: MIT
"""Keys: who is let in, to what, and how that is changed."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from postgres import Postgres
from service import PATIENCE, PROGRAM, Service, integration, wait_for
from test_hosting import Apache, ApacheCgi, ApacheProxy, Lighttpd

SCOPES = "secrets", "write", "metrics"
METHODS = "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"


def key(state_dir, *words, status=0, **environment):
    """Runs `integration-service key`; returns what it printed."""
    result = subprocess.run([PROGRAM, "key", *words], capture_output=True, text=True, timeout=30,
                            env={"PATH": "/usr/bin:/bin", "STATE_DIR": state_dir, **environment})
    if result.returncode != status:
        raise AssertionError(result)
    return (result.stdout if status == 0 else result.stderr).rstrip("\n")


def in_force(service):
    """Waits until every process must know the keys as they are now."""
    time.sleep(1.2 + (PATIENCE - 1) / 4)
    if service.request("GET", "/integrations").status != 401:
        raise AssertionError("no key is needed")


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


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
                ("bot write", "line 1: a line is NAME SCOPES SHA256"),
                (f"# x\nbot read+write {digest}", "line 2: the scopes"),
                (f"b/t write {digest}", "line 1: the name"),
                ("bot write isk_planted", "line 1: the SHA-256"),
                (f"bot write {digest} ids=a", "line 1: after the SHA-256"),
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
        self.assertIn("No such file", result.stderr)


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
        found["malformed"] = found["secrets"][:-1] + ("A" if found["secrets"][-1] != "A" else "B")
        return found

    def check_matrix(self, site, keys):
        """Every operation of the service's own document with every key."""
        document = site.request("GET", "/openapi.json").json
        client = site.client()
        for path, item in document["paths"].items():
            for method in METHODS:
                operation = item.get("get" if method == "HEAD" else method.lower())
                if operation is None:
                    continue
                needed = {scope for choice in operation.get("security", [])
                          for scopes in choice.values() for scope in scopes}
                for name, text in {"none": None, **keys}.items():
                    for headers in ([{}] if text is None else [bearer(text), {"X-API-Key": text}]):
                        answer = client.request(method, path.replace("{id}", "nothing"),
                                                "[]" if method in ("POST", "PUT", "PATCH") else None,
                                                headers)
                        with self.subTest(method=method, path=path, key=name, headers=headers):
                            self.check_answer(answer, method, needed, name)
        client.close()

    def check_answer(self, answer, method, needed, name):
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
        elif needed <= set(name.split("+")):
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
                    "secrets", "secrets+write", "expired", "malformed")})

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
            key(service.state_dir, "revoke", "a")
            revoked = time.monotonic()
            time.sleep(1.5 + PATIENCE)
            stop.set()
            for thread in threads:
                thread.join()
            late = max((began - revoked for began, status in seen if status == 200), default=0)
            self.assertLess(late, 0.1 + PATIENCE)
            self.assertEqual({status for began, status in seen
                              if began < revoked} - {502, 503}, {200})
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
