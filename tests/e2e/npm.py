# SPDX-License-Identifier: MIT
"""The npm packages of tests/npm, beside the program that is tested; fetched when that is new."""

import os
import shutil
import subprocess

from service import PROGRAM

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "npm")
DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "npm")
# Neither asks anybody whether it is new, nor tells anybody that it was used.
ENVIRONMENT = {**os.environ, "npm_config_update_notifier": "false", "REDOCLY_TELEMETRY": "off",
               "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def install():
    """A directory with node_modules."""
    lock = os.path.join(DIRECTORY, "package-lock.json")
    if read(lock) != read(os.path.join(SOURCE, "package-lock.json")) or \
            not os.path.exists(os.path.join(DIRECTORY, "node_modules", "axe-core")):
        os.makedirs(DIRECTORY, exist_ok=True)
        for name in os.listdir(SOURCE):
            shutil.copyfile(os.path.join(SOURCE, name), os.path.join(DIRECTORY, name))
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    return DIRECTORY


def run(command, *arguments):
    """Runs a program of a package, or of the machine."""
    own = os.path.join(DIRECTORY, "node_modules", ".bin", command)
    result = subprocess.run([own if os.path.exists(own) else command, *arguments], cwd=DIRECTORY,
                            env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{command}: {result.stdout[-4000:]}")
    return result.stdout
