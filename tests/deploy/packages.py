# SPDX-License-Identifier: MIT
"""The npm packages of package.json, beside the scripts that use them."""

import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def install(test_class):
    """A directory with all of it, for a class of tests."""
    directory = os.environ.get("DEPLOY_DIR")
    if directory is None:
        directory = tempfile.mkdtemp(prefix="integration-npm-")
        test_class.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
    for name in "package.json", "manifests.mjs", "terraform.mjs":
        shutil.copy(os.path.join(HERE, name), directory)
    subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund",
                    "--ignore-scripts", "--silent"], cwd=directory, check=True)
    return directory
