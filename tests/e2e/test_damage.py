# SPDX-License-Identifier: MIT
"""Files of STATE_DIR that somebody shortens, empties, removes or replaces, and the way back."""

import contextlib
import http.client
import json
import os
import random
import re
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest

from postgres import Postgres
from service import PATIENCE, PROGRAM, Client, Service, integration, wait_for
from test_load import in_threads, join

COUNT = 200


def run_program(service, *words, **options):
    return subprocess.run([PROGRAM, *words], text=True, capture_output=True, timeout=60 * PATIENCE,
                          env={"PATH": os.environ["PATH"], **service.environment,
                               "STATE_DIR": service.state_dir}, **options)


def fill(service, count=COUNT):
    lines = "".join(json.dumps(integration(f"i{n}", settings={"pad": "x" * 900})) + "\n"
                    for n in range(count))
    result = run_program(service, "import", input=lines)
    assert result.returncode == 0, result


def halve(path):
    os.truncate(path, os.path.getsize(path) // 2)


def change(service, name="after"):
    return service.request("PUT", "/integrations/i0", integration("i0", name=name))


def limit_memory():
    """Too little address space to map the store."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def end_as_it_may(service):
    """A worker whose store broke ends with an error, perhaps while the service stops."""
    service.stop = lambda *_: (service.process.terminate(), service.process.wait(30))


class Damage(unittest.TestCase):
    def data(self, service):
        return os.path.join(service.state_dir, "store", "data.mdb")

    def ask_for_a_change(self, service):
        """A process that is stopped may have it, or one that ends; or else it is made."""
        client = Client(service.port, 2)
        with contextlib.suppress(OSError, http.client.HTTPException):
            client.request("PUT", "/integrations/i0", integration("i0"))
        client.close()

    def is_not_acknowledged(self, service, method="PUT", path="/integrations/i0"):
        """Refused, or waiting for a worker: nginx ends that after half a minute, with 504."""
        client = Client(service.port, 2)
        with contextlib.suppress(TimeoutError):
            body = integration("i0") if method == "PUT" else None
            self.assertGreaterEqual(client.request(method, path, body).status, 500)
        client.close()

    def refuses_to_start(self, directory):
        service = Service(directory, nginx=False)
        with self.assertRaises(AssertionError) as raised:
            service.start()
        self.assertEqual(service.process.returncode, 1)
        self.assertIn("restore a backup", str(raised.exception))

    def damaged(self, damage, said):
        """Changes are refused, readiness fails and one line says why; then it does not start, until
        a backup has been restored."""
        with tempfile.TemporaryDirectory() as directory:
            backup = os.path.join(directory, "backup")
            with Service(directory, expect_exit=None) as service:
                end_as_it_may(service)
                fill(service)
                self.assertEqual(run_program(service, "export", backup).returncode, 0)
                self.assertEqual(service.request("GET", "/readiness").status, 200)
                damage(self.data(service))
                join(*in_threads(4, lambda _: self.is_not_acknowledged(service)))
                self.is_not_acknowledged(service, "GET", "/readiness")
                wait_for("the line", lambda: said in service.stderr())
            self.refuses_to_start(directory)
            result = run_program(service, "restore", backup)
            self.assertEqual(result.returncode, 0, result)
            self.assertIn(f"restored {COUNT} integrations", result.stderr)
            with Service(directory) as service:
                self.assertEqual(len(service.request("GET", "/integrations").json), COUNT)
                self.assertEqual(service.request("GET", "/integrations/i7").json["settings"],
                                 {"pad": "x" * 900})
                self.assertEqual(change(service).status, 200)

    def test_a_file_cut_in_half(self):
        self.damaged(halve, "shorter")

    def test_a_file_that_was_emptied(self):
        self.damaged(lambda path: os.truncate(path, 0), "missing or empty")

    def test_a_store_that_was_removed(self):
        self.damaged(lambda path: shutil.rmtree(os.path.dirname(path)), "missing or empty")

    def test_a_file_that_was_replaced(self):
        """A copy moved over it: no change is acknowledged that is not in it."""
        with Service() as service:
            end_as_it_may(service)
            fill(service)
            with open(self.data(service), "rb") as file, \
                    open(self.data(service) + ".copy", "wb") as copy:
                shutil.copyfileobj(file, copy)
            self.assertEqual(change(service, "lost").status, 200)
            os.rename(self.data(service) + ".copy", self.data(service))
            wait_for("the copy to be served",
                     lambda: change(service).status == 200, 30)
            self.assertIn("was replaced", service.stderr())
            wait_for("what was acknowledged", lambda: service.request(
                "GET", "/integrations/i0").json.get("name") == "after")
            service.stop()
            service.start()
            self.assertEqual(service.request("GET", "/integrations/i0").json["name"], "after")

    def make(self, service, method, path, body, statuses):
        """Makes a change. What waits for a worker that is stopped is asked for again."""
        def is_made():
            client = Client(service.port, 1)
            with contextlib.suppress(TimeoutError), contextlib.closing(client):
                status = client.request(method, path, body).status
                self.assertIn(status, statuses)
                return True
            return False
        wait_for("a change", is_made)

    def write_over(self, service, count, cut_first):
        """A copy of the file, made when it had `count` transactions less."""
        for n in range(5):
            self.make(service, "POST", "/integrations", integration(f"later{n}"), (201, 400))
        with open(self.data(service), "rb") as file:
            copy = file.read()
        for n in range(count):
            self.make(service, "PUT", "/integrations/i0", integration("i0", name=f"lost{n}"), (200,))
        with open(self.data(service), "r+b") as file:
            if cut_first:
                file.truncate(0)
            file.write(copy)
            file.truncate()

    def holds_the_copy_and_later_changes(self, service):
        wait_for("the line", lambda: re.search(
            "is not what it was|became shorter", service.stderr()))
        wait_for("a new store", lambda: change(service, "after").status == 200 and
                 service.request("GET", "/integrations").status == 200)
        service.stop()
        service.start()
        found = service.request("GET", "/integrations").json
        self.assertEqual([item["id"] for item in found],
                         [f"i{n}" for n in range(5)] + [f"later{n}" for n in range(5)])
        self.assertEqual(found[0]["name"], "after")

    def test_a_copy_that_was_written_over_the_file(self):
        """Nothing of it is lost, nor what is acknowledged later; with every parity of transactions."""
        for count in range(4, 8):
            for cut_first in True, False:
                with Service() as service:
                    end_as_it_may(service)
                    fill(service, 5)
                    self.write_over(service, count, cut_first)
                    self.holds_the_copy_and_later_changes(service)

    def test_a_copy_over_the_file_of_a_worker_that_has_seen_no_change(self):
        """The next change is made by a worker that knows nothing of what was there."""
        for count in range(4, 8):
            with Service() as service:
                end_as_it_may(service)
                fill(service, 5)
                first, second = service.worker_pids()
                os.kill(first, signal.SIGSTOP)
                self.write_over(service, count, cut_first=False)
                os.kill(second, signal.SIGSTOP)
                os.kill(first, signal.SIGCONT)
                join(*in_threads(8, lambda _: self.ask_for_a_change(service)))
                os.kill(second, signal.SIGCONT)
                self.holds_the_copy_and_later_changes(service)

    def test_files_of_locks_that_were_removed(self):
        """Processes that lock another file must not write beside those that do not."""
        for name in "lock.mdb", "turn":
            with Service() as service:
                end_as_it_may(service)
                fill(service, 3)
                made = []

                def create(number):
                    client = Client(service.port, 60)
                    for n in range(40):
                        with contextlib.suppress(OSError, http.client.HTTPException):
                            identity = f"{number}-{n}"
                            if client.request("POST", "/integrations",
                                              integration(identity)).status == 201:
                                made.append(identity)
                    client.close()

                threads = in_threads(4, create)
                os.unlink(os.path.join(service.state_dir, "store", name))
                os.kill(service.worker_pids()[0], signal.SIGKILL)
                imported = run_program(service, "import", input=json.dumps(integration("imported")))
                join(*threads)
                wait_for("the service to be well", lambda: change(service).status == 200)
                self.assertIn("was removed or replaced", service.stderr())
                self.assertGreater(len(made), 0)
                kept = {item["id"] for item in service.request("GET", "/integrations").json}
                self.assertEqual(set(made) - kept, set())
                self.assertEqual("imported" in kept, imported.returncode == 0)

    def test_restore_under_a_running_service(self):
        with Service() as service, tempfile.TemporaryDirectory() as directory:
            backup = os.path.join(directory, "backup")
            fill(service, 3)
            run_program(service, "export", backup)
            tag = service.request("GET", "/integrations").headers["ETag"]
            service.request("DELETE", "/integrations/i1")
            service.request("POST", "/integrations", integration("new"))
            before = service.request("GET", "/integrations").headers["ETag"]
            self.assertEqual(run_program(service, "restore", backup).returncode, 0)
            answer = service.request("GET", "/integrations")
            self.assertEqual([item["id"] for item in answer.json], ["i0", "i1", "i2"])
            revisions = [int(t.strip('"').split("-")[0]) for t in (tag, before,
                                                                   answer.headers["ETag"])]
            self.assertEqual(revisions, sorted(set(revisions)), "no revision comes again")
            whole = os.stat(self.data(service)).st_ino
            for bad in "", "{", '{"id":"x"}', '[{"id":"x","name":"","description":""},5]':
                if bad:
                    self.assertEqual(run_program(service, "restore", input=bad).returncode, 1)
            self.assertEqual(len(service.request("GET", "/integrations").json), 3)
            with open(backup, encoding="utf-8") as file:
                refused = run_program(service, "restore", stdin=file, preexec_fn=limit_memory)
            self.assertNotEqual(refused.returncode, 0)
            if "Sanitizer" not in refused.stderr:  # which needs more address space itself
                self.assertIn("set a smaller STORE_MAX_BYTES", refused.stderr)
            self.assertEqual(os.stat(self.data(service)).st_ino, whole, "a whole store stays")

    def test_what_cannot_be_a_backup(self):
        with tempfile.TemporaryDirectory() as directory, Service(nginx=False) as service:
            fill(service, 5)
            backup, part = os.path.join(directory, "backup"), os.path.join(directory, "part")
            self.assertEqual(run_program(service, "backup", backup).returncode, 0)
            with open(backup) as file:
                lines = file.readlines()
            for content, reason in ("", "empty"), ("\n", "empty"), ("".join(lines[:3]), "cut off"), \
                    ("".join(lines[:5]), "cut off"), ("".join(lines)[:-40], "does not end"), \
                    ("".join(lines[1:]), "5 integrations were exported, but 4 are here"):
                with open(part, "w") as file:
                    file.write(content)
                result = run_program(service, "restore", part)
                self.assertEqual((result.returncode, reason in result.stderr), (1, True), result)
            with open(part, "w") as file:
                file.writelines(lines[:3])
            self.assertIn("imported 3", run_program(service, "import", part).stderr)
            self.assertIn("restored 5", run_program(service, "restore", backup).stderr)
            # What is no file is written to, and stays; a link leads to what is written.
            pipe, link = os.path.join(directory, "pipe"), os.path.join(directory, "link")
            os.mkfifo(pipe)
            os.symlink(part, link)
            reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
            self.assertEqual(run_program(service, "backup", pipe).returncode, 0)
            self.assertEqual(reader.communicate(timeout=20 * PATIENCE)[0].splitlines()[5:],
                             ['{"exported":5}'])
            self.assertTrue(stat.S_ISFIFO(os.lstat(pipe).st_mode))
            self.assertEqual(run_program(service, "backup", link).returncode, 0)
            self.assertTrue(os.path.islink(link))
            with open(part) as file:
                self.assertEqual(len(file.readlines()), 6)
            self.assertEqual(run_program(service, "restore", os.devnull).returncode, 1)

    def test_a_limit_of_files_sizes_is_a_full_disk(self):
        with Service(nginx=True) as service:
            service.stop()
            service.wrapper = ["prlimit", "--fsize=2000000"]
            service.start()
            statuses = [service.request("POST", "/integrations", integration(
                f"i{n}", settings={"pad": "x" * 100000})).status for n in range(30)]
            self.assertEqual(set(statuses), {201, 507})
            self.assertEqual(service.request("GET", "/integrations/i0").status, 200)
            self.assertEqual(service.log("worker ended")[2:], [])

    def test_flipped_bits(self):
        """No export of a damaged store holds other bytes than were written, and no read."""
        generator = random.Random(12)
        with tempfile.TemporaryDirectory() as directory:
            service = Service(directory)
            os.makedirs(service.state_dir)
            fill(service, 40)
            with open(self.data(service), "rb") as file:
                whole = file.read()
            before = run_program(service, "export").stdout
            outcomes = {"same": 0, "refused": 0}
            flips = int(60 / PATIENCE)
            for _ in range(flips):
                at = generator.randrange(8192, len(whole))
                damaged = bytearray(whole)
                damaged[at] ^= 1 << generator.randrange(8)
                with open(self.data(service), "r+b") as file:
                    file.write(damaged)
                result = run_program(service, "export")
                if result.returncode == 0:
                    self.assertEqual(result.stdout, before, f"byte {at}")
                    outcomes["same"] += 1
                else:
                    self.assertNotEqual(result.stderr, "")
                    outcomes["refused"] += 1
            self.assertGreater(outcomes["refused"], flips // 10, outcomes)

            at = whole.index(b'"id":"i7"') + 40  # in the document of i7
            damaged = bytearray(whole)
            damaged[at] ^= 1
            with open(self.data(service), "r+b") as file:
                file.write(damaged)
            with Service(directory) as service:
                self.assertEqual(service.request("GET", "/integrations/i7").status, 500)
                self.assertEqual(service.request("GET", "/integrations/i8").status, 200)
                self.assertIn("is damaged", service.stderr())
                self.assertEqual(service.request("GET", "/integrations").status, 500)
                self.assertEqual(service.request("PUT", "/integrations/i8",
                                                 integration("i8")).status, 200)
                result = run_program(service, "export")
                self.assertEqual(result.returncode, 1)
                self.assertIn("damaged", result.stderr)

    def test_emptied_metrics(self):
        """The counts begin anew; the service goes on."""
        with Service() as service:
            for name in "metrics", os.path.join("store", "turn"):
                pids = service.worker_pids()
                os.truncate(os.path.join(service.state_dir, name), 0)
                for _ in range(50):
                    self.assertEqual(service.request("GET", "/integrations").status, 200)
                    self.assertEqual(service.request("GET", "/metrics").status, 200)
                self.assertEqual(service.request("POST", "/integrations",
                                                 integration(name)).status, 201)
                self.assertEqual(service.worker_pids(), pids)
            self.assertGreater(service.metrics()[
                'http_requests_total{method="GET",endpoint="/integrations",http_status="200"}'], 40)


class Trust(unittest.TestCase):
    """What others may have put into STATE_DIR."""

    def test_a_directory_of_another_user(self):
        owner = 65534 if os.geteuid() == 0 else None
        with tempfile.TemporaryDirectory() as directory:
            service = Service(directory, nginx=False)
            os.mkdir(service.state_dir)
            if owner is None:  # an ordinary user sees through a namespace where all else is nobody's
                service.wrapper = ["unshare", "--user", "--map-user=0"]
                service.environment["STATE_DIR"] = "/var/tmp"
            else:
                os.chown(service.state_dir, owner, owner)
            with self.assertRaises(AssertionError) as raised:
                service.start()
            self.assertIn("belongs to another user", str(raised.exception))
            if owner is not None:
                self.assertEqual(run_program(service, "import", input="").returncode, 1)

    def test_links_are_not_followed(self):
        with tempfile.TemporaryDirectory() as directory:
            with Service(directory, nginx=False) as service:
                pass
            for name in "metrics", "store/turn", "store/data.mdb", "lock":
                path, other = os.path.join(service.state_dir, name), os.path.join(directory, "other")
                shutil.copy(path, other)
                before = os.stat(other)
                os.rename(path, path + ".kept")
                os.symlink(other, path)
                refused = Service(directory, nginx=False)
                with self.assertRaises(AssertionError, msg=name) as raised:
                    refused.start()
                self.assertRegex(str(raised.exception), "symbolic link")
                self.assertEqual(os.stat(other).st_mtime_ns, before.st_mtime_ns, name)
                os.rename(path + ".kept", path)
            with Service(directory, nginx=False):
                pass


    def test_directories_inside_are_ours(self):
        with tempfile.TemporaryDirectory() as directory:
            with Service(directory):
                pass
            for name in "store", "nginx":
                path, other = os.path.join(directory, "state", name), os.path.join(directory, "other")
                os.rename(path, other)
                os.symlink(other, path)
                self.refused(directory, "symbolic link")
                os.unlink(path)
                os.rename(other, path)
                if os.geteuid() == 0:
                    os.chown(path, 65534, 65534)
                    self.refused(directory, "belongs to another user")
                    os.chown(path, 0, 0)
            with Service(directory):
                pass

    def refused(self, directory, reason):
        with self.assertRaises(AssertionError) as raised:
            Service(directory).start()
        self.assertIn(reason, str(raised.exception))


class Replica(unittest.TestCase):
    """A replica can be made anew from the database, whatever became of it."""

    def test_a_replica_that_cannot_be_used(self):
        def garbage(path):
            with open(path, "r+b") as file:
                file.write(b"Z" * 8192)

        with Postgres() as server, Service(DATABASE_URL=server.url) as service:
            end_as_it_may(service)
            fill(service)
            path = os.path.join(service.state_dir, "replica", "data.mdb")
            for damage in (halve, garbage, lambda path: os.truncate(path, 0), os.unlink,
                           lambda path: shutil.rmtree(os.path.dirname(path))):
                with self.subTest(damage=damage):
                    wait_for("the replica", lambda: service.request(
                        "GET", "/integrations/i7").status == 200, 30)
                    damage(path)
                    wait_for("a change", lambda: change(service).status == 200, 30)
                    wait_for("the replica to be made anew", lambda: service.request(
                        "GET", "/integrations/i7").status == 200 and len(service.request(
                            "GET", "/integrations").json) == COUNT, 30)

    @staticmethod
    def copies(service):
        return service.metrics().get("integration_replica_copies_total", 0)

    def test_while_nothing_changes(self):
        """A replica that was removed, and one in which a bit was flipped, with reads only."""
        def flip(path):
            with open(path, "r+b") as file:
                file.seek(file.read().index(b'"id":"i7"') + 40)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))

        with Postgres() as server, Service(DATABASE_URL=server.url) as service:
            end_as_it_may(service)
            fill(service)
            path = os.path.join(service.state_dir, "replica", "data.mdb")
            wanted = wait_for("the replica", lambda: service.request(
                "GET", "/integrations/i7").json.get("settings"))
            for damage in flip, os.unlink:
                copies = self.copies(service)
                damage(path)
                for _ in range(20):
                    answer = service.request("GET", "/integrations/i7")
                    self.assertIn((answer.status, answer.json.get("settings")),
                                  [(200, wanted), (500, None), (502, None), (503, None)])
                wait_for("a new copy", lambda before=copies: self.copies(service) > before, 30)
                wait_for("reads", lambda: service.request(
                    "GET", "/integrations/i7").json.get("settings") == wanted, 30)


if __name__ == "__main__":
    unittest.main()
