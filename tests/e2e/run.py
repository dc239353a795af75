#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the tests of the running service; a skipped test is a failed one. Arguments: names of tests
or modules, else all modules but those that TEST_WITHOUT names, with commas between. Without
arguments, each class has a process of its own: those that need the machine for themselves run one
after the other, then as many of the others at once as TEST_PROCESSES says, or else one for each
processor, for they wait most of the time."""

import concurrent.futures
import os
import subprocess
import sys
import time
import unittest

# They load the machine, or say how long something may take.
ALONE = ("test_access.Changes", "test_api.Api", "test_campaign.Faults",
         "test_database_faults.Faults", "test_load.Load", "test_metrics.Seen", "test_postgres.Api",
         "test_postgres.Hosts", "test_postgres.Load", "test_postgres.Outages",
         "test_postgres.Slowness")
# Of the others, those that take longest.
LONG = ("test_hosting.Recorded", "test_memory.Memory", "test_ui.Page",
        "test_access.MasksWithDatabase")
HERE = os.path.dirname(os.path.abspath(__file__))


def run_here(names):
    """Runs these tests in this process."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.skipped)
    passed = result.testsRun - bad
    print(f"{passed} passed, {bad} failed")
    return bad == 0 and passed > 0


def cases_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases_of(test)
        else:
            yield test


def find_classes():
    """The classes of the modules, those that take long first, so that none of them comes last."""
    without = os.environ.get("TEST_WITHOUT", "").split(",")
    modules = sorted(name[:-3] for name in os.listdir(HERE)
                     if name.startswith("test_") and name.endswith(".py"))
    suite = unittest.defaultTestLoader.loadTestsFromNames(
        name for name in modules if name not in without)
    counts = {}
    for case in cases_of(suite):
        # What could not be loaded is a case, too, but not of ours: its name says which it was.
        name = (f"{type(case).__module__}.{type(case).__name__}"
                if type(case).__module__ in modules else case.id().split(".")[-1])
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (name not in LONG, -counts[name]))


def run_class(name):
    """Runs a class in a process of its own, and shows what that printed when it ends."""
    began = time.monotonic()
    result = subprocess.run([sys.executable, os.path.abspath(__file__), name], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, errors="replace", check=False)
    print(f"{result.stdout}{name}: {time.monotonic() - began:.0f} s\n", flush=True)
    return result.returncode == 0


def run_classes(names, processes):
    """Returns those that failed."""
    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        return [name for name, good in zip(names, pool.map(run_class, names)) if not good]


def run_all():
    names = find_classes()
    bad = run_classes([name for name in names if name in ALONE], 1)
    bad += run_classes([name for name in names if name not in ALONE],
                       int(os.environ.get("TEST_PROCESSES", os.cpu_count())))
    print(f"{len(names) - len(bad)} classes passed, {len(bad)} failed{': ' if bad else ''}"
          f"{', '.join(bad)}")
    return not bad and names != []


def main():
    sys.dont_write_bytecode = True  # the sources may be read-only
    sys.path.insert(0, HERE)
    return 0 if (run_here(sys.argv[1:]) if sys.argv[1:] else run_all()) else 1


if __name__ == "__main__":
    sys.exit(main())
