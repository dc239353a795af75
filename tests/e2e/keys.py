# SPDX-License-Identifier: MIT
"""Keys of a service, for tests."""

import subprocess
import time

from service import PATIENCE, PROGRAM, Client


def key(state_dir, *words, status=0, **environment):
    """Runs `integration-service key`; returns what it printed."""
    result = subprocess.run([PROGRAM, "key", *words], capture_output=True, text=True, timeout=30,
                            env={"PATH": "/usr/bin:/bin", "STATE_DIR": state_dir, **environment})
    if result.returncode != status:
        raise AssertionError(result)
    return (result.stdout if status == 0 else result.stderr).rstrip("\n")


def in_force(service):
    """Waits until every process must know the keys as they are now."""
    time.sleep(1.2 + (PATIENCE - 1) / 4)
    if service.request("GET", "/integrations").status != 401:
        raise AssertionError("no key is needed")


class KeyedClient(Client):
    """A client whose requests have a key."""

    def __init__(self, port, text, timeout=30):
        super().__init__(port, timeout)
        self.key = text

    def request(self, method, path, body=None, headers=None):
        return super().request(method, path, body, {"X-API-Key": self.key, **(headers or {})})


def bearer(text):
    return {"Authorization": f"Bearer {text}"}
