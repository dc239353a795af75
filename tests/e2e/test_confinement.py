# SPDX-License-Identifier: MIT
"""What a process of the service gives up, seen from outside and tried from inside."""

import errno
import os
import pathlib
import subprocess
import tempfile
import unittest

from postgres import Postgres
from service import PROGRAM, Service, integration, wait_for

INTRUDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "intruder.c")


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def core_file(pid):
    """How long a core file can be, and which memory is in it."""
    with open(f"/proc/{pid}/limits") as limits, open(f"/proc/{pid}/coredump_filter") as filtered:
        limit = next(line for line in limits if line.startswith("Max core file size"))
        return limit.split()[4], int(filtered.read(), 16)


class Confinement(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.library = os.path.join(cls.directory.name, "intruder.so")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-D_GNU_SOURCE", "-pthread",
                        "-o", cls.library, INTRUDER, "-ldl"], check=True)
        cls.addClassCleanup(cls.directory.cleanup)

    def attempts(self, **environment):
        """The results of an intruder in a worker, who leaves it able to do its work."""
        with Service(LD_PRELOAD=self.library, **environment) as service:
            results = pathlib.Path(service.state_dir, "intruder")
            wait_for("an attempt", lambda: results.exists() and "trace" in results.read_text())
            lines = results.read_text().split("\n")
            self.assertEqual(service.request("POST", "/integrations", integration("a")).status, 201)
            self.assertEqual(service.request("GET", "/integrations/a").status, 200)
            self.assertEqual(os.path.exists(os.path.join(service.directory, "beside")),
                             "write 0" in lines)
        return {name: int(code) for name, code in (line.split() for line in lines if line)}

    def test_an_intruder_in_a_worker_reaches_nothing(self):
        self.assertEqual(self.attempts(), {
            "read": errno.EACCES, "write": errno.EACCES, "fork": errno.EPERM,
            "socket": errno.EPERM, "trace": errno.EPERM})

    def test_with_a_database_files_can_be_read(self):
        with Postgres() as database:
            self.assertEqual(self.attempts(DATABASE_URL=database.url), {
                "read": 0, "write": errno.EACCES, "fork": errno.EPERM, "socket": 0,
                "trace": errno.EPERM})

    def test_the_attempts_succeed_without_it(self):
        found = self.attempts(SANDBOX="off")
        del found["trace"]  # an ordinary user may lack the right to that anyway
        self.assertEqual(set(found.values()), {0})

    def test_all_processes_that_read_foreign_bytes(self):
        with Postgres() as database, Service(DATABASE_URL=database.url) as service:
            for pid in [*service.worker_pids(), service.follower_pid()]:
                self.assertEqual(status(pid)["NoNewPrivs"], "1")
                self.assertEqual(status(pid)["Seccomp"], "2")

    def test_a_file_of_keys_behind_links(self):
        """As an orchestrator mounts secrets, and behind a link of our own."""
        with tempfile.TemporaryDirectory() as directory:
            mount = os.path.join(directory, "mount")
            path = os.path.join(directory, "own", "keys")
            keys = {}
            for version in "1", "2":
                os.makedirs(os.path.join(mount, "..version" + version))
                keys[version] = subprocess.run(
                    [PROGRAM, "key", "new", "a", "--scopes", "read"], check=True, text=True,
                    capture_output=True, env={"PATH": os.environ["PATH"], "KEYS_FILE": os.path.join(
                        mount, "..version" + version, "keys")}).stdout.strip()
            os.symlink("..version1", os.path.join(mount, "..data"))
            os.symlink("..data/keys", os.path.join(mount, "keys"))
            os.mkdir(os.path.dirname(path))
            os.symlink(os.path.join(mount, "keys"), path)
            with Service(KEYS_FILE=path) as service:
                def is_let_in(version):
                    return service.request("GET", "/integrations", None, {
                        "X-API-Key": keys[version]}).status == 200
                self.assertTrue(is_let_in("1"))
                os.symlink("..version2", os.path.join(mount, "..next"))
                os.rename(os.path.join(mount, "..next"), os.path.join(mount, "..data"))
                wait_for("the new key", lambda: is_let_in("2"))
                wait_for("the end of the old one", lambda: not is_let_in("1"))

    def test_core_files(self):
        with Service() as service:
            for pid in [service.process.pid, service.nginx_pid(), *service.worker_pids()]:
                self.assertEqual(core_file(pid), ("0", 0))
        own_limit, own_filter = core_file("self")
        with Service(CORE_DUMPS="on") as service:
            for pid in service.worker_pids():
                self.assertEqual(core_file(pid), (own_limit, own_filter))
