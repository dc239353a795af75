# SPDX-License-Identifier: MIT
"""A run under valgrind: no error, no leak, no descriptor left."""

import glob
import json
import os
import re
import shutil
import tempfile
import unittest

import service as running
import test_golden
from service import Service, integration


class Memory(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="integration-service-valgrind-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        patience = running.PATIENCE
        running.PATIENCE = patience * 10
        self.addCleanup(setattr, running, "PATIENCE", patience)

    def test_nothing_is_left(self):
        wrapper = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=all",
                   "--errors-for-leak-kinds=all", "--error-exitcode=99", "--track-fds=yes",
                   f"--log-file={self.directory}/%p.log"]
        with open(test_golden.RECORDING, encoding="utf-8") as file:
            scenarios = json.load(file)["scenarios"]
        with Service(wrapper=wrapper, WORKERS="2", STORE_MAX_BYTES="64M", SEED_DEFAULTS="on",
                     DRAIN_TIMEOUT="60") as service:
            client = service.client()
            replayed = test_golden.Golden().replay(client, scenarios[:20])
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
        logs = glob.glob(f"{self.directory}/*.log")
        self.assertGreaterEqual(len(logs), 3, "the supervisor and two workers")
        for path in logs:
            with open(path) as file:
                log = file.read()
            # Descriptors that came from outside stay outside's; nothing else may be there.
            log = re.sub(r"==\d+== (Open file descriptor|Open AF_UNIX socket)[^\n]*\n"
                         r"==\d+==    <inherited from parent>\n", "", log)
            rest = [line for line in log.splitlines() if not re.fullmatch(
                r"==\d+== (FILE DESCRIPTORS: .*)?", line)]
            self.assertEqual(rest, [], os.path.basename(path))


if __name__ == "__main__":
    unittest.main()
