# SPDX-License-Identifier: MIT
"""The Terraform module: its form, and that it parses. `terraform test` in its directory says more,
where the provider can be had."""

import glob
import json
import os
import subprocess
import unittest

import packages
from engine import ROOT

MODULE = os.path.abspath(os.path.join(ROOT, "deploy", "terraform"))


class Module(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = packages.install(cls)

    def test_it_is_formatted(self):
        result = subprocess.run(["terraform", "fmt", "-check", "-recursive", MODULE],
                                capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_it_parses_and_documents_its_variables(self):
        paths = glob.glob(os.path.join(MODULE, "*.tf")) + glob.glob(
            os.path.join(MODULE, "tests", "*.hcl"))
        result = subprocess.run(["node", "terraform.mjs", *paths], cwd=self.packages,
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        files = {os.path.basename(path): content
                 for path, content in json.loads(result.stdout).items()}
        self.assertIn("aws_ecs_service", files["main.tf"]["resource"])
        for kind in "variable", "output":
            for name, (content,) in files[f"{kind}s.tf"][kind].items():
                self.assertTrue(content["description"].endswith("."), name)


if __name__ == "__main__":
    unittest.main()
