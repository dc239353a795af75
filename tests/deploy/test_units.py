# SPDX-License-Identifier: MIT
"""The systemd units as `make install` installs them, under a real systemd as process 1, behind the
nginx of the distribution with the files that are installed for it."""

import time
import unittest

from engine import Engine

import test_golden  # found by engine
from podman import Podman
from service import Client, answers, free_port, integration, wait_for
from test_load import Outcomes, in_threads, join

IMAGE = """FROM integration-build AS build
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \\
    systemd systemd-sysv dbus libfcgi0ldbl libjson-c5 liblmdb0 libpq5 libutf8proc2 libsodium23 libseccomp2 nginx-light
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

class Machine:
    """A container whose process 1 is systemd; a context manager."""

    def __init__(self):
        self.podman = Podman()
        self.port = free_port()

    def shell(self, command):
        return self.podman("exec", "machine", "sh", "-c", command)

    def __enter__(self):
        with Engine() as engine:
            engine.docker("build", "--network", "host", "--target", "build", "-t",
                          "integration-build", ".")
            engine.make("integration-machine", IMAGE, {"site.conf": SITE.format(port=self.port)})
            self.podman.take(engine, "integration-machine")
            engine.docker("rmi", "integration-machine")
        self.podman("run", "-d", "--name", "machine", "--systemd=always", "--network", "host",
                    "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
                    "--security-opt", "unmask=ALL", "integration-machine", "/sbin/init")
        try:
            wait_for("the machine to answer", lambda: answers(self.port, "/readiness"), 30)
        except BaseException:
            print(self.podman("exec", "machine", "journalctl", "--no-pager", "-n", "30", check=False))
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.podman("rm", "-f", "-t", "5", "machine", check=False)
        self.podman.remove()


class Units(unittest.TestCase):
    def test_under_a_real_systemd(self):
        with Machine() as machine:
            test_golden.replay_all(self, Client(machine.port))
            client = Client(machine.port)
            self.addCleanup(client.close)
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
