# SPDX-License-Identifier: MIT
"""The systemd units as `make install` installs them, under a real systemd as process 1, behind the
nginx of the distribution with the files that are installed for it."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from engine import Engine

import test_golden  # found by engine
from service import Client, free_port, integration, wait_for
from test_load import Outcomes, in_threads, join

IMAGE = """FROM integration-build AS build
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \\
    systemd systemd-sysv dbus libfcgi0ldbl libjson-c5 liblmdb0 libpq5 nginx-light
COPY --from=build /image /
COPY site.conf /etc/nginx/nginx.conf
RUN cp /usr/share/integration-service/nginx/integration-service*.conf /etc/nginx/ && \\
    systemctl enable integration-service.socket integration-service.service nginx
CMD ["/sbin/init"]
"""

SITE = """user www-data;
events {{}}
http {{
    access_log off;
    include integration-service-upstream.conf;
    server {{
        listen 127.0.0.1:{port};
        merge_slashes off;
        include integration-service-errors.conf;
        include integration-service.conf;
        location / {{ include integration-service-fastcgi.conf; }}
    }}
}}
"""

# podman can run systemd where Docker's engine may not.
PODMAN = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Machine:
    """A container whose process 1 is systemd; a context manager."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="integration-podman-")
        self.port = free_port()
        self.environment = {**os.environ,
                            "CONTAINERS_CONF": self.put("containers.conf", PODMAN),
                            "CONTAINERS_STORAGE_CONF": self.put("storage.conf", f"""[storage]
driver = "overlay"
runroot = "{self.directory}/run"
graphroot = "{self.directory}/root"
""")}

    def put(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def podman(self, *words, check=True):
        result = subprocess.run(["podman", *words], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                timeout=120)
        if check and result.returncode != 0:
            raise AssertionError(f"{words}: {result.stdout}{result.stderr}")
        return result.stdout

    def shell(self, command):
        return self.podman("exec", "machine", "sh", "-c", command)

    def __enter__(self):
        with Engine() as engine:
            engine.docker("build", "--network", "host", "--target", "build", "-t",
                          "integration-build", ".")
            archive = os.path.join(self.directory, "image.tar")
            engine.make("integration-machine", IMAGE, {"site.conf": SITE.format(port=self.port)})
            engine.docker("save", "-o", archive, "integration-machine")
            engine.docker("rmi", "integration-machine")
        self.podman("load", "-q", "-i", archive)
        self.podman("run", "-d", "--name", "machine", "--systemd=always", "--network", "host",
                    "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
                    "--security-opt", "unmask=ALL", "integration-machine", "/sbin/init")
        try:
            wait_for("the machine to answer", self.answers, 30)
        except BaseException:
            print(self.podman("exec", "machine", "journalctl", "--no-pager", "-n", "30", check=False))
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.podman("rm", "-f", "-t", "5", "machine", check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def answers(self):
        client = Client(self.port, 5)
        try:
            return client.request("GET", "/readiness").status == 200
        except OSError:
            return False
        finally:
            client.close()


class Units(unittest.TestCase):
    def test_under_a_real_systemd(self):
        with Machine() as machine:
            with open(test_golden.RECORDING, encoding="utf-8") as file:
                scenarios = json.load(file)["scenarios"]
            client = Client(machine.port)
            self.addCleanup(client.close)
            self.assertEqual(test_golden.Golden.replay(self, client, scenarios), 664)
            outcomes = Outcomes()
            acknowledged = []
            stopped, killed = [], []

            def hammer(number):
                count = 0
                mine = Client(machine.port)
                while not stopped:
                    count += 1
                    identity = f"{number}-{count}"
                    answer = mine.request("POST", "/integrations", integration(identity))
                    outcomes.add(answer.status, (201, 502) if killed else (201,), identity)
                    if answer.status == 201:
                        acknowledged.append(identity)
                mine.close()

            threads, failures = in_threads(8, hammer)
            try:
                for command in (
                        "systemctl restart integration-service",
                        "systemctl reload integration-service",
                        "systemctl kill --kill-whom=main -s USR2 integration-service",
                        "cp /usr/bin/integration-service /usr/bin/new && "
                        "mv /usr/bin/new /usr/bin/integration-service && "
                        "systemctl kill --kill-whom=main -s USR2 integration-service",
                        "systemctl restart integration-service",
                        "systemctl kill --kill-whom=main -s KILL integration-service"):
                    if "KILL" in command:
                        killed.append(True)
                    machine.shell(command)
                    time.sleep(1)
                    wait_for("it to be active", lambda: "active\n" == machine.podman(
                        "exec", "machine", "systemctl", "is-active", "integration-service",
                        check=False))
            finally:
                stopped.append(True)
                join(threads, failures)
            self.assertEqual(outcomes.unexpected, [])
            # What the killed processes held is lost to its client: one request each.
            self.assertLessEqual(outcomes[502], 8)
            self.assertGreater(len(acknowledged), 1000)
            stored = {item["id"] for item in client.request("GET", "/integrations").json}
            self.assertEqual(set(acknowledged) - stored, set())
            machine.shell("systemctl stop integration-service.socket integration-service")
            show = machine.shell("systemctl show -p Result -p NRestarts -p ExecMainStatus "
                                 "integration-service")
            self.assertIn("Result=success", show)
            self.assertIn("NRestarts=1", show)
            self.assertIn("ExecMainStatus=0", show)


if __name__ == "__main__":
    unittest.main()
