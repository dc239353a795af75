# SPDX-License-Identifier: MIT
"""A run under valgrind: no error, no leak, no descriptor left."""

import glob
import os
import re
import shutil
import tempfile
import unittest

import service as running
import test_golden
from keys import bearer, in_force, key
from postgres import Postgres
from service import Service, integration, wait_for


class Memory(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="integration-service-valgrind-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        patience = running.PATIENCE
        running.PATIENCE = patience * 10
        self.addCleanup(setattr, running, "PATIENCE", patience)

    def exercise(self, service):
        client = service.client()
        replayed = test_golden.replay(self, client, test_golden.scenarios()[:20])
        self.assertGreater(replayed, 150)
        for size in 10, 70000, 1000000:
            body = integration("large", settings={"pad": "x" * size})
            self.assertEqual(client.request("POST", "/integrations", body).status, 201)
            self.assertEqual(client.request("GET", "/integrations/large").status, 200)
            self.assertEqual(client.request("GET", "/integrations").status, 200)
            self.assertEqual(client.request("DELETE", "/integrations/large").status, 204)
        self.assertEqual(client.request("GET", "/metrics").status, 200)
        self.assertEqual(client.request("POST", "/integrations", "x" * 1048576).status, 422)
        client.close()

    def exercise_keys(self, service):
        """From then on, everybody needs one."""
        client = service.client()
        made = key(service.state_dir, "new", "a", "--scopes", "read,write")
        in_force(service)
        document = integration("masked", settings={"a": "b", "c": ["d", {"e": "f"}]})
        self.assertEqual(client.request("POST", "/integrations", document, bearer(made)).status, 201)
        masked = client.request("GET", "/integrations/masked", headers=bearer(made)).json
        for method, body in ("PUT", masked), ("PATCH", {"settings": masked["settings"]}):
            answer = client.request(method, "/integrations/masked", body, bearer(made))
            self.assertEqual((answer.status, answer.json), (200, masked))
        self.assertEqual(client.request("GET", "/integrations", headers=bearer(made)).status, 200)
        key(service.state_dir, "revoke", "a")
        client.close()

    def service(self, **environment):
        wrapper = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=all",
                   "--errors-for-leak-kinds=all", "--error-exitcode=99", "--track-fds=yes",
                   f"--log-file={self.directory}/%p.log"]
        # valgrind does not know the system calls of the sandbox.
        return Service(wrapper=wrapper, SANDBOX="off", WORKERS="2", STORE_MAX_BYTES="64M", SEED_DEFAULTS="on",
                       DRAIN_TIMEOUT="60", **environment)

    def nothing_is_left(self, processes):
        logs = glob.glob(f"{self.directory}/*.log")
        self.assertGreaterEqual(len(logs), processes)
        for path in logs:
            with open(path) as file:
                log = file.read()
            # Descriptors that came from outside stay outside's; nothing else may be there.
            log = re.sub(r"==\d+== (Open file descriptor|Open AF_UNIX socket)[^\n]*\n"
                         r"==\d+==    <inherited from parent>\n", "", log)
            rest = [line for line in log.splitlines() if not re.fullmatch(
                r"==\d+== (FILE DESCRIPTORS: .*)?", line)]
            self.assertEqual("\n".join(rest), "", os.path.basename(path))

    def test_nothing_is_left(self):
        with self.service() as service:
            self.exercise(service)
            self.exercise_keys(service)
        self.nothing_is_left(3)  # the supervisor and two workers

    def test_nothing_is_left_with_a_database(self):
        with Postgres() as server:
            with self.service(DATABASE_URL=server.url, DB_TIMEOUT="25") as service:
                self.exercise(service)
                client = service.client()
                self.assertEqual(client.request("GET", "/integrations", None,
                                                {"Cache-Control": "no-cache"}).status, 200)
                # Connections that break, a database that is away, a replica that is copied anew.
                server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE application_name = 'integration-service'")
                wait_for("a write", lambda: client.request(
                    "POST", "/integrations", integration("cut")).status in (201, 400))
                server.stop("immediate")
                self.assertEqual(client.request("GET", "/integrations/cut").status, 200)
                wait_for("refusal", lambda: client.request(
                    "POST", "/integrations", integration("cut")).status == 503)
                server.start()
                server.sql("UPDATE integration_store SET tag = 5; UPDATE integration_changes SET tag = 5")
                wait_for("a copy", lambda: "the replica is a new copy" in service.stderr()
                         and service.metrics()["integration_replica_copies_total"] == 2)
                client.close()
                self.exercise_keys(service)
        self.nothing_is_left(4)


if __name__ == "__main__":
    unittest.main()
