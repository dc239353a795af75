# SPDX-License-Identifier: MIT
"""The image and docker-compose.yml, in a real engine."""

import json
import subprocess
import time
import unittest

from engine import Engine

import test_golden  # found by engine
from keys import KeyedClient
from service import Client, answers, integration, wait_for
from test_load import Outcomes, in_threads, join

PORT = 8000


class Docker(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = Engine().__enter__()
        cls.addClassCleanup(cls.engine.__exit__)
        cls.engine.build("integration-service")

    def tearDown(self):
        self.engine.compose("--profile", "embedded", "down", "-v", "-t", "5")

    def inspect(self, container, expression):
        return json.loads(self.engine.docker("inspect", "-f", "{{json " + expression + "}}",
                                             container))

    def containers(self):
        return self.engine.compose("ps", "-q").split()

    def expect_healthy(self):
        wait_for("all to be healthy", lambda: all(
            self.inspect(container, ".State.Health.Status") == "healthy"
            for container in self.containers()), 60)

    def expect_confined(self, container):
        host = self.inspect(container, ".HostConfig")
        self.assertTrue(host["ReadonlyRootfs"])
        self.assertEqual(host["CapDrop"], ["ALL"])
        pid = self.inspect(container, ".State.Pid")
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        self.assertEqual(status["Uid"].split()[0], "10001")
        self.assertEqual(int(status["CapEff"], 16), 0)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertNotEqual(subprocess.run(
            ["/usr/bin/docker", "-H", self.engine.socket, "exec", container, "bash", "-c",
             "echo x >/usr/x"], stderr=subprocess.DEVNULL).returncode, 0)

    def stop_under_load(self, stop):
        """Stops while clients write; what they were answered is in the store afterwards."""
        answered = Outcomes()
        acknowledged = []

        def hammer(number):
            client = KeyedClient(PORT, self.key)
            count = 0
            try:
                while True:
                    count += 1
                    identity = f"{number}-{count}"
                    status = client.request("POST", "/integrations", integration(identity)).status
                    if status == 502:
                        return
                    answered.add(status, (201,))
                    acknowledged.append(identity)
            except (ConnectionError, OSError):
                return  # closed between two requests; half an answer would be another error
            finally:
                client.close()

        threads, failures = in_threads(16, hammer)
        time.sleep(1)
        stop()
        join(threads, failures)
        self.assertEqual(answered.unexpected, [])
        self.assertGreater(len(acknowledged), 100)
        return acknowledged

    def stored(self):
        client = KeyedClient(PORT, self.key, 10)
        try:
            return {item["id"] for item in client.request("GET", "/integrations").json}
        finally:
            client.close()

    def check_stack(self, *services):
        """As docs/containers.md says; the service that has the keys is the last of them."""
        service = services[-1] if services else "service"
        self.key = self.engine.compose("run", "--rm", "-T", service, "key", "new", "admin",
                                              "--scopes", "secrets,write", timeout=180).split()[-1]
        self.assertRegex(self.key, r"^isk_[0-9A-Za-z]{49}$")
        self.engine.compose("up", "-d", "--no-build", *services, timeout=180)
        wait_for("the service", lambda: answers(PORT, "/readiness"), 60)
        self.assertEqual(Client(PORT).request("GET", "/integrations").status, 401)
        self.expect_healthy()
        test_golden.replay_all(self, KeyedClient(PORT, self.key))
        for container in self.containers():
            if self.inspect(container, ".Config.Image") == "integration-service":
                self.expect_confined(container)
        acknowledged = self.stop_under_load(lambda: self.engine.compose("stop", timeout=120))
        codes = {self.inspect(container, ".State.ExitCode") for container in self.containers()}
        self.assertEqual(codes, {0})
        self.engine.compose("up", "-d", "--no-build", *services, timeout=180)
        wait_for("the service", lambda: answers(PORT, "/readiness"), 60)
        # What was answered is there; what was made when its client had gone may be.
        self.assertEqual(set(acknowledged) - self.stored(), set())

    def test_with_postgresql(self):
        self.check_stack()

    def test_embedded(self):
        self.check_stack("embedded")

    def test_the_image_is_small(self):
        size, base = (int(self.engine.docker("image", "inspect", "-f", "{{.Size}}", name))
                      for name in ("integration-service", "debian:bookworm-slim"))
        print(f"image: {(size - base) / 1e6:.1f} MB above the base of {base / 1e6:.1f} MB")
        self.assertLess(size - base, 40e6)


if __name__ == "__main__":
    unittest.main()
