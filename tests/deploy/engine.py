# SPDX-License-Identifier: MIT
"""A Docker engine of the tests' own, with what they need from the network in it: Debian's packages
make the base image, and stand-ins for images that a registry would give."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from service import wait_for  # noqa: E402 (it lies beside the other tests)

POSTGRES = """FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends postgresql && \\
    rm -rf /var/lib/postgresql/15 && \\
    install -d -o postgres -g postgres -m 2777 /var/run/postgresql /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data
USER postgres
ENTRYPOINT ["bash", "-c", "[ -s $PGDATA/PG_VERSION ] || { initdb -U $POSTGRES_USER -A trust -E UTF8 --locale=C.UTF-8 >/dev/null \\
    && pg_ctl -w start -o '-c listen_addresses=' >/dev/null && createdb -U $POSTGRES_USER $POSTGRES_DB; \\
    pg_ctl -w stop >/dev/null; }; exec \\"$@\\"", "start"]
"""


class Engine:
    """A context manager. As root; everything it makes lies in one directory."""

    def __init__(self):
        # What it made is kept for the next run, if somebody says where.
        self.directory = os.environ.get("DEPLOY_DIR") or tempfile.mkdtemp(prefix="integration-docker-")
        os.makedirs(self.directory, exist_ok=True)
        self.socket = f"unix://{self.directory}/docker.sock"
        self.log = open(os.path.join(self.directory, "log"), "ab")

    def __enter__(self):
        self.process = subprocess.Popen(
            ["/usr/sbin/dockerd", "--data-root", f"{self.directory}/data",
             "--exec-root", f"{self.directory}/exec", "--pidfile", f"{self.directory}/pid",
             "-H", self.socket, "--bridge=none", "--iptables=false", "--ip6tables=false",
             "--exec-opt", "native.cgroupdriver=cgroupfs", "--default-ulimit", "nofile=4096:4096"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for("the engine", lambda: self.try_docker("info"), 60)
            self.make_base()
            self.make("postgres:15-bookworm", POSTGRES)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        subprocess.run(["umount", f"{self.directory}/exec/netns/default"], check=False,
                       stderr=subprocess.DEVNULL)
        self.log.close()
        if "DEPLOY_DIR" not in os.environ:
            subprocess.run(["rm", "-rf", self.directory], check=False)

    def run(self, *command, timeout=900, **options):
        result = subprocess.run(command, timeout=timeout, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
                                env={**os.environ, "DOCKER_HOST": self.socket,
                                     "DOCKER_BUILDKIT": "1"}, **options)
        if result.returncode != 0:
            raise AssertionError(f"{' '.join(command)}:\n{result.stdout[-4000:]}")
        return result.stdout

    def docker(self, *words, **options):
        return self.run("/usr/bin/docker", *words, **options)

    def try_docker(self, *words):
        try:
            return self.docker(*words, timeout=20)
        except (AssertionError, subprocess.TimeoutExpired):
            return None

    def compose(self, *words, **options):
        return self.run("docker-compose", "-p", "integration-test", *words, **options)

    def make_base(self):
        if self.try_docker("image", "inspect", "debian:bookworm-slim"):
            return
        archive = os.path.join(self.directory, "base.tar")
        self.run("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root",
                 "--include=ca-certificates", "--dpkgopt=path-exclude=/usr/share/doc/*",
                 "--dpkgopt=path-exclude=/usr/share/locale/*",
                 '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*',
                 "bookworm", archive, "/etc/apt/sources.list.d/debian.sources")
        self.docker("import", "-c",
                    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", archive,
                    "debian:bookworm-slim")
        os.unlink(archive)

    def make(self, name, text, files=()):
        """An image of the text of a Dockerfile, and files beside it."""
        if self.try_docker("image", "inspect", name):
            return
        directory = os.path.join(self.directory, "context")
        os.makedirs(directory, exist_ok=True)
        for path, content in {"Dockerfile": text, **dict(files)}.items():
            with open(os.path.join(directory, path), "w", encoding="utf-8") as file:
                file.write(content)
        self.docker("build", "-q", "--network", "host", "-t", name, directory)

    def build(self, name):
        self.docker("build", "--network", "host", "--progress", "plain", "-t", name, ".")
