#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the tests of the running service; a skipped test is a failed one. Arguments: names of tests
or modules, else all modules but those that TEST_WITHOUT names, with commas between."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    sys.dont_write_bytecode = True  # the sources may be read-only
    sys.path.insert(0, HERE)
    loader = unittest.TestLoader()
    if len(sys.argv) > 1:
        suite = loader.loadTestsFromNames(sys.argv[1:])
    else:
        names = sorted(name[:-3] for name in os.listdir(HERE)
                       if name.startswith("test_") and name.endswith(".py"))
        suite = loader.loadTestsFromNames(
            name for name in names if name not in os.environ.get("TEST_WITHOUT", "").split(","))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.skipped)
    passed = result.testsRun - bad
    print(f"{passed} passed, {bad} failed")
    return 0 if bad == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
