# SPDX-License-Identifier: MIT
"""What integrations were, who changed them, and making them again what they were."""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time
import unittest
import urllib.parse

from keys import bearer, in_force, key
from postgres import WithDatabase
from service import PATIENCE, Service, integration, wait_for

SECRET = "planted-token-7f3a"


def whole(identity, **members):
    """An integration with all its members, as it is answered."""
    return {**integration(identity), "status": False, "settings": {}, **members}


class Events:
    """A stream of server-sent events: what has been received of it, in order."""

    def __init__(self, service, query="", headers=None, receive_bytes=None):
        client = service.client()
        self.connection = client.connection
        self.connection.connect()
        if receive_bytes is not None:
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.connection.request("GET", "/changes" + query, headers={
            "Accept": "text/event-stream", **(headers or {})})
        self.response = self.connection.getresponse()
        self.last = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        """The lines of the next block as (name, value); None: the stream has ended in good order."""
        block = []
        while line := self.response.readline().decode():
            if line == "\n":
                break
            name, _, value = line.rstrip("\n").partition(":")
            block.append((name, value.removeprefix(" ")))
            if name == "id":
                self.last = block[-1][1]
        return block or None

    def next_change(self):
        while (block := self.next()) is not None:
            if "data" in dict(block):
                return json.loads(dict(block)["data"])
        return None


class Case(unittest.TestCase):
    environment = {}

    def start(self, **environment):
        self.service = self.enterContext(Service(**self.environment, **environment))

    def key(self, name, scopes, *more):
        return bearer(key(self.service.state_dir, "new", name, "--scopes", scopes, *more))

    def ask(self, method, path, body=None, status=200, who=None, **headers):
        answer = self.service.request(method, path, body, {
            **(who or {}), **{name.replace("_", "-"): value for name, value in headers.items()}})
        self.assertEqual(answer.status, status, f"{method} {path}: {answer}")
        return answer

    def history(self, identity, who=None):
        path = f"/integrations/{urllib.parse.quote(identity, safe='')}/history"
        return self.ask("GET", path, who=who).json

    def restore(self, identity, revision, status=200, who=None, **headers):
        path = f"/integrations/{urllib.parse.quote(identity, safe='')}/restore"
        return self.ask("POST", path, {"revision": revision}, status, who, **headers)


class Histories(Case):
    """On the embedded store."""
    nul = "\0"

    def test_every_change_is_told(self):
        self.start()
        alice = self.key("alice", "secrets,write")
        bob = self.key("bob", "secrets,write")
        in_force(self.service)
        item = whole("ü/a", settings={"token": SECRET, "same": [1], "né\"w\\": 1})
        path = "/integrations/" + urllib.parse.quote(item["id"], safe="")
        self.ask("POST", "/integrations", item, 201, alice, X_Request_ID="first-request")
        self.ask("PUT", path, {**item, "name": "other"}, 200, bob)
        self.ask("PATCH", path, {"status": True, "settings": {
            "token": "another", "né\"w\\": None, "nul\0": 2}}, 200, alice)
        self.ask("POST", "/integrations:batch", {"operations": [
            {"op": "patch", "id": item["id"], "patch": {"description": "in a batch"}},
            {"op": "create", "integration": integration("b")},
            {"op": "delete", "id": item["id"]}]}, 200, bob, X_Request_ID="batch-request")
        self.ask("PUT", path, item, 200 + 1, bob, If_None_Match="*")
        told = self.history(item["id"], alice)
        self.assertEqual([(entry["operation"], entry["by"], entry["members"]) for entry in told], [
            ("create", "bob", ["description", "name", "settings.né\"w\\", "settings.same",
                               "settings.token", "status"]),
            ("remove", "bob", ["description", "name", "settings.nul" + self.nul, "settings.same",
                               "settings.token", "status"]),
            ("replace", "bob", ["description"]),
            ("replace", "alice", ["settings.nul" + self.nul, "settings.né\"w\\", "settings.token",
                                  "status"]),
            ("replace", "bob", ["name"]),
            ("create", "alice", ["description", "name", "settings.né\"w\\", "settings.same",
                                 "settings.token", "status"])])
        self.assertEqual(told[-1]["request_id"], "first-request")
        self.assertEqual([entry["request_id"] for entry in told[1:3]], ["batch-request"] * 2)
        self.assertNotIn("document", told[1])
        self.assertEqual(told[0]["document"], item)
        self.assertEqual(told[-1]["document"], item)
        self.assertEqual(told[-2]["document"], {**item, "name": "other"})
        self.assertEqual(told[2]["document"]["settings"],
                         {"token": "another", "same": [1], "nul\0": 2})
        revisions = [entry["revision"] for entry in told]
        self.assertEqual(revisions, sorted(revisions, reverse=True))
        times = [entry["at"] for entry in told]
        self.assertEqual(times, sorted(times, reverse=True))
        self.assertRegex(times[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual([entry["by"] for entry in self.history("b", bob)], ["bob"])
        # In pages.
        seen, page = [], path + "/history?limit=2"
        while page:
            answer = self.ask("GET", page, who=bob)
            seen += answer.json
            link = answer.headers["Link"]
            page = link and re.fullmatch(r'<(.*)>; rel="next"', link)[1]
        self.assertEqual(seen, told)
        self.ask("GET", "/integrations/none/history", status=404, who=bob)
        self.ask("GET", path + "/history?after=x", status=422, who=bob)

    def test_who_may(self):
        self.start()
        write = self.key("writer", "write")
        read = self.key("reader", "read")
        full = self.key("full", "secrets,write")
        in_force(self.service)
        self.ask("POST", "/integrations", integration("a", settings={"token": SECRET}), 201, full)
        self.ask("PATCH", "/integrations/a", {"settings": {"token": "x"}}, 200, full)
        revision = self.history("a", full)[-1]["revision"]
        self.assertEqual(self.history("a", full)[-1]["document"]["settings"]["token"], SECRET)
        self.ask("GET", "/integrations/a/history", status=401)
        self.ask("GET", "/integrations/a/history", status=403, who=write)
        self.restore("a", revision, 403, read)
        self.restore("a", revision, 401)
        told = self.ask("GET", "/integrations/a/history", who=read)
        self.assertNotIn(SECRET, told.body.decode())
        masks = [entry["document"]["settings"]["token"] for entry in told.json]
        self.assertEqual(len(set(masks)), 2, "masks tell values apart")
        # Who may write but not see restores what was there, and sees its mask.
        answer = self.restore("a", revision, 200, write)
        self.assertEqual(answer.json["settings"]["token"], masks[1])
        self.assertEqual(self.ask("GET", "/integrations/a", who=full).json["settings"],
                         {"token": SECRET})
        self.assertEqual([entry["by"] for entry in self.history("a", full)],
                         ["writer", "full", "full"])

    def test_a_bound_key_learns_nothing_of_others(self):
        self.start()
        admin = self.key("admin", "secrets,write")
        bound = self.key("bound", "secrets,write", "--ids", "a,c")
        in_force(self.service)
        self.ask("POST", "/integrations", integration("b"), 201, admin)
        self.ask("POST", "/integrations", integration("a"), 201, bound)
        self.ask("PATCH", "/integrations/a", {"name": "two"}, 200, bound)
        told = self.history("a", bound)
        self.assertTrue(all(re.fullmatch("[0-9a-f]{64}", entry["revision"]) for entry in told))
        self.ask("PATCH", "/integrations/b", {"name": "two"}, 200, admin)
        self.assertEqual(self.history("a", bound), told)
        for identity in "b", "never":
            self.ask("GET", f"/integrations/{identity}/history", status=403, who=bound)
            self.restore(identity, told[-1]["revision"], 403, bound)
        page = self.ask("GET", "/integrations/a/history?limit=1", who=bound)
        path = re.fullmatch(r'<(.*)>; rel="next"', page.headers["Link"])[1]
        self.assertEqual(page.json + self.ask("GET", path, who=bound).json, told)
        self.restore("a", 1, 422, bound)
        place = self.ask("GET", "/integrations?limit=1", who=bound).headers["Link"]
        self.assertIsNone(place)
        self.ask("POST", "/integrations", integration("c"), 201, bound)
        place = self.ask("GET", "/integrations?limit=1", who=bound).headers["Link"]
        self.restore("a", re.search("after=([0-9a-f]{64})", place)[1], 422, bound)
        self.restore("a", told[-1]["revision"][:-1] + "?", 422, bound)
        self.restore("a", told[-1]["revision"], 422, admin)
        answer = self.restore("a", told[-1]["revision"], 200, bound)
        self.assertEqual(answer.json, whole("a"))
        self.assertRegex(answer.headers["ETag"], '^"[0-9a-f]{64}"$')

    def test_any_version_comes_back_byte_for_byte(self):
        self.start()
        versions, chance = {}, random.Random(5)
        names = [f"i{n}" for n in range(20)]
        texts = ["plain", "\0\u001f\\\"/", "日本", "é" * 300, "", "1e400"]
        for _ in range(150):
            name = chance.choice(names)
            known = versions.setdefault(name, [])
            body = json.dumps(integration(name, name=chance.choice(texts), settings={
                chance.choice(texts): [chance.random(), 10 ** 30, {"": chance.choice(texts)}]
                for _ in range(3)}), ensure_ascii=chance.random() < .5)
            exists = self.service.request("GET", "/integrations/" + name).status == 200
            if exists and chance.random() < .2:
                self.ask("DELETE", "/integrations/" + name, status=204)
                continue
            self.ask("PUT" if exists else "POST", "/integrations" + ("/" + name) * exists, body,
                     200 if exists else 201, Content_Type="application/json")
            answer = self.ask("GET", "/integrations/" + name)
            known.append((int(re.match('"([0-9]+)-', answer.headers["ETag"])[1]), answer.body))
        stop = threading.Event()

        def try_to_lose_updates():
            """A writer beside, whose changes are all under a condition."""
            client = self.service.client()
            while not stop.is_set():
                name = chance.choice(names)
                tag = client.request("GET", "/integrations/" + name).headers["ETag"]
                if tag:
                    client.request("PATCH", "/integrations/" + name, {"description": "beside"},
                                   {"If-Match": tag})
            client.close()
        thread = threading.Thread(target=try_to_lose_updates)
        thread.start()
        pairs = [(name, *version) for name in versions for version in versions[name]]
        for name, revision, body in chance.sample(pairs, 50):
            answer = self.restore(name, revision)
            self.assertEqual(answer.body, body)
            told = next(entry for entry in self.history(name) if entry["document"] ==
                        json.loads(body))
            self.assertEqual(told["operation"], "replace")
        stop.set()
        thread.join()
        for name, revision, body in chance.sample(pairs, 20):
            self.restore(name, revision)
            self.assertEqual(self.ask("GET", "/integrations/" + name).body, body)

    def test_what_was_removed_gets_its_old_place(self):
        self.start()
        for name in "abc":
            self.ask("POST", "/integrations", integration(name), 201)
        tag = self.ask("GET", "/integrations/b").headers["ETag"]
        self.ask("DELETE", "/integrations/b", status=204)
        gone, created = self.history("b")
        self.assertEqual((gone["operation"], created["operation"]), ("remove", "create"))
        self.restore("b", gone["revision"], 422)
        self.restore("b", 999999, 404)
        self.restore("b", 0, 404)
        self.restore("never", created["revision"], 404)
        self.restore("a", created["revision"], 404)
        self.restore("b", created["revision"], 412, If_Match=tag)
        answer = self.restore("b", created["revision"], If_None_Match="*")
        self.assertEqual(answer.headers["ETag"], self.ask("GET", "/integrations/b").headers["ETag"])
        self.restore("b", created["revision"], 412, If_None_Match="*")
        self.restore("b", created["revision"], 412, If_Match=tag)
        self.restore("b", created["revision"], If_Match=answer.headers["ETag"])
        listed = self.ask("GET", "/integrations").json
        self.assertEqual([item["id"] for item in listed], ["a", "b", "c"])
        for body in {}, {"revision": None}, {"revision": "1"}, {"revision": -1}, {"revision": 1.0}, []:
            self.ask("POST", "/integrations/b/restore", body, 422)
        # Created anew it is another one, in another place; what it was before is known still.
        self.ask("DELETE", "/integrations/a", status=204)
        self.ask("POST", "/integrations", integration("a", name="anew"), 201)
        self.assertEqual([item["id"] for item in self.ask("GET", "/integrations").json],
                         ["b", "c", "a"])
        self.restore("a", self.history("a")[-1]["revision"])
        self.assertEqual(self.ask("GET", "/integrations").json[2], whole("a"))

    def test_conditions_may_be_asked_for(self):
        self.start(REQUIRE_IF_MATCH="on")
        tag = self.ask("POST", "/integrations", integration("a"), 201).headers["ETag"]
        revision = self.history("a")[0]["revision"]
        self.restore("a", revision, 428)
        self.restore("a", revision, If_Match=tag)

    def test_only_so_many_versions_are_kept(self):
        self.start(HISTORY_VERSIONS="3")
        self.ask("POST", "/integrations", integration("a", name=SECRET), 201)
        self.ask("POST", "/integrations", integration("other"), 201)
        first = self.history("a")[0]["revision"]
        for n in range(30):
            self.ask("PATCH", "/integrations/a", {"name": f"n{n}"})
        told = self.history("a")
        self.assertEqual([entry["document"]["name"] for entry in told], ["n29", "n28", "n27", "n26"])
        self.restore("a", first, 410)
        self.restore("a", first + 1, 404)
        self.restore("a", told[-1]["revision"])
        self.ask("DELETE", "/integrations/a", status=204)
        told = self.history("a")
        self.assertEqual([entry.get("document", {}).get("name") for entry in told],
                         [None, "n26", "n29", "n28"])
        self.assertEqual(len(self.history("other")), 1)

    def test_a_restored_integration_is_one_that_is_valid(self):
        self.start(VALIDATE_SETTINGS="on")
        self.ask("POST", "/integrations", integration("telegram", status=False), 201)
        revision = self.history("telegram")[0]["revision"]
        self.restore("telegram", revision)


class Feed(Case):
    """GET /changes, on the embedded store."""

    def changes(self, after="", status=200, who=None, **parameters):
        query = urllib.parse.urlencode({"after": after, **parameters})
        return self.ask("GET", "/changes?" + query, status=status, who=who).json

    def cursor(self, who=None):
        return self.ask("GET", "/integrations?limit=1", who=who).headers["X-Changes-Cursor"]

    def test_all_changes_in_order(self):
        self.start()
        empty = self.cursor()
        self.assertEqual(self.changes(empty), {"changes": [], "next": empty, "more": False})
        self.assertEqual(self.changes(), {"changes": [], "next": empty, "more": False})
        told = []
        for n in range(10):
            self.ask("POST", "/integrations", integration(f"telegram:{n}"), 201)
            told.append(("create", f"telegram:{n}"))
        middle = self.cursor()
        self.ask("POST", "/integrations:batch", {"operations": [
            {"op": "patch", "id": "telegram:3", "patch": {"settings": {"token": SECRET}}},
            {"op": "delete", "id": "telegram:4"}, {"op": "create", "integration": integration("a,b")},
        ]}, X_Request_ID="a-batch")
        told += [("replace", "telegram:3"), ("remove", "telegram:4"), ("create", "a,b")]
        self.assertEqual(
            [(entry["operation"], entry["id"]) for entry in self.changes()["changes"]], told)
        self.assertEqual(self.changes(empty), self.changes())
        answer = self.changes(middle)
        self.assertEqual([(entry["operation"], entry["id"]) for entry in answer["changes"]],
                         told[10:])
        self.assertEqual(answer["next"], self.cursor())
        self.assertEqual({entry["request_id"] for entry in answer["changes"]}, {"a-batch"})
        self.assertEqual(answer["changes"][0]["members"], ["settings.token"])
        self.assertEqual([entry["revision"] for entry in self.changes(empty)["changes"]],
                         list(range(1, 14)))
        # In pages, which end within a batch.
        seen, cursor, more = [], empty, True
        while more:
            answer = self.changes(cursor, limit=3)
            self.assertLessEqual(len(answer["changes"]), 3)
            seen += answer["changes"]
            cursor, more = answer["next"], answer["more"]
        self.assertEqual(seen, self.changes(empty)["changes"])
        # Some only; the cursor passes the others.
        answer = self.ask("GET", f"/changes?after={empty}&ids=telegram:4,a%252Cb&limit=2").json
        self.assertEqual(([entry["id"] for entry in answer["changes"]], answer["more"]),
                         (["telegram:4"] * 2, True))
        answer = self.changes(answer["next"], ids="telegram:4,a%2Cb,none")
        self.assertEqual(([entry["id"] for entry in answer["changes"]], answer["more"]),
                         (["a,b"], False))
        self.assertEqual(answer["next"], self.cursor())
        self.assertEqual(len(self.changes(empty, provider="telegram")["changes"]), 12)
        self.assertEqual(self.changes(empty, provider="tele"),
                         {"changes": [], "next": self.cursor(), "more": False})
        answer = self.changes(empty, operation="create", limit=2)
        self.assertEqual(([entry["operation"] for entry in answer["changes"]], answer["more"]),
                         (["create"] * 2, True))
        both = self.ask("GET", "/changes?operation=remove&operation=replace").json["changes"]
        self.assertEqual([(entry["operation"], entry["id"]) for entry in both],
                         [change for change in told if change[0] != "create"])
        for query in "operation=delete", "operation=", "after=x", "after=1", "limit=0", "limit=1001", "wait=26", "wait=x":
            self.ask("GET", "/changes?" + query, status=422)

    def test_a_cursor_of_elsewhere(self):
        self.start()
        empty = self.cursor()
        self.ask("POST", "/integrations", integration("a"), 201)
        first = self.cursor()
        self.ask("PATCH", "/integrations/a", {"name": "two"})
        last = self.cursor()
        for cursor in empty, first, last:
            revision, tag = cursor.split("-")
            self.assertIsNotNone(self.changes(cursor)["next"])
            self.assertIn("X-Changes-Cursor", self.changes(
                f"{revision}-{int(tag) + 1}", 410)["detail"])
        self.changes(f"{int(last.split('-')[0]) + 1}-{last.split('-')[1]}", 410)
        # It does not wait there, either.
        began = time.monotonic()
        self.changes(f"{revision}-{int(tag) + 1}", 410, wait=20)
        self.assertLess(time.monotonic() - began, 5)

    def test_waiting(self):
        self.start()
        self.ask("POST", "/integrations", integration("a"), 201)
        cursor = self.cursor()
        began = time.monotonic()
        self.assertEqual(self.changes(cursor, wait=1), {"changes": [], "next": cursor, "more": False})
        self.assertGreater(time.monotonic() - began, .9)
        answers = []

        def wait():
            client = self.service.client()
            answers.append((client.request("GET", f"/changes?after={cursor}&wait=20").json,
                            time.monotonic()))
            client.close()
        threads = [threading.Thread(target=wait) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(.5)
        self.assertEqual(answers, [])
        changed = time.monotonic()
        self.ask("PATCH", "/integrations/a", {"name": "two"})
        for thread in threads:
            thread.join()
        self.assertEqual([[entry["id"] for entry in answer["changes"]] for answer, _ in answers],
                         [["a"]] * 8)
        self.assertLess(max(when for _, when in answers) - changed, 2 * PATIENCE)

    def test_who_waits_in_vain(self):
        """A key that is taken away, a reload, and the end of the service end the wait in good order."""
        self.start()
        reader = key(self.service.state_dir, "new", "reader", "--scopes", "read")
        admin = self.key("admin", "secrets,write")
        in_force(self.service)
        self.ask("POST", "/integrations", integration("a"), 201, admin)
        self.ask("GET", "/changes?wait=20", status=401)
        cursor = self.cursor(admin)
        for end, status in ((lambda: self.service.process.send_signal(signal.SIGHUP), 200),
                            (lambda: key(self.service.state_dir, "revoke", "reader"), 401)):
            answers = []

            def wait():
                client = self.service.client()
                answers.append(client.request("GET", f"/changes?after={cursor}&wait=20",
                                              headers=bearer(reader)))
                client.close()
            workers = set(self.service.worker_pids())
            began = time.monotonic()
            thread = threading.Thread(target=wait)
            thread.start()
            time.sleep(.5)
            end()
            thread.join()
            self.assertLess(time.monotonic() - began, 5 * PATIENCE)
            self.assertEqual(answers[0].status, status, answers[0])
            if status == 200:
                self.assertEqual(answers[0].json, {"changes": [], "next": cursor, "more": False})
                wait_for("other workers", lambda: not workers & set(self.service.worker_pids()))

    def test_a_bound_key_follows_its_own(self):
        self.start()
        admin = self.key("admin", "secrets,write")
        bound = self.key("bound", "secrets,write", "--ids", "a,c")
        in_force(self.service)
        for name in "abc":
            self.ask("POST", "/integrations", integration(name), 201, admin)
        answer = self.changes(who=bound)
        self.assertEqual([entry["id"] for entry in answer["changes"]], ["a", "c"])
        self.assertTrue(all(re.fullmatch("[0-9a-f]{64}", entry["revision"])
                            for entry in answer["changes"]))
        for _ in range(2):
            self.assertFalse(self.changes(who=bound, limit=2)["more"])
            self.ask("POST", "/integrations:batch", {"operations": [
                {"op": "patch", "id": "b", "patch": {}}] * 3}, who=admin)
        self.assertTrue(self.changes(who=bound, limit=1)["more"])
        cursor = self.cursor(bound)
        self.assertNotEqual(self.cursor(bound), cursor, "the same each time would tell of others")
        self.assertEqual(self.changes(cursor, who=bound, ids="a,b")["changes"], [])
        began = time.monotonic()
        timer = threading.Timer(.3, lambda: self.ask("PATCH", "/integrations/b", {}, 200, admin))
        timer.start()
        self.assertEqual(self.changes(cursor, who=bound, wait=2)["changes"], [])
        self.assertGreater(time.monotonic() - began, 1.9, "others' changes are not noticed")
        timer.join()
        timer = threading.Timer(.3, lambda: self.ask("PATCH", "/integrations/c", {}, 200, admin))
        timer.start()
        answer = self.changes(cursor, who=bound, wait=20)
        timer.join()
        self.assertEqual([entry["id"] for entry in answer["changes"]], ["c"])
        self.changes("1-1", 422, who=bound)
        self.changes(cursor[:64] + self.cursor(bound)[64:], 422, who=bound)
        self.changes(cursor, 422, who=admin)

    def test_events(self):
        self.start()
        self.ask("POST", "/integrations", integration("a"), 201)
        cursor = self.cursor()
        with Events(self.service) as all_of_it, Events(self.service, f"?after={cursor}") as events, \
                Events(self.service, f"?after={cursor}&ids=c") as some:
            answer = events.response
            self.assertEqual((answer.status, answer.headers["Content-Type"]),
                             (200, "text/event-stream"))
            self.assertIn("no-store", answer.headers["Cache-Control"])
            self.assertEqual([all_of_it.next(), events.next()], [[("retry", "1000")]] * 2)
            self.assertEqual(all_of_it.next_change(), self.changes()["changes"][0])
            self.assertEqual(all_of_it.last, cursor)
            self.assertEqual(events.next(), [("", ""), ("id", cursor)])  # there is nothing yet
            for name in "bc":
                changed = time.monotonic()
                self.ask("POST", "/integrations", integration(name), 201)
                self.assertEqual(events.next_change(),
                                 self.changes(cursor, ids=name)["changes"][0])
                self.assertLess(time.monotonic() - changed, PATIENCE)
                self.assertEqual(events.last, self.cursor())
            self.assertEqual(some.next_change()["id"], "c")
            began = time.monotonic()
            self.assertEqual(events.next(), [("", ""), ("id", events.last)])
            self.assertLess(abs(time.monotonic() - began - 15), 2 * PATIENCE)
            self.ask("DELETE", "/integrations/c", status=204)
            self.assertEqual(events.next_change()["operation"], "remove")
        # Where it went on is told by the client when it comes back.
        self.ask("DELETE", "/integrations/b", status=204)
        with Events(self.service, f"?after={cursor}", {"Last-Event-ID": events.last}) as again:
            self.assertEqual(again.next_change()["id"], "b")
        revision, tag = events.last.split("-")
        for last, status in ((f"{revision}-{int(tag) + 1}", 410), ("x", 422)):
            with Events(self.service, "", {"Last-Event-ID": last}) as refused:
                self.assertEqual(refused.response.status, status)
        self.assertEqual(self.ask("HEAD", "/changes", Accept="text/event-stream")
                         .headers["Content-Type"], "application/json")

    def test_the_end_of_a_stream(self):
        """A key that is taken away, a reload, and the end of the service end it in good order, and
        nothing is missed that is asked for afterwards."""
        self.start()
        reader = self.key("reader", "read")
        admin = self.key("admin", "secrets,write")
        in_force(self.service)
        self.ask("POST", "/integrations", integration("a"), 201, admin)
        with Events(self.service, "", bearer("isk_no")) as refused:
            self.assertEqual(refused.response.status, 401)
        following, told = {}, ["description", "name", "status"]
        for end in (lambda: self.service.process.send_signal(signal.SIGHUP),
                    lambda: key(self.service.state_dir, "revoke", "reader")):
            with Events(self.service, "", {**reader, **following}) as events:
                self.assertEqual(events.next_change()["members"], told)
                following, told = {"Last-Event-ID": events.last}, ["name"]
                began = time.monotonic()
                end()
                while events.next() is not None:
                    pass
                self.assertLess(time.monotonic() - began, 5 * PATIENCE)
            self.ask("PATCH", "/integrations/a", {"name": str(began)}, who=admin)
        with Events(self.service, "", {**admin, **following}) as events:
            self.assertEqual(events.next_change()["members"], told)
            self.service.stop()
            while events.next() is not None:
                pass

    def test_readers_of_streams_who_are_slow(self):
        """They hold up nobody; nginx may send them away, and when they come back, they get the rest."""
        self.start()
        self.ask("POST", "/integrations", integration("a"), 201)
        cursor = self.cursor()
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(Events(self.service, f"?after={cursor}", None, 16384))
                       for _ in range(20)]
            for n in range(6):
                self.ask("POST", "/integrations:batch", {"operations": [
                    {"op": "patch", "id": "a", "patch": {"settings": {f"{'long' * 50}{n}": m}}}
                    for m in range(1000)]})
                began = time.monotonic()
                self.ask("GET", "/integrations")
                self.ask("GET", "/integrations/a/history?limit=1")
                self.assertLess(time.monotonic() - began, 2 * PATIENCE)
            for events in streams[:2]:
                told = []
                while len(told) < 6000:
                    try:
                        told.append(events.next_change()["revision"])
                    except (OSError, http.client.HTTPException):
                        events = stack.enter_context(Events(
                            self.service, "", {"Last-Event-ID": events.last}))
                self.assertEqual(told, list(range(2, 6002)))

    def test_a_bound_key_is_told_of_its_own(self):
        self.start()
        admin = self.key("admin", "secrets,write")
        bound = self.key("bound", "secrets,write", "--ids", "a,c")
        in_force(self.service)
        with Events(self.service, "", bound) as events:
            self.assertEqual([events.next()[0][0], events.next()[0][0]], ["retry", ""])
            for name in "abc":
                self.ask("POST", "/integrations", integration(name), 201, admin)
            for name in "ac":
                block = dict(events.next())
                self.assertEqual(json.loads(block["data"])["id"], name)
                self.assertRegex(block["id"], "^[0-9a-f]{128}$")
            last = events.last
        self.ask("PATCH", "/integrations/a", {"name": "two"}, who=admin)
        with Events(self.service, "", {**bound, "Last-Event-ID": last}) as events:
            self.assertEqual(events.next_change()["members"], ["name"])

    def test_the_mirror_of_the_examples(self):
        self.start()
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "examples", "mirror"))
        from mirror import Mirror
        for n in range(150):
            self.ask("POST", "/integrations", integration(f"i/{n}"), 201)
        mirror = Mirror(f"http://127.0.0.1:{self.service.port}")
        mirror.read_all()
        chance = random.Random(7)
        for _ in range(200):
            path = f"/integrations/i%2F{chance.randrange(150)}"
            self.service.request(*chance.choice([
                ("DELETE", path), ("PATCH", path, {"name": str(chance.random())}),
                ("POST", "/integrations", integration(f"i/{chance.randrange(200)}"))]))
            if chance.random() < .1:
                mirror.follow(wait=0)
        while mirror.follow(wait=0):
            pass
        self.assertEqual(mirror.integrations, {
            item["id"]: item for item in self.ask("GET", "/integrations").json})

    def test_three_followers_have_the_same_history(self):
        """One quick, one slow, one that begins in the middle, while workers are killed and reloaded."""
        self.start(WORKERS="2")
        cursor = self.cursor()
        stop = threading.Event()
        histories = [[], [], []]

        def follow(told, after, pause):
            client = self.service.client()
            quiet = False
            while not (stop.is_set() and quiet):
                answer = client.request("GET", f"/changes?after={after}&wait=1&limit=50")
                if answer.status == 200:
                    told += [(entry["revision"], entry["id"], entry["operation"])
                             for entry in answer.json["changes"]]
                    after, quiet = answer.json["next"], not answer.json["changes"]
                elif answer.status not in (502, 503, 504):
                    told.append(answer)
                    break
                time.sleep(pause)
            client.close()

        def change(number):
            client = self.service.client()
            chance = random.Random(number)
            while not stop.is_set():
                name = f"i{chance.randrange(20)}"
                client.request(*chance.choice([
                    ("DELETE", f"/integrations/{name}"), ("POST", "/integrations", integration(name)),
                    ("PATCH", f"/integrations/{name}", {"name": str(chance.random())})]))
            client.close()
        threads = [threading.Thread(target=follow, args=(histories[n], cursor, n / 5))
                   for n in range(2)]
        threads += [threading.Thread(target=change, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        middle = self.ask("GET", "/integrations").headers["X-Changes-Cursor"]
        threads.append(threading.Thread(target=follow, args=(histories[2], middle, 0)))
        threads[-1].start()
        for kills in range(8):
            workers = self.service.worker_pids()
            if workers:
                os.kill(workers[kills % len(workers)], signal.SIGKILL)
            time.sleep(.5)
            if kills == 4:
                self.service.process.send_signal(signal.SIGHUP)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertGreater(len(histories[0]), 50)
        self.assertEqual([entry[0] for entry in histories[0]],
                         list(range(1, len(histories[0]) + 1)))
        self.assertEqual(histories[1], histories[0])
        self.assertEqual(histories[2], histories[0][int(middle.split("-")[0]):])
        there = {}
        for _, name, operation in histories[0]:
            there[name] = operation != "remove"
        self.assertEqual({item["id"] for item in self.ask("GET", "/integrations").json},
                         {name for name, is_there in there.items() if is_there})


class HistoriesWithDatabase(WithDatabase, Histories):
    """In PostgreSQL, which has no U+0000 in texts."""
    nul = "\ue000"

    database_settings = {"fsync": "off"}

    def test_what_is_too_old_is_not_kept(self):
        self.start()
        self.ask("POST", "/integrations", integration("a"), 201)
        self.ask("PATCH", "/integrations/a", {"name": "two"})
        old, new = [entry["revision"] for entry in self.history("a")][::-1]
        self.server.sql("UPDATE integration_changes SET made_at = now() - interval '91 days'"
                        f" WHERE revision = {old}")
        self.assertEqual([entry["revision"] for entry in self.history("a")], [new, old])
        self.assertIsNone(self.history("a")[-1]["request_id"])
        self.server.sql("UPDATE integration_changes SET made_at = now() - interval '91 days'")
        self.assertEqual([entry["revision"] for entry in self.history("a")], [new])
        self.restore("a", old, 410)
        self.server.sql("SELECT integration_prune(100, 90, 10000)")
        self.assertEqual(self.server.sql(
            "SELECT count(*) FROM integration_changes WHERE before IS NOT NULL").strip(), "0")


class FeedWithDatabase(WithDatabase, Feed):
    database_settings = {"fsync": "off"}

    def test_hosts_of_one_database(self):
        self.start()
        other = self.enterContext(Service(**self.environment))
        self.ask("POST", "/integrations", integration("a"), 201)
        cursor = self.cursor()
        timer = threading.Timer(.3, lambda: other.request("PATCH", "/integrations/a", {"name": "b"}))
        timer.start()
        answer = self.changes(cursor, wait=20)
        timer.join()
        self.assertEqual([entry["members"] for entry in answer["changes"]], [["name"]])
        self.assertEqual(other.request("GET", f"/changes?after={cursor}").json, answer)

    def test_a_stream_outlives_the_database_s_absence(self):
        self.start()
        self.ask("POST", "/integrations", integration("a"), 201)
        with Events(self.service, f"?after={self.cursor()}") as events:
            events.next()
            self.server.stop()
            wait_for("its absence to be noticed", lambda: self.service.request(
                "POST", "/integrations", integration("b")).status == 503)
            self.assertEqual(events.next()[0], ("", ""))  # at the latest after 15 s
            self.server.start()
            wait_for("its return", lambda: self.service.request(
                "POST", "/integrations", integration("c")).status == 201, 30)
            self.assertEqual(events.next_change()["id"], "c")

    def test_what_is_cut_off(self):
        self.start()
        first = self.cursor()
        for n in range(5):
            self.ask("POST", "/integrations", integration(f"i{n}"), 201)
        self.server.sql("UPDATE integration_changes SET made_at = now() - interval '91 days'"
                        " WHERE revision BETWEEN 1 AND 2")
        self.changes(first, 410)
        self.assertEqual([entry["id"] for entry in self.changes()["changes"]], ["i2", "i3", "i4"])


if __name__ == "__main__":
    unittest.main()
