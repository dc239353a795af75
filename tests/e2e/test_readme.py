# SPDX-License-Identifier: MIT
"""The README's examples, run as they stand there."""

import os
import re
import subprocess
import unittest

from service import Service

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")


class Readme(unittest.TestCase):
    def test_its_examples_answer_as_it_says(self):
        with open(README, encoding="utf-8") as file:
            console = re.search(r"```console\n(.*?)```", file.read(), re.S).group(1)
        examples = re.findall(r"^\$ (.*)\n([^$]*)", console, re.M)
        self.assertGreaterEqual(len(examples), 6)
        with Service() as service:
            for command, expected in examples:
                command = command.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
                result = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
                self.assertEqual(result.stdout.rstrip("\n"), expected.rstrip("\n"), command)


if __name__ == "__main__":
    unittest.main()
