# SPDX-License-Identifier: MIT
"""Settings that are sealed: nothing readable lies on a disk, what was put in the place of something
else is found out, and keys change while the service goes on."""

import base64
import os
import signal
import subprocess
import threading
import time
import unittest

from keys import bearer, in_force, key
from postgres import WithDatabase
from service import PATIENCE, PROGRAM, Service, integration, quote, wait_for

SECRET = "planted-token-"
MISSING = "the settings are sealed with a key that is missing here"
DAMAGED = "the stored integration is damaged"
WRONG = "the settings are not what was sealed here"


def new_key(name):
    return f"{name} {base64.b64encode(os.urandom(32)).decode()}"


class Case(unittest.TestCase):
    environment = {}

    def start(self, *lines, **environment):
        """A service with these lines in its file of keys."""
        service = Service(**self.environment, **environment)
        self.keys_file = os.path.join(service.directory, "encryption-keys")
        service.environment["ENCRYPTION_KEYS_FILE"] = self.keys_file
        self.write_keys(*lines)
        return self.enterContext(service)

    def write_keys(self, *lines):
        with open(self.keys_file, "w", encoding="utf-8") as file:
            file.write("# the first one seals\n\n" + "\n".join(lines) + "\n")

    def ask(self, service, method, path, body=None, status=200, **headers):
        answer = service.request(method, path, body, headers)
        self.assertEqual(answer.status, status, f"{method} {path}: {answer}")
        return answer

    def run_program(self, service, *arguments, status=0, **environment):
        result = subprocess.run(
            [PROGRAM, *arguments], capture_output=True, text=True, check=False,
            input=environment.pop("text", ""), timeout=60 * PATIENCE, env={
                "PATH": "/usr/bin:/bin", "STATE_DIR": service.state_dir,
                **self.environment, "ENCRYPTION_KEYS_FILE": self.keys_file, **environment})
        self.assertEqual(result.returncode, status, result)
        return result

    def reload(self, *services):
        """New workers, which know the keys in the file, and none but them."""
        for service in services:
            before = set(service.worker_pids())
            follower = service.follower_pid()
            service.process.send_signal(signal.SIGHUP)

            def is_done():
                service.request("GET", "/health")  # ends the connections that nginx keeps
                return not before & set(service.worker_pids()) and service.worker_pids()
            wait_for("new workers", is_done, 30)
            if follower is not None:
                wait_for("a new follower", lambda: service.follower_pid() not in (None, follower), 30)

    def fill(self, service, count=10):
        for n in range(count):
            self.ask(service, "POST", "/integrations", integration(
                f"i{n}", status=n % 2 == 0, settings={"token": f"{SECRET}{n}", "n": n}), 201)
            self.ask(service, "PATCH", f"/integrations/i{n}", {"settings": {"n": n + 1}})

    def files(self, service):
        for directory, _, names in os.walk(service.directory):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path

    def assert_nothing_readable(self, *services):
        for service in services:
            for path in self.files(service):
                with open(path, "rb") as file:
                    self.assertNotIn(SECRET.encode(), file.read(), path)


class Encryption(Case):
    """In the embedded store."""

    def test_nothing_readable(self):
        service = self.start(new_key("k1"))
        admin = bearer(key(service.state_dir, "new", "admin", "--scopes", "secrets,write,metrics"))
        reader = bearer(key(service.state_dir, "new", "reader", "--scopes", "read"))
        in_force(service)
        item = {"id": "ü/a\"", "name": "n", "description": "d", "status": True,
                "settings": {"token": SECRET + "1", "né\"w": [1.5, {"x": SECRET + "2"}], "nul": "\0"}}
        path = "/integrations/" + quote(item["id"])
        self.ask(service, "POST", "/integrations", item, 201, **admin)
        self.assertEqual(self.ask(service, "GET", path, **admin).json, item)
        masked = self.ask(service, "GET", path, **reader).json
        self.assertRegex(masked["settings"]["token"], r"^\[secret:")
        changed = {**item, "settings": {"token": masked["settings"]["token"]}}
        self.ask(service, "PUT", path, changed, **admin)
        self.assertEqual(self.ask(service, "GET", path, **admin).json["settings"],
                         {"token": SECRET + "1"})
        self.ask(service, "POST", "/integrations:batch", {"operations": [
            {"op": "create", "integration": integration("b", settings={"t": SECRET + "3"})},
            {"op": "patch", "id": "b", "patch": {"settings": {"u": SECRET + "4"}}},
            {"op": "patch", "id": item["id"], "patch": {"name": "other"}},
            {"op": "delete", "id": "b"},
            {"op": "create", "integration": integration("b", settings={"t": SECRET + "5"})}]}, **admin)
        history = self.ask(service, "GET", path + "/history", **admin).json
        self.assertEqual([entry["members"] for entry in history], [
            ["name"], sorted(["settings.nul", "settings.né\"w"], key=str.encode),
            sorted(["description", "name", "status", "settings.token", "settings.nul",
                    "settings.né\"w"], key=str.encode)])
        self.assertEqual(history[-1]["document"], item)
        self.assertEqual([entry["members"] for entry in self.ask(
            service, "GET", "/integrations/b/history", **admin).json][:3], [
                ["description", "name", "settings.t", "status"],
                ["description", "name", "settings.t", "settings.u", "status"], ["settings.u"]])
        restored = self.ask(service, "POST", path + "/restore",
                            {"revision": history[-1]["revision"]}, **admin)
        self.assertEqual(restored.json, item)
        listed = self.ask(service, "GET", "/integrations", **admin).json
        self.assertEqual([one["settings"] for one in listed if one["id"] in (item["id"], "b")],
                         [item["settings"], {"t": SECRET + "5"}])
        self.assertEqual(self.ask(service, "GET", "/integrations?q=OTHER", **admin).json, [])
        self.ask(service, "DELETE", path, status=204, **admin)
        self.ask(service, "POST", path + "/restore", {"revision": history[1]["revision"]}, **admin)
        # Elsewhere there is nothing either, and nothing in clear unless asked for.
        export = os.path.join(service.directory, "export")
        self.run_program(service, "export", export)
        self.assert_nothing_readable(service)
        wait_for("the key's figures", lambda: 'integration_store_sealed{key="k1",what="integrations"}'
                 in self.ask(service, "GET", "/metrics", **admin).body.decode(), 30)
        clear = self.run_program(service, "export", "--clear").stdout
        self.assertIn(SECRET + "5", clear)
        before = self.ask(service, "GET", "/integrations", **admin).json
        for one in before:
            self.ask(service, "DELETE", "/integrations/" + quote(one["id"]), status=204, **admin)
        self.run_program(service, "import", export)
        self.assertEqual(self.ask(service, "GET", "/integrations", **admin).json, before)
        # Who has another key of that name can do nothing with it.
        for other, wrong in (("k1", "line 1: its settings are not what was sealed"),
                             ("k2", 'sealed with the key "k1", which is not in ENCRYPTION_KEYS_FILE')):
            self.write_keys(new_key(other))
            self.assertIn(wrong, self.run_program(service, "import", export, status=1).stderr)

    def hosts(self, *lines):
        return [self.start(*lines)]

    def test_keys_change_under_load(self):
        """Turned on, to another key, and off: no read fails, no change is lost."""
        one, two = new_key("k1"), new_key("k2")
        hosts = self.hosts("none")
        service = hosts[0]
        self.fill(service)
        wrong, ended = [], threading.Event()
        expected = {f"i{n}": f"{SECRET}{n}" for n in range(10)}

        def read(host):
            client = host.client()
            while not ended.is_set():
                for name, token in expected.items():
                    try:
                        answer = client.request("GET", f"/integrations/{name}")
                        if answer.status != 200 or answer.json["settings"]["token"] != token:
                            wrong.append(answer)
                        listed = client.request("GET", "/integrations")
                        if b"unreadable" in listed.body or listed.status != 200:
                            wrong.append(listed)
                    except OSError as error:
                        wrong.append(error)
                        client = host.client()

        def change():
            client, n = hosts[-1].client(), 0
            while not ended.is_set():
                n += 1
                answer = client.request("PATCH", f"/integrations/i{n % 10}", {"description": str(n)})
                if answer.status != 200:
                    wrong.append(answer)
                time.sleep(.01)

        threads = [threading.Thread(target=read, args=(host,)) for host in hosts]
        threads.append(threading.Thread(target=change))
        for thread in threads:
            thread.start()
        try:
            for lines in (["none", one], [one]):
                self.write_keys(*lines)
                self.reload(*hosts)
            told = self.run_program(service, "rekey").stdout
            self.assertRegex(told, r"sealed \d+ integrations and \d+ earlier versions\nkey k1: 10 ")
            for lines in ([one, two], [two, one]):
                self.write_keys(*lines)
                self.reload(*hosts)
            told = self.run_program(service, "rekey").stdout
            self.assertIn("key k1: nothing, so it can be taken out of ENCRYPTION_KEYS_FILE\n", told)
            self.write_keys(two)
            self.reload(*hosts)
            self.assertIn("key k2: 10 integrations", self.run_program(service, "rekey").stdout)
            self.write_keys("none", two)
            self.reload(*hosts)
            told = self.run_program(service, "rekey").stdout
            self.assertIn("key k2: nothing", told)
            self.write_keys("none")
            self.reload(*hosts)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        self.assertEqual([str(answer)[:400] for answer in wrong[:3]], [])
        for host in hosts:
            for n in range(10):
                history = self.ask(host, "GET", f"/integrations/i{n}/history?limit=1000").json
                self.assertEqual([entry for entry in history if
                                  entry["document"]["settings"]["token"] != f"{SECRET}{n}"], [])
                self.assertEqual(
                    {tuple(entry["members"]) for entry in history[:-2]}, {("description",)})

    def test_a_start_without_a_key(self):
        """It says which, and makes none by itself."""
        one = new_key("k1")
        service = self.start(one)
        self.fill(service, 2)
        service.stop()
        for lines in (["none"], [new_key("k2")]):
            self.write_keys(*lines)
            with self.assertRaises(AssertionError):
                service.start()
            self.assertIn('no key \\"k1\\", with which 2 integrations and 2 earlier versions',
                          service.stderr())
        for lines, wrong in (([], "there is no key in it"), (["k1"], "line 3: the key is not 32 bytes"),
                             (["k1 " + "A" * 43], "line 3: the key is not 32 bytes"),
                             ([one, one], "line 4: the key has the name of another"),
                             (["k/1" + one[2:]], "line 3: a line is NAME BASE64")):
            self.write_keys(*lines)
            result = self.run_program(service, "export", status=1)
            self.assertIn(f"ENCRYPTION_KEYS_FILE: {self.keys_file}: {wrong}", result.stderr)
            self.assertNotIn(one[3:], result.stderr)
        self.write_keys(one)
        os.chmod(self.keys_file, 0o646)
        self.assertIn("chmod o-w", self.run_program(service, "export", status=1).stderr)
        os.chmod(self.keys_file, 0o600)
        service.start()
        self.assertEqual(self.ask(service, "GET", "/integrations/i1").json["settings"]["token"],
                         SECRET + "1")
        # A reload with a fault in the file keeps what was known.
        self.write_keys("k1 nonsense")
        service.process.send_signal(signal.SIGHUP)
        wait_for("the fault to be told", lambda: service.log(
            "the keys for settings that were known before go on to count"))
        self.ask(service, "PATCH", "/integrations/i1", {"name": "still"})

    def test_what_cannot_be_opened_fails_alone(self):
        """Here all of it, with another key of the same name; but for one that is sealed with it."""
        one, two = new_key("k1"), new_key("k2")
        service = self.start(one, two)
        self.fill(service, 3)
        revision = self.ask(service, "GET", "/integrations/i0/history").json[0]["revision"]
        self.write_keys(two, new_key("k1"))
        self.reload(service)
        self.ask(service, "POST", "/integrations", integration("good", settings={"a": 1}), 201)
        for n in range(3):
            self.assertEqual(self.ask(service, "GET", f"/integrations/i{n}", status=500).json,
                             {"detail": DAMAGED})
        self.ask(service, "PATCH", "/integrations/i0", {"name": "x"}, 500)
        self.ask(service, "POST", "/integrations/i0/restore", {"revision": revision - 1}, 500)
        listed = self.ask(service, "GET", "/integrations").json
        self.assertEqual([(item["id"], item["settings"], item.get("unreadable")) for item in listed],
                         [(f"i{n}", {}, WRONG) for n in range(3)] + [("good", {"a": 1}, None)])
        self.assertEqual({entry["document"].get("unreadable") for entry in self.ask(
            service, "GET", "/integrations/i0/history").json}, {WRONG})
        self.assertIn("3 integrations are missing, for they cannot be opened, or sealed", self.run_program(
            service, "export", os.path.join(service.directory, "export"), status=1).stderr)
        self.assertIn("6 integrations or earlier versions cannot be opened",
                      self.run_program(service, "rekey", status=1).stderr)
        # It is not sent back by mistake, but can be overwritten, removed and restored.
        refused = self.ask(service, "PUT", "/integrations/i0", listed[0], 422).json
        self.assertEqual([(fault["loc"], fault["type"]) for fault in refused["detail"]],
                         [(["body", "unreadable"], "value_error.unreadable")])
        self.ask(service, "PUT", "/integrations/i0", integration("i0", settings={"a": 2}))
        self.assertEqual(self.ask(service, "GET", "/integrations/i0").json["settings"], {"a": 2})
        self.ask(service, "DELETE", "/integrations/i1", status=204)
        self.ask(service, "GET", "/integrations/i1", status=404)
        self.write_keys(two, one)
        self.reload(service)
        self.assertEqual(self.ask(service, "GET", "/integrations/i2").json["settings"]["token"],
                         SECRET + "2")
        last = self.ask(service, "GET", "/integrations/i1/history").json[1]["revision"]
        self.ask(service, "POST", "/integrations/i1/restore", {"revision": last})
        self.assertEqual(self.ask(service, "GET", "/integrations/i1").json["settings"]["token"],
                         SECRET + "1")


class Reloading(Case):
    def test_a_key_taken_out_too_early(self):
        """New workers do not start without it, so the old ones go on; when it is back, they do."""
        one = new_key("k1")
        service = self.start(one)
        self.fill(service, 2)
        before = service.worker_pids()
        self.write_keys(new_key("k2"))
        service.process.send_signal(signal.SIGHUP)
        wait_for("new workers to give up", lambda: len(service.log("cannot start")) > 4, 30)
        self.assertEqual([pid for pid in before if pid not in service.worker_pids()], [])
        self.assertEqual(self.ask(service, "GET", "/integrations/i1").json["settings"]["token"],
                         SECRET + "1")
        self.write_keys(one)
        self.reload(service)
        self.assertEqual(self.ask(service, "GET", "/integrations/i1").json["settings"]["token"],
                         SECRET + "1")


class EncryptionWithDatabase(WithDatabase, Encryption):
    """In PostgreSQL, and the replicas of three hosts."""
    database_settings = {"fsync": "off"}

    def hosts(self, *lines):
        first = self.start(*lines)
        keys_file = self.keys_file
        others = [self.enterContext(Service(**self.environment, ENCRYPTION_KEYS_FILE=keys_file))
                  for _ in range(2)]
        return [first, *others]

    def assert_nothing_readable(self, *services):
        super().assert_nothing_readable(*services)
        self.server.sql("CHECKPOINT")
        for directory, _, names in os.walk(self.server.directory):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        self.assertNotIn(SECRET.encode(), file.read(), path)

    def fresh(self, service, name, status=200):
        return self.ask(service, "GET", "/integrations/" + name, status=status,
                        **{"Cache-Control": "no-cache"})

    def test_rows_that_others_wrote(self):
        """With white space, in another order of the members, and with more of them."""
        service = self.start(new_key("k1"))
        self.fill(service, 3)
        self.server.sql(
            "UPDATE integration_documents SET document = json_build_object('settings',"
            f" json_build_object('token', '{SECRET}x'), 'id', id, 'name', 'n', 'more', 1, 'status', true,"
            " 'description', 'd') WHERE id = 'i0';"
            "UPDATE integration_documents SET document = '[]' WHERE id = 'i1'")
        self.assertIn("sealed 1 integrations and 0 ",
                      self.run_program(service, "rekey", status=1).stdout)
        self.assertIn("sealed 0 integrations and 0 ",
                      self.run_program(service, "rekey", status=1).stdout)
        self.assertEqual(self.fresh(service, "i0").json, {
            "id": "i0", "name": "n", "description": "d", "status": True,
            "settings": {"token": SECRET + "x"}})
        self.assertEqual(self.server.sql("SELECT count(*) FROM integration_documents"
                                         f" WHERE document::text LIKE '%{SECRET}%'"), "0")
        result = self.run_program(service, "export", status=1)
        self.assertIn("1 integrations are missing", result.stderr)
        self.assertEqual(result.stdout.count('"settings":"1:k1:'), 2)

    def test_what_was_put_in_the_place_of_something_else(self):
        service = self.start(new_key("k1"))
        self.fill(service, 8)
        self.server.sql("CREATE TABLE kept AS SELECT * FROM integration_documents")
        for n in range(8):
            self.ask(service, "PATCH", f"/integrations/i{n}", {"settings": {"token": f"{SECRET}new"}})
        documents = "UPDATE integration_documents d SET document = "
        # The rows of two change places; one is another's; an old document; an old row; a bit.
        self.server.sql(
            documents + "o.document FROM integration_documents o WHERE d.id IN ('i0', 'i1')"
            " AND o.id IN ('i0', 'i1') AND o.id <> d.id;"
            + documents + "replace(o.document::text, '\"i3\"', '\"i2\"')::json"
            " FROM integration_documents o WHERE d.id = 'i2' AND o.id = 'i3';"
            + documents + "o.document FROM kept o WHERE d.id = 'i4' AND o.id = 'i4';"
            + documents + "o.document, revision = o.revision, updated_at = o.updated_at"
            " FROM kept o WHERE d.id = 'i5' AND o.id = 'i5';"
            + documents + "overlay(d.document::text placing"
            " CASE WHEN substr(d.document::text, length(d.document::text) - 20, 1) = 'A' THEN 'B'"
            " ELSE 'A' END from length(d.document::text) - 20 for 1)::json WHERE d.id = 'i6'")
        for n in range(7):
            status = 200 if n == 3 else 500
            self.fresh(service, f"i{n}", status)
        self.assertEqual(self.fresh(service, "i7").json["settings"]["token"], SECRET + "new")
        listed = self.ask(service, "GET", "/integrations", **{"Cache-Control": "no-cache"}).json
        self.assertEqual({item["id"] for item in listed if "unreadable" not in item}, {"i3", "i7"})
        # The replica has what was there; a new one finds out the same.
        other = self.enterContext(Service(**self.environment, ENCRYPTION_KEYS_FILE=self.keys_file))
        for n in range(8):
            self.ask(other, "GET", f"/integrations/i{n}", status=200 if n in (3, 7) else 500)
            self.ask(service, "GET", f"/integrations/i{n}")
        # A row of another store.
        self.server.sql("UPDATE integration_store SET mask_key = sha256('another')")
        self.fresh(self.enterContext(Service(
            **self.environment, ENCRYPTION_KEYS_FILE=self.keys_file)), "i7", 500)


if __name__ == "__main__":
    unittest.main()
