# SPDX-License-Identifier: MIT
"""The running service, for tests: the real program and the real nginx, on a free port, in a
temporary directory of their own."""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PROGRAM = os.environ.get("INTEGRATION_SERVICE", "./integration-service")
# Programs under valgrind or with sanitizers take longer for everything.
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
# How long the tests under load last.
LOAD_SECONDS = float(os.environ.get("TEST_LOAD_SECONDS", "5"))


def wait_for(what, condition, seconds=20):
    deadline = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain for: {what}")


def free_port():
    """A port that is free, and which the system gives to no connection meanwhile (Linux,
    ip_local_port_range: from 32768 on)."""
    while True:
        port = random.randrange(10000, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def answers(port, path, status=200):
    """Whether a GET is answered with this status now."""
    client = Client(port)
    try:
        return client.request("GET", path).status == status
    except OSError:
        return False
    finally:
        client.close()


@contextlib.contextmanager
def own_nginx(service, server):
    """An nginx of a site's own with the service's files, and these lines in its server block; its
    port."""
    directory = os.path.join(service.state_dir, "nginx")
    port = free_port()
    with open(os.path.join(directory, "site.conf"), "w", encoding="utf-8") as file:
        user = "user root; " if os.getuid() == 0 else ""
        file.write(f"""{user}daemon off; pid site.pid; error_log stderr crit; events {{}}
http {{
    include integration-service-upstream.conf;
    server {{ listen 127.0.0.1:{port}; {server} }}
}}""")
    nginx = subprocess.Popen(
        ["nginx", "-e", "stderr", "-p", directory, "-c", "site.conf"],
        env={"PATH": os.environ["PATH"] + ":/usr/sbin"}, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        nginx.terminate()
        nginx.wait()


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:200]!r}"


class Client:
    """One kept connection. `http.client` sends the path as it is given."""

    def __init__(self, port, timeout=30):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout * PATIENCE)

    def request(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        self.connection.request(method, path, body=body, headers=headers)
        response = self.connection.getresponse()
        return Answer(response, response.read())

    def close(self):
        self.connection.close()


def integration(identity, **members):
    return {"id": identity, "name": "name", "description": "description", **members}


class Service:
    """Starts in a new directory, or in `directory` again; a context manager that ends it and looks
    at how it ended."""

    def __init__(self, directory=None, nginx=True, wrapper=(), expect_exit=0, program=PROGRAM,
                 **environment):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="integration-service-")
        self.nginx = nginx
        self.wrapper = list(wrapper)
        self.program = program
        self.expect_exit = expect_exit
        self.port = free_port()
        self.environment = {"WORKERS": "2", **environment}
        self.state_dir = os.path.join(self.directory, "state")
        self.socket = os.path.join(self.state_dir, "integration-service.sock")
        self.stderr_path = os.path.join(self.directory, "stderr")
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:  # what it said may tell why
            print("".join(f"\n  {line}" for line in self.stderr().splitlines()
                          if '"msg":"request"' not in line)[-4000:])
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
        except Exception:
            if kind is None:
                raise
        finally:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.own_directory:
                shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self):
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "STATE_DIR": self.state_dir,
            "PORT": str(self.port),
            "WWW_DIR": os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "www"),
            **{name: value for name, value in os.environ.items()
               if name.startswith(("ASAN_", "UBSAN_", "LSAN_"))},
            **self.environment,
        }
        command = [*self.wrapper, self.program, "serve"] + (["--with-nginx"] if self.nginx else [])
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=stderr)

    def start(self):
        started = len(self.log("serving"))
        self.spawn()
        if self.nginx:
            line = self.process.stdout.readline().decode()
            if "ready at" not in line:
                raise AssertionError(f"the service did not start:\n{self.stderr()}")
        else:
            wait_for("the service to serve",
                     lambda: len(self.log("serving")) > started or self.process.poll() is not None)
            if self.process.poll() is not None:
                raise AssertionError(f"the service did not start:\n{self.stderr()}")

    def stop(self, by=signal.SIGTERM, seconds=30):
        self.process.send_signal(by)
        status = self.process.wait(seconds * PATIENCE)
        if status != self.expect_exit:
            raise AssertionError(f"the service ended with {status}:\n{self.stderr()[-3000:]}")

    def client(self, timeout=30):
        return Client(self.port, timeout)

    def request(self, method, path, body=None, headers=None):
        client = self.client()
        try:
            return client.request(method, path, body, headers)
        finally:
            client.close()

    def successful(self, path):
        answer = self.request("GET", path)
        if answer.status not in (200, 502):
            raise AssertionError(answer)
        return answer if answer.status == 200 else None

    def stderr(self):
        with open(self.stderr_path, errors="replace") as file:
            return file.read()

    def log(self, message=None):
        """The log lines so far, as objects; nginx's own lines are not among them."""
        if not os.path.exists(self.stderr_path):
            return []
        wanted = "" if message is None else f'"msg":"{message}"'
        return [json.loads(line) for line in self.stderr().splitlines(keepends=True)
                if line.startswith("{") and wanted in line and line.endswith("\n")]

    def worker_pids(self):
        """The workers that run now."""
        return [pid for pid in self.children() if name_of(pid) not in ("nginx", "follower")]

    def follower_pid(self):
        return next((pid for pid in self.children() if name_of(pid) == "follower"), None)

    def nginx_pid(self):
        return next(pid for pid in self.children() if name_of(pid) == "nginx")

    def children(self, of=None):
        pid = of or self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]

    def metrics(self):
        """All samples by name with labels, as a dictionary. A scrape that a killed worker had in its
        hands is tried again."""
        answer = wait_for("a scrape", lambda: self.successful("/metrics"))
        samples = {}
        for line in answer.body.decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def delete_all(service, pattern="."):
    client = service.client()
    for item in client.request("GET", "/integrations").json:
        if re.search(pattern, item["id"]):
            client.request("DELETE", "/integrations/" + quote(item["id"]))
    client.close()


def quote(identity):
    from urllib.parse import quote as percent_encode
    return percent_encode(identity, safe="")
