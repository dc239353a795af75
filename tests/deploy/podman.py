# SPDX-License-Identifier: MIT
"""podman with all that it keeps in a directory of its own: it can run systemd, and pods."""

import os
import shutil
import subprocess
import tempfile

CONTAINERS = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
volume_path = "{directory}/volumes"
static_dir = "{directory}/libpod"
tmp_dir = "{directory}/tmp"
"""

STORAGE = """[storage]
driver = "overlay"
runroot = "{directory}/run"
graphroot = "{directory}/root"
"""


class Podman:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="integration-podman-")
        self.environment = {**os.environ,
                            "CONTAINERS_CONF": self.put("containers.conf", CONTAINERS),
                            "CONTAINERS_STORAGE_CONF": self.put("storage.conf", STORAGE)}

    def put(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("{directory}", self.directory))
        return path

    def __call__(self, *words, check=True):
        result = subprocess.run(["podman", *words], env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                timeout=120)
        if check and result.returncode != 0:
            raise AssertionError(f"{words}: {result.stdout}{result.stderr}")
        return result.stdout

    def take(self, engine, image):
        """An image of the other engine."""
        archive = os.path.join(self.directory, "image.tar")
        engine.docker("save", "-o", archive, image)
        self("load", "-q", "-i", archive)
        os.unlink(archive)

    def remove(self):
        subprocess.run(["umount", "-l", os.path.join(self.directory, "root", "overlay")],
                       check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)
