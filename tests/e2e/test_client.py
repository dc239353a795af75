# SPDX-License-Identifier: MIT
"""The API's document as others read it: two linters, and a generator of clients."""

import os
import shutil
import unittest

import npm
from keys import in_force, key
from service import Service

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "api",
                        "openapi.yaml")


class Readers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = npm.install()
        shutil.copyfile(DOCUMENT, os.path.join(directory, "openapi.yaml"))
        shutil.copyfile(os.path.join(npm.SOURCE, "client.ts"), os.path.join(directory, "client.ts"))
        with open(os.path.join(directory, ".spectral.yaml"), "w", encoding="ascii") as file:
            file.write('extends: ["spectral:oas"]\n')

    def test_redocly_has_nothing_to_say(self):
        told = npm.run("redocly", "lint", "openapi.yaml", "--format=stylish")
        self.assertIn("Your API description is valid", told)
        self.assertNotIn("warning ", told)

    def test_spectral_has_nothing_to_say(self):
        self.assertIn("No results", npm.run("spectral", "lint", "openapi.yaml",
                                            "--fail-severity=hint"))

    def test_a_generated_client_works(self):
        npm.run("openapi-typescript", "openapi.yaml", "-o", "schema.d.ts",
                "--default-non-nullable=false")
        npm.run("tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module",
                "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable",
                "client.ts")
        npm.run("esbuild", "client.ts", "--bundle", "--format=esm", "--platform=node",
                "--target=node18", "--outfile=client.mjs", "--log-level=warning")
        with Service() as service:
            url = f"http://127.0.0.1:{service.port}"
            self.assertEqual(npm.run("node", "client.mjs", url), "ok\n")
            admin = key(service.state_dir, "new", "admin", "--scopes", "secrets,write")
            bound = key(service.state_dir, "new", "bound", "--scopes", "read,write",
                        "--ids", "a,b%2Fc,d")
            in_force(service)
            for made in admin, bound:
                self.assertEqual(npm.run("node", "client.mjs", url, made), "ok\n")


if __name__ == "__main__":
    unittest.main()
