#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Three hosts on one database, clients that read and change the same integrations, and faults at
random: killed, stopped and reloaded processes, frozen and cut connections, cancelled statements, a
restarted database. A trigger records every change in its own transaction; afterwards each answer is
held against that record.

    campaign.py [SECONDS [SEED]]

The seed decides which faults come in which order; when a process is hit, chance decides."""

import collections
import contextlib
import http.client
import json
import os
import random
import selectors
import signal
import socket
import sys
import threading
import time

from postgres import Postgres
from service import PATIENCE, Client, Service, integration, wait_for

HOSTS = 3
CLIENTS_OF_A_HOST = 4
SHARED = [f"shared{n}" for n in range(6)]
DB_TIMEOUT = 2

AUDIT = """
CREATE TABLE audit (revision bigint, id text, document json, at timestamptz);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
$$BEGIN
    IF NEW.revision > 0 THEN
        INSERT INTO audit SELECT NEW.revision, NEW.id,
            (SELECT document FROM integration_documents WHERE id = NEW.id), clock_timestamp();
    END IF;
    RETURN NEW;
END$$;
CREATE TRIGGER audit AFTER INSERT ON integration_changes FOR EACH ROW EXECUTE FUNCTION audit();
"""


class Wire:
    """Carries the connections of a host to the database; can freeze, and be cut."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.others = {}  # each end of a connection, and its other end
        self.from_host = set()
        self.frozen = ()  # directions
        self.cut_wanted = False
        self.late_s = 0  # then the next piece to the database arrives so late, and its sender is cut
        self.late = []  # when, to whom, what
        self.ended = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended:
            if self.cut_wanted:
                self.cut_wanted = False
                for end in list(self.from_host):
                    self.drop(end)
            waiting = False
            for key, _ in self.selector.select(0.05):
                if key.fileobj is self.listener:
                    self.take_in()
                elif ("out" if key.fileobj in self.from_host else "in") in self.frozen:
                    waiting = True
                else:
                    self.carry(key.fileobj)
            self.deliver(time.monotonic())
            if waiting:
                time.sleep(0.01)
        self.deliver(float("inf"))
        for end in list(self.from_host):
            self.drop(end)
        self.listener.close()

    def take_in(self):
        host, _ = self.listener.accept()
        try:
            database = socket.create_connection(self.target, timeout=5)
        except OSError:
            host.close()
            return
        database.settimeout(5)
        host.settimeout(5)
        self.others[host], self.others[database] = database, host
        self.from_host.add(host)
        for end in host, database:
            self.selector.register(end, selectors.EVENT_READ)

    def carry(self, end):
        if end not in self.others:
            return
        try:
            data = end.recv(65536)
            if data and self.late_s and end in self.from_host:
                self.hold(end, data)
                return
            if data:
                self.others[end].sendall(data)
                return
        except OSError:
            pass
        self.drop(end)

    def hold(self, end, data):
        database = self.others.pop(end)
        del self.others[database]
        self.selector.unregister(database)
        self.late.append((time.monotonic() + self.late_s, database, data))
        self.late_s = 0
        self.drop(end)

    def deliver(self, now):
        for one in [one for one in self.late if one[0] <= now]:
            self.late.remove(one)
            with contextlib.suppress(OSError):
                one[1].sendall(one[2])
            one[1].close()

    def drop(self, end):
        for one in end, self.others.pop(end, None):
            if one is not None:
                self.others.pop(one, None)
                self.from_host.discard(one)
                with contextlib.suppress(KeyError, ValueError):
                    self.selector.unregister(one)
                one.close()

    def end(self):
        self.ended = True
        self.thread.join()


# ---- what clients do, and what they saw ----

def revision_of(tag):
    """The revision in an ETag; None if there is none."""
    return int(tag.strip('"').split("-")[0]) if tag else None


class Worker:
    """A client of one host. Each change carries a token of its own, which names it in the record."""

    def __init__(self, campaign, host, name):
        self.campaign = campaign
        self.host = host
        self.name = name
        self.random = random.Random(f"{campaign.seed}/{name}")
        self.count = 0
        self.client = None
        self.tags = {}  # of the shared integrations, as last read

    def token(self):
        self.count += 1
        return f"{self.name}-{self.count}"

    def ask(self, method, path, body=None, headers=None, **noted):
        """Sends a request, and adds to the history what came of it."""
        began = time.monotonic()
        seen = {"host": self.host, "method": method, "path": path, "began": began, "status": 0,
                "revision": None, "x_revision": None, "body": None, "unknown": True,
                "behind": False, **noted}
        try:
            if self.client is None:
                self.client = Client(self.campaign.hosts[self.host].port)
            answer = self.client.request(method, path, body, headers)
            seen.update(status=answer.status, revision=revision_of(answer.headers["ETag"]),
                        x_revision=answer.headers["X-Revision"] and int(answer.headers["X-Revision"]),
                        body=answer.body, behind=answer.headers["X-Replica"] == "behind",
                        unknown=answer.status in (502, 504) or answer.headers["X-Outcome"] is not None)
            if path.startswith("/integrations/shared") and answer.status == 200:
                self.tags[path] = answer.headers["ETag"]
        except (OSError, http.client.HTTPException):
            self.client.close()
            self.client = None
            time.sleep(0.05)
        seen["ended"] = time.monotonic()
        self.campaign.history.append(seen)
        return seen

    def change(self, method, path, ids, body=None, headers=None, **noted):
        return self.ask(method, path, body, headers, ids=ids, **noted)

    def read(self):
        identity = self.random.choice(SHARED)
        fresh = self.random.random() < 0.1
        self.ask("GET", f"/integrations/{identity}", None,
                 {"Cache-Control": "no-cache"} if fresh else None, id=identity, fresh=fresh)

    def put(self):
        identity, token = self.random.choice(SHARED), self.token()
        path = f"/integrations/{identity}"
        tag = self.tags.get(path) if self.random.random() < 0.5 else None
        self.change("PUT", path, [identity], integration(identity, settings={"token": token}),
                    {"If-Match": tag} if tag else None, tokens=[token], guard=revision_of(tag))

    def patch(self):
        identity, token = self.random.choice(SHARED), self.token()
        patch = {"settings": {"token": token, self.name: token}}
        self.change("PATCH", f"/integrations/{identity}", [identity], json.dumps(patch),
                    {"Content-Type": "application/merge-patch+json"}, tokens=[token], patch=patch)

    def batch(self):
        ids = self.random.sample(SHARED, 3)
        tokens = [self.token() for _ in ids]
        self.change("POST", "/integrations:batch", ids, {"operations": [
            {"op": "put", "integration": integration(identity, settings={"token": token})}
            for identity, token in zip(ids, tokens)]}, tokens=tokens)

    def come_and_go(self):
        """An integration that nobody else knows is created and removed."""
        token = self.token()
        self.change("POST", "/integrations", [token], integration(token, settings={"token": token}),
                    tokens=[token])
        self.change("DELETE", f"/integrations/{token}", [token], tokens=[], removes=token)

    def run(self):
        acts = [self.read] * 8 + [self.put] * 4 + [self.patch] * 3 + [self.batch, self.come_and_go]
        while not self.campaign.stopped.is_set():
            self.random.choice(acts)()
        if self.client is not None:
            self.client.close()


# ---- faults ----

class Faults:
    def __init__(self, campaign):
        self.campaign = campaign
        self.random = random.Random(campaign.seed)
        self.made = collections.Counter()

    def host(self):
        return self.random.choice(self.campaign.hosts)

    def signal(self, pids, number):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop_for_a_while(self, pids):
        self.signal(pids, signal.SIGSTOP)
        self.pause(0.1, 3)
        self.signal(pids, signal.SIGCONT)

    def pause(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def some_worker(self):
        workers = self.host().worker_pids()
        return [self.random.choice(workers)] if workers else []

    def follower(self):
        pid = self.host().follower_pid()
        return [pid] if pid else []

    def kill_a_worker(self):
        self.signal(self.some_worker(), signal.SIGKILL)

    def kill_a_follower(self):
        self.signal(self.follower(), signal.SIGKILL)

    def stop_a_worker(self):
        self.stop_for_a_while(self.some_worker())

    def stop_a_follower(self):
        self.stop_for_a_while(self.follower())

    def stop_a_host(self):
        host = self.host()
        self.stop_for_a_while(host.worker_pids() + [pid for pid in [host.follower_pid()] if pid])

    def reload(self):
        self.signal([self.host().process.pid], signal.SIGHUP)

    def kill_a_host(self):
        """All of it, and it is started again at once."""
        host = self.host()
        host.process.kill()
        host.process.wait()
        host.process.stdout.close()
        host.start()

    def freeze_a_wire(self):
        wire = self.random.choice(self.campaign.wires)
        wire.frozen = self.random.choice([("in",), ("out",), ("in", "out")])
        self.pause(0.1, 3)
        wire.frozen = ()

    def cut_a_wire(self):
        self.random.choice(self.campaign.wires).cut_wanted = True

    def deliver_late(self):
        self.random.choice(self.campaign.wires).late_s = self.random.uniform(0.05, 3)

    def stop_backends(self):
        with contextlib.suppress(Exception):
            pids = self.campaign.database.sql(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'service'").splitlines()
            self.stop_for_a_while([int(pid) for pid in pids if self.random.random() < 0.3])

    def on_backends(self, function):
        with contextlib.suppress(Exception):  # the database may just be starting
            self.campaign.database.sql(
                f"SELECT {function}(pid) FROM pg_stat_activity WHERE usename = 'service' AND "
                f"hashtext(pid::text || '{self.random.random()}') % 2 = 0")

    def terminate(self):
        self.on_backends("pg_terminate_backend")

    def cancel(self):
        for _ in range(5):
            self.on_backends("pg_cancel_backend")
            self.pause(0, 0.02)

    def lock_tables(self):
        table = self.random.choice(["integration_store", "integration_documents",
                                    "integration_changes"])
        seconds = self.random.uniform(0.1, 3)
        with contextlib.suppress(Exception):
            self.campaign.database.sql(f"BEGIN; LOCK TABLE {table}; SELECT pg_sleep({seconds})")

    def restart_the_database(self):
        self.campaign.database.stop("immediate")
        self.pause(0, 1)
        self.campaign.database.start()

    def run(self):
        often = [self.kill_a_worker, self.kill_a_follower, self.stop_a_worker, self.stop_a_follower,
                 self.stop_a_host, self.reload, self.freeze_a_wire, self.cut_a_wire, self.deliver_late,
                 self.stop_backends, self.terminate, self.cancel, self.lock_tables]
        acts = often * 3 + [self.kill_a_worker] * 6 + [self.kill_a_host, self.restart_the_database]
        while not self.campaign.stopped.is_set():
            act = self.random.choice(acts)
            act()
            self.made[act.__name__] += 1
            self.pause(0.05, 0.5)


# ---- the campaign ----

class Campaign:
    def __init__(self, seconds, seed):
        self.seconds = seconds
        self.seed = seed
        self.stopped = threading.Event()
        self.history = []
        self.record = []
        self.failures = []

    def start_hosts(self, stack):
        self.database = stack.enter_context(Postgres(max_connections=100))
        self.wires = []
        self.hosts = []
        for number in range(HOSTS):
            wire = Wire(self.database.port)
            stack.callback(wire.end)
            url = self.database.url.replace(f":{self.database.port}/", f":{wire.port}/")
            self.wires.append(wire)
            self.hosts.append(stack.enter_context(Service(
                DATABASE_URL=url, DB_TIMEOUT=str(DB_TIMEOUT * PATIENCE), LOG_LEVEL="warning")))
            if number == 0:
                self.database.sql(AUDIT)

    def guarded(self, work):
        try:
            work()
        except Exception as failure:  # for the main thread to raise
            self.failures.append(failure)
            self.stopped.set()

    def act(self):
        self.faults = Faults(self)
        works = [Worker(self, host, f"c{host}{number}").run
                 for host in range(HOSTS) for number in range(CLIENTS_OF_A_HOST)]
        threads = [threading.Thread(target=self.guarded, args=(work,))
                   for work in works + [self.faults.run]]
        for thread in threads:
            thread.start()
        self.stopped.wait(self.seconds)
        self.stopped.set()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def settle(self):
        """All hosts have what the database has."""
        def held(host):
            answer = host.request("GET", "/integrations")
            return answer.body if answer.status == 200 else None

        documents = self.database.sql(
            "SELECT document FROM integration_documents ORDER BY sequence").splitlines()
        expected = ("[" + ",".join(documents) + "]").encode()
        wait_for("the replicas to equal the database",
                 lambda: all(held(host) == expected for host in self.hosts), 30)
        rows = self.database.sql("SELECT json_build_array(revision, id, document) FROM audit")
        self.record = [json.loads(row) for row in rows.splitlines()]

    def run(self):
        with contextlib.ExitStack() as stack:
            self.start_hosts(stack)
            for identity in SHARED:
                self.hosts[0].request("POST", "/integrations", integration(identity))
            self.settle()
            self.act()
            self.settle()
        return self


# ---- the audit ----

def merged(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


class Audit:
    """Holds a history against the record of changes, rows of revision, id and document (None: it was
    removed). `faults` is a list of pairs: a kind, and what was seen."""

    def __init__(self, history, record):
        self.history = history
        self.faults = []
        self.rows = sorted(record, key=lambda row: row[0])
        self.of_token = collections.defaultdict(list)  # how a change went in, by its token
        self.of_id = collections.defaultdict(list)
        self.removals = collections.Counter()
        for row in self.rows:
            _, identity, document = row
            self.of_id[identity].append(row)
            if document is None:
                self.removals[identity] += 1
            elif "token" in document["settings"]:
                self.of_token[document["settings"]["token"]].append(row)

    def fault(self, kind, seen):
        self.faults.append((kind, {name: value for name, value in seen.items() if name != "body"}))

    def before(self, identity, revision):
        """The row of an integration that holds just before a revision; None: there is none."""
        return next((row for row in reversed(self.of_id[identity]) if row[0] < revision), None)

    def run(self):
        revisions = [row[0] for row in self.rows]
        if len(set(revisions)) < len(revisions):
            self.faults.append(("one revision twice", {}))
        for seen in self.history:
            if "ids" in seen:
                self.look_at_change(seen)
            else:
                self.look_at_read(seen)
        self.look_at_order()
        return self.faults

    # ---- changes ----

    def look_at_change(self, seen):
        if seen["status"] not in (0, 200, 201, 204, 400, 404, 412, 502, 503, 504):
            self.fault("unexpected status", seen)
        counts = [len(self.of_token[token]) for token in seen["tokens"]]
        if seen.get("removes"):
            counts = [self.removals[seen["removes"]]]
        made = seen["status"] in (200, 201, 204)
        if max(counts) > 1:
            self.fault("made twice", seen)
        elif made and min(counts) == 0:
            self.fault("lost", seen)
        elif max(counts) > min(counts):
            self.fault("half a batch", seen)
        elif not made and not seen["unknown"] and max(counts) > 0:
            self.fault("refused, but made", seen)
        elif max(counts) > 0 and not seen.get("removes"):
            self.look_at_rows(seen, [self.of_token[token][0] for token in seen["tokens"]])

    def look_at_rows(self, seen, rows):
        """How a change went in."""
        if any(row[0] != rows[0][0] + n for n, row in enumerate(rows)):
            self.fault("a batch with others' changes in it", seen)
        if seen["x_revision"] is not None and seen["status"] in (200, 201) and \
                seen["x_revision"] != rows[-1][0]:
            self.fault("another revision than was answered", seen)
        before = self.before(rows[0][1], rows[0][0])
        if seen.get("guard") is not None and (before is None or before[0] != seen["guard"]):
            self.fault("a guard that did not hold", seen)
        if "patch" in seen and (before is None or
                                merged(before[2], seen["patch"]) != rows[0][2]):
            self.fault("a patch of something else", seen)

    # ---- reads ----

    def look_at_read(self, seen):
        if seen["status"] not in (0, 200, 502, 503, 504):
            self.fault("unexpected status", seen)
        if seen["status"] != 200:
            return
        row = self.before(seen["id"], seen["x_revision"] + 1)
        if row is None or row[0] != seen["revision"] or row[2] != json.loads(seen["body"]):
            self.fault("a read of what was not there", seen)

    def look_at_order(self):
        """Nothing that was answered is missing from what is read later: on a host, nor from the
        database."""
        for host in range(HOSTS):
            of_host = [seen for seen in self.history if seen["host"] == host]
            self.look_at_order_of(
                [seen for seen in of_host if seen["x_revision"] and not seen["behind"] and
                 not seen.get("fresh")],
                [seen for seen in of_host if seen["status"] == 200 and seen.get("fresh") is False])
        self.look_at_order_of(
            [seen for seen in self.history if "ids" in seen and seen["x_revision"]],
            [seen for seen in self.history if seen["status"] == 200 and seen.get("fresh")])

    def look_at_order_of(self, known, reads):
        known = sorted((seen["ended"], seen["x_revision"], "ids" in seen) for seen in known)
        place = 0
        newest = (0, False)
        for seen in sorted(reads, key=lambda seen: seen["began"]):
            while place < len(known) and known[place][0] < seen["began"]:
                newest = max(newest, known[place][1:])
                place += 1
            if seen["x_revision"] < newest[0]:
                self.fault("a change unseen" if newest[1] else "a read that went back", seen)

    def summary(self):
        changes = [seen for seen in self.history if "ids" in seen]
        made = sorted(seen["ended"] for seen in changes if seen["status"] in (200, 201, 204))
        gaps = [later - sooner for sooner, later in zip(made, made[1:])]
        return (f"{len(self.history)} requests, {len(made)} of {len(changes)} changes made, "
                f"{sum(seen['unknown'] for seen in changes)} of unknown outcome, "
                f"{sum(seen['behind'] for seen in changes)} behind; {len(self.rows)} in the record; "
                f"longest without a change {max(gaps, default=0):.1f} s")


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.randrange(10**6))
    print(f"{seconds:g} s, seed {seed}", flush=True)
    campaign = Campaign(seconds, seed).run()
    audit = Audit(campaign.history, campaign.record)
    faults = audit.run()
    print(audit.summary())
    print(", ".join(f"{count} x {name}" for name, count in sorted(campaign.faults.made.items())))
    for kind, seen in faults[:50]:
        print(f"{kind}: {seen}")
    print(f"{len(faults)} faults found: {dict(collections.Counter(kind for kind, _ in faults))}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
