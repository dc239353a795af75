# SPDX-License-Identifier: MIT
"""What systemd is told and gives: its protocols, spoken by the test and by its own tool, and its
judgement of the units."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import fastcgi
from service import PATIENCE, PROGRAM, Service, wait_for

BUILD = os.path.dirname(os.path.abspath(PROGRAM))


class Manager:
    """A notification socket, and what came in (sd_notify(3))."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(20 * PATIENCE)

    def next(self):
        return self.socket.recv(4096).decode().splitlines()

    def wait(self, state):
        """The message that has this state; fails if none comes in time."""
        while state not in (message := self.next()):
            pass
        return message


def is_listening(path):
    """Whether somebody listens there (__SO_ACCEPTCON in proc_net_unix(5)), without connecting: that
    would start the service. The file is there before that."""
    with open("/proc/net/unix", encoding="utf-8") as file:
        return any(line.split()[3] == "00010000" and line.split()[-1] == path for line in file)


class Protocol(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="integration-service-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def test_it_is_told_how_the_service_goes(self):
        manager = Manager(self.directory)
        self.addCleanup(manager.socket.close)
        with Service(nginx=False, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="400000",
                     PRE_DRAIN_DELAY="0.3", DRAIN_TIMEOUT="3") as service:
            self.assertIn("STATUS=serving with 2 workers", manager.wait("READY=1"))
            for _ in range(3):
                self.assertEqual(manager.next(), ["WATCHDOG=1"])
            for change in signal.SIGHUP, signal.SIGUSR2:
                service.process.send_signal(change)
                manager.wait("RELOADING=1")
                manager.wait("READY=1")
                manager.wait("WATCHDOG=1")
            service.process.send_signal(signal.SIGTERM)
            self.assertIn("EXTEND_TIMEOUT_USEC=7300000", manager.wait("STOPPING=1"))
            self.assertEqual(service.process.wait(30 * PATIENCE), 0)

    def activate(self, *sockets):
        """Starts the service with sockets of systemd's tool, which does so at the first connection."""
        environment = {"PATH": os.environ["PATH"], "STATE_DIR": self.directory, "WORKERS": "1",
                       **{name: value for name, value in os.environ.items()
                          if name.startswith(("ASAN_", "UBSAN_"))}}
        listen = [word for address in sockets for word in ("--listen", address)]
        passed = [f"--setenv={name}" for name in environment]
        process = subprocess.Popen(
            ["systemd-socket-activate", *listen, *passed, PROGRAM, "serve"], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_for("the sockets", lambda: all(is_listening(path) for path in sockets))
        return process

    def health(self, path):
        connection = fastcgi.Connection(path, 20 * PATIENCE)
        try:
            connection.send(fastcgi.request(keep=False))
            return connection.answer()[0]
        finally:
            connection.close()

    def test_it_gives_the_socket(self):
        path = os.path.join(self.directory, "given")
        process = self.activate(path)
        # Who connects first waits until the service is there.
        self.assertEqual(self.health(path), 200)
        for change in signal.SIGHUP, signal.SIGUSR2:
            process.send_signal(change)
            self.assertEqual(self.health(path), 200)
        process.terminate()
        output = process.communicate(timeout=30 * PATIENCE)[0]
        self.assertEqual(process.returncode, 0, output)
        self.assertIn(f'"address":"unix:{path}"', output)
        self.assertTrue(os.path.exists(path), "it is not ours to remove")

    def test_too_many_sockets(self):
        paths = [os.path.join(self.directory, name) for name in ("one", "two")]
        process = self.activate(*paths)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(paths[0])
            output = process.communicate(timeout=30 * PATIENCE)[0]
        self.assertEqual(process.returncode, 1)
        self.assertIn("the service manager gives 2 sockets: one is wanted", output)


class Units(unittest.TestCase):
    def test_they_are_right_and_expose_little(self):
        with tempfile.TemporaryDirectory() as directory:
            paths = []
            for kind in "service", "socket":
                name = f"integration-service.{kind}"
                with open(os.path.join(BUILD, "deploy", "systemd", name), encoding="utf-8") as file:
                    text = file.read()
                self.assertNotRegex(text, "@[A-Za-z]+@")
                paths.append(os.path.join(directory, name))
                with open(paths[-1], "w", encoding="utf-8") as file:
                    lines = [f"ExecStart={os.path.abspath(PROGRAM)} serve"
                             if line.startswith("ExecStart=") else line
                             for line in text.splitlines()]
                    file.write("\n".join(lines) + "\n")
            result = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths],
                                    capture_output=True, text=True)
            ours = [line for line in result.stderr.splitlines() if "integration-service" in line]
            self.assertEqual((result.returncode, ours), (0, []), result.stderr)
            result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                                     "--threshold=20", paths[0]], capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout[-300:])


if __name__ == "__main__":
    unittest.main()
