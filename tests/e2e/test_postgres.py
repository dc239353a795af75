# SPDX-License-Identifier: MIT
"""The service on PostgreSQL: what holds on the embedded store holds here; hosts follow each other;
reads survive the database."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import postgres
import test_api
import test_golden
import test_load
from postgres import Postgres
from service import PATIENCE, PROGRAM, Service, integration, wait_for
from test_load import Outcomes, in_threads, join

NO_CACHE = {"Cache-Control": "no-cache"}


class OnPostgres:
    """One server for the tests of a class; each starts with an empty database."""

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres().__enter__()
        cls.addClassCleanup(cls.postgres.__exit__)
        cls.environment = {"DATABASE_URL": cls.postgres.url}

    def setUp(self):
        self.postgres.empty()

    def service(self, **environment):
        return Service(**{**self.environment, **environment})


class Golden(OnPostgres, test_golden.Golden):
    """The recorded answers."""


class Api(OnPostgres, test_api.Api):
    """Conditions, patches, pages and batches; on two hosts, too."""

    def test_guarded_changes_on_two_hosts(self):
        with self.service() as service, self.service() as other:
            self.count(service, other)


class Load(OnPostgres, test_load.Load):
    """Killed, replaced and stopped workers."""

    def service(self, **environment):
        # The changes of 32 clients wait for one another, on a busy machine for seconds.
        return super().service(**{"DB_TIMEOUT": "20", **environment})


def replica(service):
    answer = service.request("GET", "/integrations")
    return answer.body.decode() if answer.status == 200 else None


def database(server):
    return "[" + ",".join(server.sql(
        "SELECT document FROM integration_documents ORDER BY sequence").splitlines()) + "]"


def all_equal(server, *services):
    """Waits until the replicas hold what the database holds, byte for byte."""
    wait_for("the replicas to equal the database",
             lambda: all(replica(service) == database(server) for service in services), 30)


class Hosts(OnPostgres, unittest.TestCase):
    """Two state directories on one database."""

    def see_each_other(self, writes, bound):
        """Writes through one service and reads from the other: how long after the answer each was
        seen, in seconds."""
        waits = []
        with self.service() as one, self.service() as other:
            writer, reader = one.client(), other.client()
            writer.request("POST", "/integrations", integration("x", settings={"n": -1}))
            for n in range(writes):
                answer = writer.request("PUT", "/integrations/x",
                                        integration("x", settings={"n": n}))
                self.assertEqual(answer.status, 200, answer)
                answered = time.monotonic()
                while True:
                    seen = reader.request("GET", "/integrations/x")
                    waited = time.monotonic() - answered
                    if seen.status == 200 and seen.json["settings"]["n"] == n:
                        break
                    self.assertLess(waited, bound * PATIENCE, seen)
                self.assertGreaterEqual(int(seen.headers["X-Revision"]),
                                        int(answer.headers["X-Revision"]))
                waits.append(waited)
            writer.close()
            reader.close()
        return waits

    def test_a_write_is_seen_on_the_other_host(self):
        waits = sorted(self.see_each_other(1000, 2))
        print(f"seen on the other host: p50 {waits[500] * 1e3:.1f} ms, p99 {waits[990] * 1e3:.1f} ms ",
              end="")
        # The heartbeat alone would take half a second.
        self.assertLess(statistics.median(waits), 0.1 * PATIENCE)

    def test_a_write_is_seen_without_notifications(self):
        with self.service():
            pass  # makes the schema
        definition = self.postgres.sql(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'integration_change' "
            "AND pronargs = 13")
        silent = re.sub(r"PERFORM pg_notify\([^;]*\);", "", definition)
        self.assertNotEqual(silent, definition)
        self.postgres.sql(silent)
        waits = self.see_each_other(8, 2)
        self.assertGreater(max(waits), 0.1, "it was notified all the same")

    def test_the_writing_host_sees_its_writes(self):
        tries = int(10000 / PATIENCE)
        clients = 8
        with self.service() as service, self.service() as other:
            def work(number):
                client, elsewhere = service.client(), other.client()
                path = f"/integrations/i{number}"
                client.request("POST", "/integrations", integration(f"i{number}"))
                for n in range(tries // clients):
                    sent = integration(f"i{number}", settings={"n": n})
                    answer = client.request("PUT", path, sent)
                    self.assertEqual(answer.status, 200, answer)
                    seen = client.request("GET", path)
                    self.assertEqual(seen.json["settings"]["n"], n)
                    self.assertGreaterEqual(int(seen.headers["X-Revision"]),
                                            int(answer.headers["X-Revision"]))
                    if n % 10 == 0:  # changes of another host come between
                        elsewhere.request("PUT", path, sent)
                client.close()
                elsewhere.close()

            join(*in_threads(clients, work))
            all_equal(self.postgres, service, other)

    def test_times_are_in_the_order_of_changes(self):
        """The database's clock was set back an hour between two changes."""
        with self.service() as service:
            service.request("POST", "/integrations", integration("a"))
            self.postgres.sql("UPDATE integration_changes SET made_at = made_at + interval '1 hour'; "
                              "UPDATE integration_documents SET updated_at = updated_at + "
                              "interval '1 hour'")
            then = service.request("GET", "/integrations/a", None, NO_CACHE)
            before = {"If-Unmodified-Since": then.headers["Last-Modified"]}
            self.assertEqual(then.headers["Last-Modified"], then.headers["Date"])
            changed = service.request("PUT", "/integrations/a", integration("a", name="2"))
            self.assertEqual(changed.status, 200)
            self.assertEqual(self.postgres.sql(
                "SELECT updated_at > now() + interval '59 minutes' FROM integration_documents"), "t")
            self.assertEqual(service.request("PUT", "/integrations/a", integration("a"),
                                             before).status, 412)
            self.assertEqual(service.request("GET", "/integrations/a", None, {
                "If-Modified-Since": then.headers["Last-Modified"]}).status, 200)

    def test_cut_connections_leave_equal_replicas(self):
        writes = int(20000 / PATIENCE)
        outcomes = Outcomes()
        stop = threading.Event()

        def cut(_):
            while not stop.wait(random.uniform(0.05, 0.4)):
                self.postgres.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                    "application_name = 'integration-service' AND random() < 0.5")

        with self.service(DB_TIMEOUT="2", LOG_LEVEL="warning") as one, \
                self.service(DB_TIMEOUT="2", LOG_LEVEL="warning") as other:
            def write(number):
                client = (one, other)[number % 2].client()
                for n in range(writes // 4):
                    identity = f"i{random.randrange(60)}"
                    body = integration(identity, settings={"by": number, "n": n})
                    method, path = random.choice((("POST", ""), ("PUT", "/" + identity),
                                                  ("DELETE", "/" + identity)))
                    answer = client.request(method, "/integrations" + path,
                                            None if method == "DELETE" else body)
                    outcomes.add(answer.status, (200, 201, 204, 400, 404, 503), path)
                client.close()

            cutter, cut_failures = in_threads(1, cut)
            join(*in_threads(4, write))
            stop.set()
            join(cutter, cut_failures)
            self.assertEqual(outcomes.unexpected, [])
            self.assertGreater(outcomes[200] + outcomes[201] + outcomes[204], writes / 10)
            all_equal(self.postgres, one, other)
            rows = self.postgres.sql("SELECT count(*), max(revision) FROM integration_changes "
                                     "WHERE revision > 0").split("|")
            revision = int(self.postgres.sql("SELECT revision FROM integration_store"))
            self.assertEqual(int(rows[1]), revision)
            self.assertGreaterEqual(revision, outcomes[200] + outcomes[201] + outcomes[204])
            print(f"{revision} changes, {outcomes[503]} refused ", end="")

    def test_many_hosts_start_at_once_on_an_empty_database(self):
        services = [self.service(WORKERS="1", SEED_DEFAULTS="on") for _ in range(4)]
        try:
            join(*in_threads(4, lambda number: services[number].start()))
            for service in services:
                self.assertEqual([item["id"] for item in service.request("GET", "/integrations").json],
                                 ["facebook", "chat_widget"])
        finally:
            for service in services:
                service.__exit__(None, None, None)
        self.assertEqual(self.postgres.sql("SELECT count(*) FROM integration_schema"), "2")
        self.assertEqual(self.postgres.sql("SELECT revision FROM integration_store"), "2")

    def test_a_host_that_freezes_inside_a_batch_holds_nobody_up(self):
        """Frozen at some points of batches: the others' changes go on within DB_TIMEOUT."""
        batch = {"operations": [{"op": "put", "integration": integration(f"i{n}")}
                                for n in range(1000)]}
        for prepared in "on", "off":
            with self.service(DB_TIMEOUT="2", DB_PREPARED_STATEMENTS=prepared) as frozen, \
                    self.service(DB_TIMEOUT="2", DB_PREPARED_STATEMENTS=prepared) as other:
                frozen.request("POST", "/integrations:batch", {"operations": [
                    {"op": "create", "integration": integration(f"i{n}")} for n in range(1000)]})
                other.request("POST", "/integrations", integration("other"))
                for point in range(3):
                    self.freeze(frozen, batch, other, 0.03 + 0.04 * point)
            self.postgres.empty()

    def freeze(self, frozen, batch, other, after):
        def send(_):
            with contextlib.suppress(OSError):
                frozen.request("POST", "/integrations:batch", batch)

        threads = in_threads(2, send)
        time.sleep(after)
        pids = frozen.worker_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            made = began = time.monotonic()
            longest = 0
            while time.monotonic() < began + 3:
                if other.request("PUT", "/integrations/other", integration("other")).status == 200:
                    longest = max(longest, time.monotonic() - made)
                    made = time.monotonic()
            longest = max(longest, time.monotonic() - made)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        join(*threads)
        self.assertLess(longest, 2 * PATIENCE)

    def test_a_killed_follower_is_replaced(self):
        with self.service() as one, self.service() as other:
            for n in range(3):
                victim = wait_for("the follower", one.follower_pid)
                os.kill(victim, signal.SIGKILL)
                self.assertEqual(other.request("POST", "/integrations", integration(f"o{n}")).status,
                                 201)
                # Without its follower a host brings its replica up to date by itself.
                answer = one.request("POST", "/integrations", integration(f"i{n}"))
                self.assertEqual(answer.status, 201)
                self.assertEqual(one.request("GET", f"/integrations/i{n}").status, 200)
                wait_for("another follower", lambda old=victim: one.follower_pid() not in (None, old))
            all_equal(self.postgres, one, other)


class Outages(unittest.TestCase):
    """The database goes away, and comes back as it was, older, or elsewhere."""

    def test_reads_go_on_without_the_database(self):
        with Postgres() as server:
            with Service(DATABASE_URL=server.url) as service:
                self.outage(server, service)

    def outage(self, server, service):
        stop = threading.Event()
        acknowledged = set()
        reads, writes = Outcomes(), Outcomes()
        ages = []
        service.request("POST", "/integrations", integration("always"))

        def read(_):
            client = service.client()
            while not stop.is_set():
                answer = client.request("GET", "/integrations/always")
                reads.add(answer.status, (200,))
                ages.append(int(answer.headers["Age"]))
            client.close()

        def write(number):
            client = service.client()
            n = 0
            while not stop.is_set():
                n += 1
                answer = client.request("POST", "/integrations", integration(f"{number}-{n}"))
                writes.add(answer.status, (201, 503), answer)
                if answer.status == 201:
                    acknowledged.add(f"{number}-{n}")
                else:
                    self.assertEqual(answer.json, {"detail": "db not ready"})
                    self.assertEqual(answer.headers["Retry-After"], "1")
                    time.sleep(0.01)
            client.close()

        threads, failures = in_threads(6, lambda n: read(n) if n < 3 else write(n))
        time.sleep(1)
        server.stop("immediate")
        time.sleep(3)
        self.assertEqual(service.request("GET", "/readiness").json, {"detail": "db not ready"})
        self.assertEqual(service.request("GET", "/health").status, 200)
        self.assertEqual(service.request("GET", "/integrations/always", None, NO_CACHE).status, 503)
        stop.set()
        join(threads, failures)
        self.assertEqual((reads.unexpected, writes.unexpected), ([], []))
        self.assertGreater(writes[503], 0)
        self.assertGreaterEqual(max(ages), 2)
        self.assertEqual(min(ages), 0)
        service.stop()
        service.start()  # without the database
        answer = service.request("GET", "/integrations/always")
        self.assertEqual(answer.status, 200)
        self.assertGreaterEqual(int(answer.headers["Age"]), 3)
        self.assertEqual(len(service.request("GET", "/integrations").json), len(acknowledged) + 1)
        self.assertEqual(service.metrics()["integration_database_up"], 0)
        server.start()
        started = time.monotonic()
        wait_for("a write", lambda: service.request(
            "POST", "/integrations", integration("back")).status == 201, 5)
        print(f"writes again {time.monotonic() - started:.1f} s after the database ", end="")
        kept = {item["id"] for item in service.request("GET", "/integrations").json}
        self.assertEqual(acknowledged - kept, set())
        all_equal(server, service)
        self.assertEqual(service.metrics()["integration_database_up"], 1)
        self.assertEqual(service.request("GET", "/readiness").status, 200)

    def test_a_start_without_database_and_replica(self):
        with Postgres() as server:
            server.stop()
            with Service(DATABASE_URL=server.url, READINESS_POLICY="serve-stale") as service:
                for method, path in ("GET", "/integrations"), ("GET", "/integrations/x"), \
                        ("POST", "/integrations"), ("GET", "/readiness"):
                    body = integration("x") if method == "POST" else None
                    answer = service.request(method, path, body)
                    self.assertEqual((answer.status, answer.json),
                                     (503, {"detail": "db not ready"}), path)
                self.assertNotIn("integration_replica_age_seconds", service.metrics())
                server.start()
                wait_for("readiness", lambda: service.request("GET", "/readiness").status == 200)
                self.assertEqual(service.request("GET", "/integrations").json, [])

    def test_readiness_may_follow_the_replica_s_age(self):
        with Postgres() as server:
            with Service(DATABASE_URL=server.url, READINESS_POLICY="serve-stale",
                         MAX_STALENESS="3") as service:
                server.stop("immediate")
                answer = service.request("GET", "/readiness")
                self.assertEqual((answer.status, answer.json), (200, {"status": "ready"}))
                wait_for("readiness to end",
                         lambda: service.request("GET", "/readiness").status == 503, 6)
                self.assertEqual(service.request("GET", "/integrations").status, 200)

    def test_age_grows_though_the_clock_was_set_back(self):
        """What was noted by the wall clock then lies in the future."""
        with Postgres() as server, Service(DATABASE_URL=server.url, WORKERS="1") as service:
            service.request("POST", "/integrations", integration("a"))
            server.stop()
            wait_for("the database to be away",
                     lambda: service.metrics()["integration_database_up"] == 0)
            with open(os.path.join(service.state_dir, "database"), "r+b") as file:
                size = file.seek(0, os.SEEK_END)
                noted, later = [], struct.pack("=Q", int((time.time() + 3600) * 1e6))
                for at in 8, size - 32:  # complete_us and complete_ns_of of struct pg_shared
                    file.seek(at)
                    noted.append(file.read(8))
                    file.seek(at)
                    file.write(later)
                self.assertEqual(noted[0], noted[1])
            age = int(service.request("GET", "/integrations/a").headers["Age"])
            time.sleep(2.5)
            self.assertGreaterEqual(
                int(service.request("GET", "/integrations/a").headers["Age"]), age + 2)

    def test_a_standby_takes_over(self):
        with Postgres(wal_level="replica", max_wal_senders=4) as primary:
            standby = Standby(primary)
            try:
                self.take_over(primary, standby)
            finally:
                standby.remove()

    def take_over(self, primary, standby):
        url = primary.url.replace(f":{primary.port}/", f":{primary.port},127.0.0.1:{standby.port}/")
        acknowledged = set()
        stop = threading.Event()
        with Service(DATABASE_URL=url) as service:
            def write(number):
                client = service.client()
                n = 0
                while not stop.is_set():
                    n += 1
                    answer = client.request("POST", "/integrations", integration(f"{number}-{n}"))
                    if answer.status == 201:
                        acknowledged.add(f"{number}-{n}")
                    elif answer.status != 503:
                        raise AssertionError(answer)
                client.close()

            threads, failures = in_threads(4, write)
            time.sleep(1)
            os.kill(primary.postmaster, signal.SIGKILL)
            time.sleep(1)
            before = len(acknowledged)
            self.assertEqual(service.request("GET", "/integrations/0-1").status, 200)
            standby.promote()
            promoted = time.monotonic()
            wait_for("writes on the new primary", lambda: len(acknowledged) > before, 10)
            print(f"writes again {time.monotonic() - promoted:.1f} s after the promotion ", end="")
            time.sleep(0.5)
            stop.set()
            join(threads, failures)
            all_equal(standby, service)
            kept = {item["id"] for item in service.request("GET", "/integrations").json}
            self.assertEqual(acknowledged - kept, set())

    def test_an_older_database_is_followed(self):
        self.restore(lambda server: None)

    def test_an_older_database_that_went_another_way_is_followed(self):
        def other_way(server):
            """More changes than the replicas have seen, so that no revision is lower than theirs."""
            server.sql("SELECT integration_change('put', 'other-' || n, "
                       "('{\"id\":\"other-' || n || '\"}')::json, n) FROM generate_series(1, 200) n")
        self.restore(other_way)

    def restore(self, change):
        with Postgres() as server:
            with Service(DATABASE_URL=server.url) as one, Service(DATABASE_URL=server.url) as other:
                for n in range(10):
                    one.request("POST", "/integrations", integration(f"old-{n}"))
                server.stop()
                shutil.copytree(server.data, server.data + ".backup")
                if postgres.AS_USER:
                    subprocess.run(["chown", "-R", "65534:65534", server.data + ".backup"], check=True)
                server.start()
                for n in range(40):
                    answer = wait_for("a write", lambda n=n: self.create(other, f"new-{n}"))
                self.assertGreaterEqual(int(answer.headers["X-Revision"]), 50)
                server.stop("immediate")
                shutil.rmtree(server.data)
                os.rename(server.data + ".backup", server.data)
                # Nobody reaches it over TCP until it is changed.
                server.configure({"listen_addresses": "''"})
                server.start()
                change(server)
                server.stop()
                server.configure({"listen_addresses": "'127.0.0.1'"})
                server.start()
                for service in one, other:
                    wait_for("the restored database",
                             lambda s=service: s.metrics()["integration_database_up"] == 1)
                all_equal(server, one, other)
                self.assertNotIn("new-", replica(one))
                copies = one.metrics()["integration_replica_copies_total"]
                time.sleep(2.5)
                self.assertEqual(one.metrics()["integration_replica_copies_total"], copies,
                                 "it is copied again and again")
                wait_for("a write", lambda: self.create(one, "after"))
                all_equal(server, one, other)

    def test_a_tag_of_a_lost_history_fits_nothing(self):
        """Both histories have the revisions 2 and 3, which are not the same."""
        with Postgres() as server:
            with Service(DATABASE_URL=server.url) as service, Service(DATABASE_URL=server.url) as other:
                client = service.client()
                client.request("POST", "/integrations", integration("a"))
                server.sql("CREATE TABLE kept_store AS TABLE integration_store; "
                           "CREATE TABLE kept_documents AS TABLE integration_documents; "
                           "CREATE TABLE kept_changes AS TABLE integration_changes")
                lost = client.request("PUT", "/integrations/a", integration("a", name="lost"))
                client.request("POST", "/integrations", integration("b"))
                lost_list = client.request("GET", "/integrations").headers["ETag"]
                for table in "store", "documents", "changes":
                    server.sql(f"DELETE FROM integration_{table}; "
                               f"INSERT INTO integration_{table} SELECT * FROM kept_{table}")
                won = other.request("PATCH", "/integrations/a", {"name": "won"})
                other.request("POST", "/integrations", integration("c"))
                self.assertEqual(won.json["name"], "won")
                wait_for("the new history", lambda: client.request(
                    "GET", "/integrations/c").status == 200)
                tag, new = lost.headers["ETag"], won.headers["ETag"]
                self.assertEqual(tag.split("-")[0], new.split("-")[0], "the same revision")
                for method, body in ("PUT", integration("a")), ("PATCH", {}), ("DELETE", None):
                    refused = client.request(method, "/integrations/a", body, {"If-Match": tag})
                    self.assertEqual((refused.status, refused.headers["ETag"]), (412, new))
                batch = {"operations": [{"op": "put", "integration": integration("a"),
                                         "if_match": tag}]}
                self.assertEqual(client.request("POST", "/integrations:batch", batch).status, 409)
                for path, known in ("/integrations/a", tag), ("/integrations", lost_list):
                    for fresh in {}, NO_CACHE:
                        read = client.request("GET", path, None, {"If-None-Match": known, **fresh})
                        self.assertEqual(read.status, 200)
                self.assertEqual(client.request("POST", "/integrations", integration("d"),
                                                {"If-Match": lost_list}).status, 412)
                self.assertEqual(client.request("GET", "/integrations/a").json["name"], "won")
                client.close()

    @staticmethod
    def create(service, identity):
        answer = service.request("POST", "/integrations", integration(identity))
        if answer.status == 503:
            return None
        if answer.status != 201:
            raise AssertionError(answer)
        return answer


class Standby:
    """A synchronous streaming standby of a server."""

    def __init__(self, primary):
        self.directory = tempfile.mkdtemp(prefix="integration-standby-")
        if postgres.AS_USER:
            os.chown(self.directory, 65534, 65534)
        self.data = os.path.join(self.directory, "data")
        self.port = postgres.free_port()
        postgres.run(postgres.program("pg_basebackup"), "-D", self.data, "-R", "-U", "postgres",
                     "-h", primary.directory, "-p", str(primary.port), "-c", "fast")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(f"port = {self.port}\nunix_socket_directories = '{self.directory}'\n")
        postgres.run(postgres.program("pg_ctl"), "start", "-w", "-D", self.data, "-l",
                     os.path.join(self.directory, "log"))
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        wait_for("the standby to be synchronous", lambda: primary.sql(
            "SELECT sync_state FROM pg_stat_replication") == "sync")

    def promote(self):
        postgres.run(postgres.program("pg_ctl"), "promote", "-w", "-D", self.data)

    def sql(self, text):
        return postgres.run(postgres.program("psql"), "-h", self.directory, "-p", str(self.port), "-U",
                            "postgres", "-d", "service", "-X", "-q", "-A", "-t", "-c", text).strip()

    def remove(self):
        postgres.run(postgres.program("pg_ctl"), "stop", "-w", "-D", self.data, "-m", "immediate")
        shutil.rmtree(self.directory, ignore_errors=True)


class Slowness(OnPostgres, unittest.TestCase):
    """A database that answers late, or not at all."""

    def reads_and_writes(self, service, write_bound, seconds=3):
        """Reads and writes for a while: how long the longest read took, and the writes' statuses.
        Each write is answered in time."""
        stop = threading.Event()
        slowest = []
        outcomes = Outcomes()

        def read(_):
            client = service.client()
            longest = 0
            while not stop.is_set():
                started = time.monotonic()
                self.assertEqual(client.request("GET", "/integrations/one").status, 200)
                longest = max(longest, time.monotonic() - started)
            slowest.append(longest)
            client.close()

        def write(_):
            client = service.client()
            while not stop.is_set():
                started = time.monotonic()
                answer = client.request("PUT", "/integrations/one", integration("one"))
                self.assertLess(time.monotonic() - started, write_bound * PATIENCE)
                outcomes.add(answer.status, (200, 503), answer)
                time.sleep(0.01)
            client.close()

        threads, failures = in_threads(24, lambda n: read(n) if n < 4 else write(n))
        time.sleep(seconds)
        stop.set()
        join(threads, failures)
        self.assertEqual(outcomes.unexpected, [])
        return max(slowest), outcomes

    def open_sockets(self):
        """The service's ends of connections to the server; the server's own end of one outlives it a
        little."""
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        return {(row[1], row[9]) for row in rows
                if row[2].endswith(f":{self.postgres.port:04X}") and row[3] == "01"}

    def connections_peak(self, stop, peak):
        """How many are open at once. The file is no picture of one moment: while it is read, one may
        be closed and another opened. What stands in two readings was open between them."""
        while not stop.wait(0.02):
            peak.append(len(self.open_sockets() & self.open_sockets()))

    def test_a_slow_statement(self):
        with self.service(DB_TIMEOUT="1", LOG_LEVEL="error") as service:
            service.request("POST", "/integrations", integration("one"))
            self.postgres.sql(
                "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN PERFORM pg_sleep(3); RETURN NEW; END$$; CREATE TRIGGER slow BEFORE UPDATE "
                "ON integration_documents FOR EACH ROW EXECUTE FUNCTION sleep()")
            stop, peak = threading.Event(), []
            watcher, watch_failures = in_threads(1, lambda _: self.connections_peak(stop, peak))
            slowest, outcomes = self.reads_and_writes(service, 3, 5)
            stop.set()
            join(watcher, watch_failures)
            self.assertEqual(outcomes[200], 0)
            self.assertGreater(outcomes[503], 0)
            self.assertLess(slowest, 0.5 * PATIENCE)
            self.assertLessEqual(max(peak), 15)
            self.postgres.sql("DROP FUNCTION sleep() CASCADE")
            wait_for("a write", lambda: service.request(
                "PUT", "/integrations/one", integration("one")).status == 200)
            all_equal(self.postgres, service)

    def test_what_was_refused_is_not_made_later(self):
        """Whether the server or the service gives up first, with and without a session of its own."""
        with self.service():
            pass  # it makes the tables
        self.postgres.sql(
            "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_sleep(2); RETURN NEW; END$$; CREATE TRIGGER slow BEFORE INSERT "
            "ON integration_documents FOR EACH ROW EXECUTE FUNCTION sleep()")
        for prepared in "on", "off":
            with self.service(DB_TIMEOUT="1", DB_PREPARED_STATEMENTS=prepared) as service:
                many = {"operations": [{"op": "create", "integration": integration(f"{prepared}{n}")}
                                       for n in range(3)]}
                for path, body in (("/integrations", integration(prepared)),
                                   ("/integrations:batch", many)):
                    answer = service.request("POST", path, body)
                    self.assertEqual((answer.status, answer.json), (503, {"detail": "db not ready"}))
                    self.assertIsNone(answer.headers["X-Outcome"])
        time.sleep(4)
        self.assertEqual(self.postgres.sql("SELECT count(*) FROM integration_documents").strip(), "0")
        self.postgres.sql("DROP FUNCTION sleep() CASCADE")

    @contextlib.contextmanager
    def server_frozen(self):
        pids = [self.postgres.postmaster] + [int(pid) for pid in self.postgres.sql(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'integration-service'"
        ).split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def test_an_unknown_outcome_is_said(self):
        with self.service(DB_TIMEOUT="1", WORKERS="1") as service:
            service.request("POST", "/integrations", integration("one"))
            with self.server_frozen():
                answer = service.request("PUT", "/integrations/one", integration("one", name="2"))
                self.assertEqual((answer.status, answer.headers["X-Outcome"]), (503, "unknown"))
                self.assertIn("Retry-After", answer.headers)

    def test_a_server_that_hangs(self):
        with self.service(DB_TIMEOUT="1", LOG_LEVEL="error") as service:
            service.request("POST", "/integrations", integration("one"))
            # On a busy machine, a change may take longer than DB_TIMEOUT.
            self.assertGreater(self.reads_and_writes(service, 3, 1)[1][200], 0)
            with self.server_frozen():
                slowest, outcomes = self.reads_and_writes(service, 3, 5)
            self.assertGreater(outcomes[503], 0)
            self.assertLess(slowest, 0.5 * PATIENCE)
            wait_for("a write", lambda: service.request(
                "PUT", "/integrations/one", integration("one")).status == 200, 5)
            all_equal(self.postgres, service)

    def test_a_host_that_swallows_everything(self):
        """A listening socket whose queue is full drops who connects, as a black hole does."""
        with socket.socket() as hole, self.service(DB_TIMEOUT="1") as service:
            service.request("POST", "/integrations", integration("one"))
            service.stop()
            hole.bind(("127.0.0.1", 0))
            hole.listen(0)
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(hole.getsockname())
            service.environment["DATABASE_URL"] = \
                f"postgresql://service:x@127.0.0.1:{hole.getsockname()[1]}/service"
            service.start()
            slowest, outcomes = self.reads_and_writes(service, 3)
            self.assertEqual(outcomes[200], 0)
            self.assertLess(slowest, 0.5 * PATIENCE)
            self.assertIn("the database does not answer", service.stderr())
            # The second host of two is reached in time.
            service.stop()
            service.environment["DATABASE_URL"] = self.postgres.url.replace(
                "@", f"@127.0.0.1:{hole.getsockname()[1]},")
            service.start()
            wait_for("a write", lambda: service.request(
                "PUT", "/integrations/one", integration("one")).status == 200)
            for filler in fillers:
                filler.close()

    def test_what_asks_a_locked_database_keeps_nobody_waiting(self):
        with self.service(WORKERS="1", THREADS="1", DB_TIMEOUT="3", READINESS_TIMEOUT="3") as service:
            service.request("POST", "/integrations", integration("one"))
            locker = subprocess.Popen(
                [postgres.program("psql"), "-h", self.postgres.directory, "-p",
                 str(self.postgres.port), "-U", "postgres", "-d", "service", "-c",
                 "BEGIN; LOCK integration_documents, integration_changes; SELECT pg_sleep(60)"],
                stdout=subprocess.DEVNULL, **postgres.AS_USER)
            try:
                wait_for("the lock", lambda: self.postgres.sql(
                    "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'") >= "2")
                asking, failures = in_threads(3, lambda _: self.assertEqual(service.request(
                    "GET", "/integrations/one", None, NO_CACHE).status, 503))
                time.sleep(0.3)
                for path in "/integrations", "/integrations/one", "/metrics", "/health":
                    started = time.monotonic()
                    self.assertEqual(service.request("GET", path).status, 200)
                    self.assertLess(time.monotonic() - started, 1 * PATIENCE, path)
                join(asking, failures)
                time.sleep(6)  # the follower tries again and again, and leaves nothing behind
                self.assertLessEqual(int(self.postgres.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                    "'integration-service'")), 6)
            finally:
                locker.terminate()
                locker.wait()
            self.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              "WHERE application_name = 'psql' AND pid <> pg_backend_pid()")
            wait_for("a write", lambda: service.request(
                "PUT", "/integrations/one", integration("one")).status == 200)

    def test_few_connections_are_enough_and_never_more(self):
        with self.service(DB_POOL_SIZE="1", DB_MAX_OVERFLOW="1", DB_TIMEOUT="20",
                          LOG_LEVEL="error") as service:
            service.request("POST", "/integrations", integration("one"))
            stop, peak = threading.Event(), []
            watcher, watch_failures = in_threads(1, lambda _: self.connections_peak(stop, peak))
            reloads, reload_failures = in_threads(1, lambda _: [
                (time.sleep(0.7), service.process.send_signal(signal.SIGHUP)) for _ in range(3)])
            _, outcomes = self.reads_and_writes(service, 20)
            join(reloads, reload_failures)
            stop.set()
            join(watcher, watch_failures)
            self.assertEqual(outcomes[503], 0)
            self.assertGreater(outcomes[200], 0)
            self.assertLessEqual(max(peak), 2)


class Operation(OnPostgres, unittest.TestCase):
    """Schema, roles, URLs, secrets."""

    def run_program(self, *words, **environment):
        return subprocess.run([PROGRAM, *words], env={"PATH": os.environ["PATH"], **environment},
                              capture_output=True, text=True, timeout=60 * PATIENCE)

    def refused(self, **environment):
        with tempfile.TemporaryDirectory() as directory:
            result = self.run_program("serve", STATE_DIR=directory, **environment)
        self.assertEqual(result.returncode, 1, result)
        self.assertNotIn("planted", result.stderr)
        return result.stderr

    def test_migrate(self):
        for expected in "was brought up to date", "was up to date":
            result = self.run_program("migrate", DATABASE_URL=self.postgres.url)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn(expected, result.stdout)
        result = self.run_program("migrate")
        self.assertEqual(result.returncode, 1)
        self.assertIn("DATABASE_URL is not set", result.stderr)
        result = self.run_program("migrate", DATABASE_URL=self.postgres.url.replace("planted", "x"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("password authentication failed", result.stderr)

    def test_a_newer_schema_is_refused(self):
        self.run_program("migrate", DATABASE_URL=self.postgres.url)
        self.postgres.sql("INSERT INTO integration_schema VALUES (99, now())")
        self.assertIn("newer version", self.refused(DATABASE_URL=self.postgres.url))
        self.assertIn("newer version",
                      self.run_program("migrate", DATABASE_URL=self.postgres.url).stderr)

    def test_what_a_newer_version_added_is_no_hindrance(self):
        """Hosts are upgraded one after another, and back."""
        self.run_program("migrate", DATABASE_URL=self.postgres.url)
        self.postgres.sql("UPDATE integration_schema SET addition = 99 WHERE version = 2")
        self.assertIn("was up to date",
                      self.run_program("migrate", DATABASE_URL=self.postgres.url).stdout)
        with self.service() as service:
            self.assertEqual(service.request("POST", "/integrations", integration("x")).status, 201)

    def test_a_host_of_the_version_before_goes_on(self):
        """It knows the schema as version 2, and calls the functions that were there then."""
        with self.service() as service:
            self.assertEqual(self.postgres.sql("SELECT max(version) FROM integration_schema"), "2")

            def theirs(*arguments):
                return self.postgres.sql(f"SELECT outcome, the_revision FROM integration_change("
                                         f"{', '.join(arguments)})").split("|")

            text = json.dumps(integration("theirs")).join("''")
            self.assertEqual(theirs("'create'", "'theirs'", text, "71"), ["created", "1"])
            wait_for("the change to be followed", lambda: service.request(
                "GET", "/integrations/theirs").status == 200)
            self.assertEqual(theirs("'create'", "'theirs'", text, "72", "0"), ["exists", "1"])
            self.assertEqual(theirs("'put'", "'theirs'", text, "73", "1"), ["replaced", "2"])
            self.assertEqual(theirs("'replace'", "'theirs'", text, "74", "1"), ["changed", "2"])
            self.assertEqual(theirs("'replace'", "'none'", text, "75", "1")[0], "missing")
            wait_for("the change to be followed", lambda: service.request(
                "GET", "/integrations").headers["X-Revision"] == "2")
            tag = service.request("GET", "/integrations/theirs").headers["ETag"]
            self.assertEqual(service.request("DELETE", "/integrations/theirs", None,
                                             {"If-Match": tag}).status, 204)
            self.assertEqual(theirs("'remove'", "'theirs'", "NULL", "76", "0")[0], "missing")

    def test_a_full_replica_refuses_no_change(self):
        with self.service(STORE_MAX_BYTES="1M") as service:
            for n in range(20):
                began = time.monotonic()
                answer = service.request("POST", "/integrations", integration(
                    f"i{n}", settings={"pad": "x" * 100000}))
                self.assertEqual(answer.status, 201)
                self.assertLess(time.monotonic() - began, 2 * PATIENCE)
                seen = service.request("GET", f"/integrations/i{n}").status == 200
                self.assertEqual(answer.headers["X-Replica"], None if seen else "behind")
            self.assertEqual((n, seen), (19, False))
            self.assertIn("the store is full", service.stderr())
            self.assertEqual(service.request("GET", "/integrations/i0").status, 200)
            self.assertEqual(self.postgres.sql("SELECT count(*) FROM integration_documents"), "20")
            self.assertEqual(service.request("GET", "/integrations/i19", None, NO_CACHE).status, 200)
            self.assertEqual(service.metrics()["integration_database_up"], 1)
            wait_for("its age to grow",
                     lambda: service.metrics()["integration_replica_age_seconds"] > 2)

    def test_a_role_without_the_right_to_create(self):
        self.postgres.sql("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN PASSWORD 'planted-two'")
        url = f"postgres://plain:planted-two@127.0.0.1:{self.postgres.port}/service"
        self.assertIn("the role lacks rights", self.refused(DATABASE_URL=url))
        self.run_program("migrate", DATABASE_URL=self.postgres.url)
        self.postgres.sql(
            "GRANT SELECT ON integration_schema TO plain; GRANT SELECT, INSERT, UPDATE, DELETE ON "
            "integration_store, integration_documents, integration_changes TO plain")
        with Service(DATABASE_URL=url) as service:
            self.assertEqual(service.request("POST", "/integrations", integration("x")).status, 201)
            self.assertEqual(service.request("GET", "/integrations/x").status, 200)
        self.postgres.empty()
        self.postgres.sql("DROP ROLE plain")

    def test_a_database_that_is_not_utf8(self):
        self.postgres.sql("CREATE DATABASE latin OWNER service ENCODING 'LATIN1' LC_COLLATE 'C' "
                          "LC_CTYPE 'C' TEMPLATE template0")
        self.assertIn("UTF8", self.refused(
            DATABASE_URL=self.postgres.url.removesuffix("service") + "latin"))

    def test_spellings_of_the_url(self):
        password = self.postgres.url.split("service:")[1].split("@")[0]
        place = f"127.0.0.1:{self.postgres.port}"
        for url in (self.postgres.url,
                    f"postgres://service:{password}@{place}/service?sslmode=disable",
                    f"postgresql+psycopg://service:{password}@{place}/service?ssl=disable&pool_size=3",
                    f"postgresql+asyncpg://service:{password}@/service?host={place}",
                    f"postgresql://service:{password}@127.0.0.1:1,{place}/service?timeout=2",
                    self.postgres.socket_url):
            with Service(nginx=False, DATABASE_URL=url, WORKERS="1") as service:
                wait_for("the database", lambda: service.log("the database is there") != []
                         or "the database is there" in service.stderr())

    def test_the_url_is_told_to_nobody(self):
        password = "planted-Pass%word"
        with self.service(LOG_LEVEL="debug") as service:
            service.request("POST", "/integrations", integration("x", settings={"t": "planted-token"}))
            self.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                              "application_name = 'integration-service'")
            service.request("PUT", "/integrations/x", integration("x", settings={"t": "planted-token"}))
            pids = [service.process.pid, *service.children()]
            told = [service.stderr(), service.request("GET", "/metrics").body.decode()]
            for pid in pids:
                with open(f"/proc/{pid}/cmdline") as file:
                    told.append(file.read())
            result = self.run_program("check-config", DATABASE_URL=self.postgres.url)
            self.assertEqual(result.returncode, 0)
            self.assertIn("DATABASE_URL=***", result.stdout)
            told += [result.stdout, result.stderr]
        told.append(self.refused(DATABASE_URL=f"postgresql://u:{password}@h/d?planted=1".replace(
            "planted=1", "nonsense=1")))
        told.append(self.refused(DATABASE_URL=f"mysql://u:{password}@h/d"))
        for text in told:
            self.assertNotIn("planted", text)
            self.assertNotIn(self.postgres.url, text)

    def test_moving_between_stores(self):
        """Everything moves from the embedded store into the database of a running service, and back."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "export")
            embedded = os.path.join(directory, "embedded")
            os.mkdir(embedded)
            with Service(directory=embedded) as service:
                for n in 3, 1, 2:
                    service.request("POST", "/integrations", integration(
                        f"i{n}", settings={"z": n, "a": "\0", "big": 10**40}))
                before = service.request("GET", "/integrations").body
                state = service.state_dir
                result = self.run_program("export", path, STATE_DIR=state)  # beside the service
                self.assertEqual((result.returncode, result.stderr),
                                 (0, "exported 3 integrations\n"))
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            with self.service() as service:
                service.request("POST", "/integrations", integration("here"))
                service.request("POST", "/integrations", integration("i1"))
                result = self.run_program("import", path, STATE_DIR=service.state_dir,
                                          DATABASE_URL=self.postgres.url)
                self.assertEqual((result.returncode, result.stderr),
                                 (0, "imported 3 integrations: 2 created, 1 replaced\n"))
                self.assertEqual([item["id"] for item in service.request("GET", "/integrations").json],
                                 ["here", "i1", "i3", "i2"])
                for method, identity in ("DELETE", "here"), ("DELETE", "i1"), ("DELETE", "i3"), \
                        ("DELETE", "i2"):
                    self.assertEqual(service.request(method, "/integrations/" + identity).status, 204)
                with open(path, "rb") as file:
                    lines = file.read().splitlines(keepends=True)
                bad = os.path.join(directory, "bad")
                with open(bad, "wb") as file:
                    file.writelines([*lines, b'{"id":"planted"}\n'])
                result = self.run_program("import", bad, STATE_DIR=service.state_dir,
                                          DATABASE_URL=self.postgres.url)
                self.assertEqual(result.returncode, 1)
                self.assertIn('line 5: "name": field required', result.stderr)
                self.assertEqual(service.request("GET", "/integrations").json, [])
                result = self.run_program("import", path, STATE_DIR=service.state_dir,
                                          DATABASE_URL=self.postgres.url)
                self.assertEqual(service.request("GET", "/integrations").body, before)
                all_equal(self.postgres, service)
            # From elsewhere: without a replica, and to standard output.
            elsewhere = os.path.join(directory, "elsewhere")
            result = self.run_program("export", STATE_DIR=elsewhere, DATABASE_URL=self.postgres.url)
            self.assertEqual([json.loads(line)["integration"] for line in
                              result.stdout.splitlines()[:-1]],
                             json.loads(before))
            self.assertEqual(result.stderr, "exported 3 integrations\n")
            # A reader that takes longer than a statement may.
            with self.service() as service:
                for n in range(20):
                    service.request("POST", "/integrations",
                                    integration(f"large{n}", settings={"pad": "x" * 900000}))
            slow = subprocess.Popen([PROGRAM, "export"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env={"PATH": os.environ["PATH"], "STATE_DIR": elsewhere,
                                         "DATABASE_URL": self.postgres.url, "DB_TIMEOUT": "1"})
            time.sleep(3)
            out, err = slow.communicate(timeout=60 * PATIENCE)
            self.assertEqual((slow.returncode, err, len(out.splitlines())),
                             (0, b"exported 23 integrations\n", 24))
            # Without the database: said, and no half of a file.
            result = self.run_program("export", path + ".none", STATE_DIR=elsewhere,
                                      DATABASE_URL="postgresql://u:planted@127.0.0.1:1/d")
            self.assertEqual(result.returncode, 1)
            self.assertIn("Connection refused", result.stderr)
            self.assertNotIn("planted", result.stderr)
            self.assertEqual(sorted(os.listdir(directory)),
                             ["bad", "elsewhere", "embedded", "export"])

    def test_behind_pgbouncer(self):
        with tempfile.TemporaryDirectory() as directory:
            port = postgres.free_port()
            os.chmod(directory, 0o755)
            with open(os.path.join(directory, "users"), "w", encoding="ascii") as file:
                file.write('"service" ""\n')
            with open(os.path.join(directory, "ini"), "w", encoding="ascii") as file:
                file.write(f"""[databases]
service = host={self.postgres.directory} port={self.postgres.port} user=service
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
""")
            pgbouncer = subprocess.Popen(
                [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", os.path.join(directory, "ini")],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **postgres.AS_USER)
            try:
                url = f"postgresql://service@127.0.0.1:{port}/service"
                asyncpg = url.replace(":", "+asyncpg:", 1) + "?prepared_statement_cache_size=0"
                with Service(DATABASE_URL=asyncpg) as service:  # what a Python service says there
                    wait_for("the database", lambda: service.request("GET", "/readiness").status == 200)
                    for n in range(20):
                        self.assertEqual(service.request("POST", "/integrations",
                                                         integration(f"first-{n}")).status, 201)
                    self.assertNotIn("prepared", service.stderr())
                self.postgres.empty()
                with Service(DATABASE_URL=url, DB_PREPARED_STATEMENTS="off") as service:
                    wait_for("the database", lambda: service.request("GET", "/readiness").status == 200)

                    def work(number):
                        client = service.client()
                        for n in range(50):
                            path = f"/integrations/{number}-{n}"
                            self.assertEqual(client.request(
                                "POST", "/integrations", integration(f"{number}-{n}")).status, 201)
                            self.assertEqual(client.request("GET", path).status, 200)
                            self.assertEqual(client.request("GET", path, None, NO_CACHE).status, 200)
                            self.assertEqual(client.request("DELETE", path).status, 204)
                        client.close()

                    join(*in_threads(8, work))
                    self.assertEqual(service.request("GET", "/integrations").json, [])
            finally:
                pgbouncer.terminate()
                pgbouncer.wait()

    def test_a_copy_can_be_asked_past(self):
        """no-cache reads the database, also when the replica has stopped to follow."""
        with self.service() as service:
            service.request("POST", "/integrations", integration("x"))
            os.kill(service.follower_pid(), signal.SIGSTOP)
            self.postgres.sql("SELECT integration_change('put', 'x', '{\"id\":\"x\",\"n\":2}', 7)")
            old = service.request("GET", "/integrations/x")
            self.assertEqual((old.json["name"], old.headers["X-Revision"]), ("name", "1"))
            for path, expected in ("/integrations/x", {"id": "x", "n": 2}), \
                    ("/integrations", [{"id": "x", "n": 2}]):
                new = service.request("GET", path, None, NO_CACHE)
                self.assertEqual((new.json, new.headers["X-Revision"], new.headers["Age"]),
                                 (expected, "2", "0"))
            missing = service.request("GET", "/integrations/y", None, NO_CACHE)
            self.assertEqual((missing.status, missing.headers["X-Revision"]), (404, "2"))
            os.kill(service.follower_pid(), signal.SIGCONT)
            wait_for("the follower", lambda: service.request(
                "GET", "/integrations/x").json == {"id": "x", "n": 2})


if __name__ == "__main__":
    unittest.main()
