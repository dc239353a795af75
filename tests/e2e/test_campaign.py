# SPDX-License-Identifier: MIT
"""A short campaign of faults on three hosts; and its audit sees records that were falsified."""

import copy
import unittest

import campaign
from service import LOAD_SECONDS


class Falsified(Exception):
    """There is nothing in the history to falsify like that."""


def find(history, condition):
    for seen in history:
        if condition(seen):
            return seen
    raise Falsified


def is_made(seen):
    return seen["status"] == 200 and bool(seen.get("tokens"))


def is_read(seen, fresh=False):
    return seen["status"] == 200 and seen.get("fresh") is fresh


def row_of(record, token):
    return next(row for row in record if row[2] and row[2]["settings"].get("token") == token)


def lose(history, record):
    record.remove(row_of(record, find(history, is_made)["tokens"][0]))


def make_twice(history, record):
    row = copy.deepcopy(row_of(record, find(history, is_made)["tokens"][0]))
    row[0] += 0.5
    record.append(row)


def give_a_revision_twice(_, record):
    record.append(copy.deepcopy(record[-1]))


def refuse(history, _):
    find(history, is_made)["status"] = 412


def cut_off(history, record):
    batch = find(history, lambda seen: is_made(seen) and len(seen["tokens"]) == 3)
    batch["status"] = 0
    record.remove(row_of(record, batch["tokens"][1]))


def come_between(history, record):
    batch = find(history, lambda seen: is_made(seen) and len(seen["tokens"]) == 3)
    row_of(record, batch["tokens"][2])[0] += 0.5


def answer_another_revision(history, _):
    find(history, is_made)["x_revision"] += 1


def overwrite(history, _):
    find(history, lambda seen: is_made(seen) and seen.get("guard"))["guard"] -= 1


def patch_another(history, _):
    find(history, lambda seen: is_made(seen) and "patch" in seen)["patch"]["name"] = "another"


def remove_twice(history, record):
    removed = find(history, lambda seen: seen.get("removes") and seen["status"] == 204)["removes"]
    row = copy.deepcopy(next(row for row in record if row[1] == removed and row[2] is None))
    row[0] += 0.5
    record.append(row)


def read_another(history, _):
    read = find(history, is_read)
    read["body"] = read["body"].replace(b'"name"', b'"other"')


def go_back(history, _):
    """The last read of a host, which changed nothing, is as old as the first."""
    for seen in history:
        seen["behind"] = "ids" in seen
    reads = [seen for seen in history if is_read(seen) and seen["host"] == 0]
    reads[-1].update({name: reads[0][name] for name in ("x_revision", "revision", "id", "body")})


def forget_a_change(history, record):
    """A host's only read is from before its change."""
    change = find(history, lambda seen: is_made(seen) and not seen["behind"])
    for seen in history:
        if seen["host"] == change["host"] and seen is not change and seen["x_revision"]:
            seen["x_revision"] = None
            seen["status"] = 0
    row = next(row for row in record if row[1] == campaign.SHARED[0])
    history.append({**change, "method": "GET", "began": change["ended"] + 1, "fresh": False,
                    "ended": change["ended"] + 2, "id": row[1], "x_revision": row[0],
                    "revision": row[0], "body": campaign.json.dumps(row[2]).encode()})
    for name in "ids", "tokens", "guard", "patch":
        history[-1].pop(name, None)


FALSIFIED = {
    lose: "lost", make_twice: "made twice", give_a_revision_twice: "one revision twice",
    refuse: "refused, but made", cut_off: "half a batch",
    come_between: "a batch with others' changes in it",
    answer_another_revision: "another revision than was answered",
    overwrite: "a guard that did not hold", patch_another: "a patch of something else",
    remove_twice: "made twice", read_another: "a read of what was not there",
    go_back: "a read that went back", forget_a_change: "a change unseen",
}


class Faults(unittest.TestCase):
    def test_what_is_answered_is_so(self):
        run = campaign.Campaign(3 * LOAD_SECONDS, "1").run()
        audit = campaign.Audit(run.history, run.record)
        self.assertEqual(audit.run(), [])
        print(audit.summary(), end=" ")
        for falsify, kind in FALSIFIED.items():
            with self.subTest(kind=kind, falsify=falsify.__name__):
                history, record = copy.deepcopy((run.history, run.record))
                falsify(history, record)
                kinds = {found for found, _ in campaign.Audit(history, record).run()}
                self.assertIn(kind, kinds)


if __name__ == "__main__":
    unittest.main()
