# SPDX-License-Identifier: MIT
"""Databases that are stopped, emptied, restored, locked or reached late, and what hosts make of it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from postgres import Postgres, program, run
from service import PATIENCE, PROGRAM, Service, integration, wait_for


class Wire:
    """Carries connections to the server. `hook` is given each piece of data with its direction, "out"
    (to the server) or "in", and returns what is passed on, perhaps later; None cuts the connection."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.hook = lambda direction, data, host: data
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                host, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:
                host.close()
                continue
            for direction, source, to in ("out", host, server), ("in", server, host):
                threading.Thread(target=self.carry, args=(direction, source, to, host),
                                 daemon=True).start()

    def carry(self, direction, source, to, host):
        try:
            while data := source.recv(65536):
                data = self.hook(direction, data, host)
                if data is None:
                    break
                to.sendall(data)
        except OSError:
            pass
        for end in source, to:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


def anonymous_memory_peak(find, condition):
    """The most memory in bytes that the process had for itself until the condition held."""
    peak = 0

    def look():
        nonlocal peak
        try:
            with open(f"/proc/{find()}/status") as file:
                found = re.search(r"RssAnon:\s*(\d+) kB", file.read())
            peak = max(peak, int(found[1]) << 10 if found else 0)
        except OSError:
            pass  # it has not begun yet
        return condition()

    wait_for("the copy", look, 60)
    return peak


class Faults(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Postgres(wal_writer_delay="'10s'"))
        self.wire = Wire(self.server.port)
        self.addCleanup(self.wire.close)
        self.url = self.server.url.replace(f":{self.server.port}/", f":{self.wire.port}/")

    def service(self, **environment):
        return Service(**{"DATABASE_URL": self.url, "DB_TIMEOUT": "2", **environment})

    def names(self):
        return self.server.sql("SELECT document->>'name' FROM integration_documents ORDER BY sequence"
                               ).splitlines()

    def put(self, service, name):
        return service.request("PUT", "/integrations/a", integration("a", name=name))

    def create_many(self, service, count):
        """In large batches, before what was stopped meanwhile is found to be so."""
        for first in range(0, count, 8):
            self.assertEqual(service.request("POST", "/integrations:batch", {"operations": [
                {"op": "put", "integration": integration("a", settings={"pad": "x" * 100000})},
                *({"op": "create", "integration": integration(
                    f"i{n}", settings={"pad": "x" * 100000})} for n in range(first, first + 8))
            ]}).status, 200)

    # ---- changes that arrive late ----

    def cut_change(self, late):
        """A hook that cuts the next change's connection; it arrives at the server after `late`
        seconds."""
        cut = threading.Event()

        def hook(direction, data, host):
            if direction == "out" and not cut.is_set() and b"integration_change" in data and \
                    b"late" in data:
                cut.set()
                host.shutdown(socket.SHUT_RDWR)
                time.sleep(late)
            return data
        return hook

    def test_what_was_refused_does_not_arrive_later(self):
        for prepared in "on", "off":
            with self.service(WORKERS="1", DB_PREPARED_STATEMENTS=prepared) as service:
                service.request("POST", "/integrations", integration("a"))
                self.assertEqual(self.put(service, "first").status, 200)
                self.wire.hook = self.cut_change(2)
                refused = self.put(service, "late")
                self.assertEqual((refused.status, refused.headers["X-Outcome"]), (503, None))
                self.assertEqual(self.put(service, "after").status, 200)
                time.sleep(3)
                self.assertEqual(self.names(), ["after"])
                self.assertEqual(service.request("GET", "/integrations/a").json["name"], "after")

    def test_a_stopped_server_process_makes_nothing_later(self):
        with self.service(WORKERS="1") as service:
            service.request("POST", "/integrations", integration("a"))
            pids = [int(pid) for pid in self.server.sql(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '%integration_change(%' AND "
                "usename = 'service'").splitlines()]
            self.assertGreater(len(pids), 0)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            refused = self.put(service, "late")
            self.assertEqual((refused.status, refused.headers["X-Outcome"]), (503, None))
            self.assertEqual(self.put(service, "after").status, 200)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            time.sleep(1)
            self.assertEqual(self.names(), ["after"])

    def test_a_change_is_found_in_a_database_that_was_set_back(self):
        """This host's replica has more revisions than the database."""
        with self.service(WORKERS="1") as service:
            service.request("POST", "/integrations", integration("a"))
            for table in "store", "documents", "changes":
                self.server.sql(f"CREATE TABLE kept_{table} AS TABLE integration_{table}")
            for n in range(5):
                self.assertEqual(self.put(service, str(n)).status, 200)
            os.kill(service.follower_pid(), signal.SIGSTOP)
            self.server.sql("; ".join(
                f"DELETE FROM integration_{table}; INSERT INTO integration_{table} SELECT * FROM "
                f"kept_{table}" for table in ("store", "documents", "changes")))
            asked = []

            def hook(direction, data, host):
                if direction == "out" and b"integration_change" in data and not asked:
                    asked.append(host)
                elif direction == "in" and asked == [host]:
                    asked.append(None)
                    return None
                return data

            self.wire.hook = hook
            answer = self.put(service, "made")
            os.kill(service.follower_pid(), signal.SIGCONT)
            self.assertEqual((answer.status, self.names()), (200, ["made"]))

    def test_a_commit_waits_for_the_disk(self):
        self.server.sql("ALTER ROLE service SET synchronous_commit = off")
        with self.service() as service:
            service.request("POST", "/integrations", integration("a"))
            for n in range(3):
                answer = self.put(service, f"kept{n}")
                self.assertEqual(answer.status, 200)
                self.server.stop("immediate")
                self.server.start()
                self.assertEqual(self.names(), [f"kept{n}"])
                wait_for("the service to be back",
                         lambda: service.request("GET", "/readiness").status == 200)

    # ---- tables that are lost or old ----

    def test_a_database_that_lost_its_tables_empties_no_replica(self):
        dump = os.path.join(self.server.directory, "dump")
        where = ("-h", self.server.directory, "-p", str(self.server.port), "-U", "postgres")
        with self.service() as one, self.service(DATABASE_URL=self.server.url) as other:
            for n in range(3):
                one.request("POST", "/integrations", integration(f"i{n}"))
            wait_for("the other host", lambda: len(other.request("GET", "/integrations").json) == 3)
            run(program("pg_dump"), *where, "-Fc", "-f", dump, "service")
            run(program("dropdb"), *where, "--force", "service")
            run(program("createdb"), *where, "-O", "service", "-T", "template0", "service")
            time.sleep(3)
            for service in one, other:
                self.assertEqual(service.request("GET", "/readiness").status, 503)
                self.assertEqual(len(service.request("GET", "/integrations").json), 3)
                self.assertIn("has no tables", service.stderr())
            run(program("pg_restore"), *where, "-d", "service", "--no-owner", "--role=service", dump)
            for service in one, other:
                wait_for("it to be ready", lambda: service.request("GET", "/readiness").status == 200)
                self.assertEqual(len(service.request("GET", "/integrations").json), 3)
            self.assertEqual(one.request("POST", "/integrations", integration("i3")).status, 201)
            wait_for("the other host", lambda: len(other.request("GET", "/integrations").json) == 4)
            # An empty store is no store, and who wants an empty one says so.
            self.server.sql("TRUNCATE integration_store, integration_documents, integration_changes")
            wait_for("readiness to end", lambda: one.request("GET", "/readiness").status == 503)
            time.sleep(2)
            self.assertEqual(len(one.request("GET", "/integrations").json), 4)
            self.server.empty()
            one.stop()
            one.start()
            self.assertEqual(len(one.request("GET", "/integrations").json), 4)
            result = subprocess.run([PROGRAM, "migrate"], capture_output=True, text=True, env={
                "PATH": os.environ["PATH"], "DATABASE_URL": self.server.url,
                "STATE_DIR": one.state_dir})
            self.assertEqual(result.returncode, 0, result)
            wait_for("an empty store", lambda: one.request("GET", "/integrations").json == [])

    def test_older_tables_are_brought_up_to_date(self):
        """A backup of the version before was restored."""
        with self.service() as service:
            service.request("POST", "/integrations", integration("a"))
            self.server.sql(
                "DROP FUNCTION integration_settle, integration_ready; "
                "UPDATE integration_schema SET addition = 3")
            wait_for("a change", lambda: self.put(service, "after").status == 200)
            wait_for("readiness", lambda: service.request("GET", "/readiness").status == 200)
            self.assertEqual(self.server.sql("SELECT max(addition) FROM integration_schema"), "7")

    # ---- hosts that freeze ----

    def test_a_host_that_freezes_while_it_migrates_holds_nobody_up(self):
        with self.service(DATABASE_URL=self.server.url) as service:
            service.request("POST", "/integrations", integration("a"))
            self.server.sql(
                "DROP FUNCTION integration_settle, integration_ready; "
                "UPDATE integration_schema SET addition = 3")
            frozen = threading.Event()

            def hook(direction, data, host):
                if direction == "out" and b"COMMIT" in data and b"addition" not in data:
                    frozen.set()
                while frozen.is_set() and direction == "out":
                    time.sleep(0.1)
                return data

            self.wire.hook = hook
            newcomer = self.service(nginx=False)
            newcomer.spawn()
            try:
                wait_for("it to freeze", frozen.is_set)
                wait_for("a change", lambda: self.put(service, "after").status == 200, 6)
            finally:
                newcomer.process.kill()
                newcomer.process.wait()
                newcomer.process.stdout.close()
                frozen.clear()

    def test_a_follower_finds_room_where_the_role_has_few_connections(self):
        self.server.sql("ALTER ROLE service CONNECTION LIMIT 3")
        with self.service() as service:
            service.request("POST", "/integrations", integration("a"))
            stop = threading.Event()

            def work():
                client = service.client()
                while not stop.is_set():
                    client.request("PUT", "/integrations/a", integration("a"))
                client.close()

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for _ in range(5):
                self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                "WHERE usename = 'service' AND query NOT LIKE "
                                "'%integration_change(%'")
                time.sleep(0.5)
            stop.set()
            for thread in threads:
                thread.join()
            wait_for("readiness", lambda: service.request("GET", "/readiness").status == 200)

    def test_processes_share_the_few_connections_of_a_role(self):
        self.server.sql("ALTER ROLE service CONNECTION LIMIT 2")  # the follower's, and one
        with self.service(WORKERS="3", DB_TIMEOUT="20") as service:
            service.request("POST", "/integrations", integration("a"))
            answers = []
            until = time.monotonic() + 4

            def work():
                client = service.client()
                while time.monotonic() < until:
                    answers.append(client.request(
                        "PUT", "/integrations/a", integration("a")).status)
                client.close()

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(set(answers), {200})
            for _ in range(5):  # whichever it is that answers, another has the connection
                self.assertEqual(service.request("GET", "/readiness").status, 200)

    def test_a_copy_that_is_ended_in_the_middle(self):
        """What was there is read until a copy is whole."""
        with self.service(DATABASE_URL=self.server.url) as other, self.service() as service:
            other.request("POST", "/integrations", integration("a", name="before"))
            wait_for("it", lambda: service.request("GET", "/integrations/a").status == 200)
            amount, frozen = 0, threading.Event()

            def hook(direction, data, host):
                nonlocal amount
                amount += len(data) if direction == "in" else 0
                if amount > 10 << 20:
                    frozen.set()
                while frozen.is_set():
                    time.sleep(0.1)
                return data

            os.kill(service.follower_pid(), signal.SIGSTOP)
            self.create_many(other, 200)
            other.request("PUT", "/integrations/a", integration("a", name="after"))
            self.server.sql("DELETE FROM integration_changes")
            self.wire.hook = hook
            os.kill(service.follower_pid(), signal.SIGCONT)
            wait_for("half a copy", frozen.is_set)
            self.assertEqual([item["name"] for item in service.request(
                "GET", "/integrations").json], ["before"])
            os.kill(service.follower_pid(), signal.SIGKILL)
            self.assertEqual(service.request("GET", "/integrations/a").json["name"], "before")
            amount = -1 << 40
            frozen.clear()
            wait_for("a whole copy", lambda: service.request(
                "GET", "/integrations/a").json["name"] == "after")
            self.assertEqual(len(service.request(
                "GET", "/integrations?fields=id").json), 201)

    def test_a_copy_takes_little_memory(self):
        """Of much data, and instead of many changes that would have to be fetched at once."""
        with self.service(DATABASE_URL=self.server.url) as other:
            other.request("POST", "/integrations", integration("a"))
            self.server.sql(
                "INSERT INTO integration_documents SELECT n, 'i' || n, 1, now(), now(), "
                "json_build_object('id', 'i' || n, 'name', 'n', 'description', '', 'status', "
                "true, 'settings', json_build_object('pad', repeat(md5(n::text), 3000))) "
                "FROM generate_series(1000, 2999) n")  # 190 MB
            options = {name: f"{os.environ.get(name, '')}:quarantine_size_mb=1"
                       for name in ("ASAN_OPTIONS",) if name in os.environ}
            with self.service(nginx=False, DATABASE_URL=self.server.url, **options) as service:
                service.stop()
                shutil.rmtree(service.state_dir)
                service.spawn()
                peak = anonymous_memory_peak(service.follower_pid, lambda: len(
                    service.log("the replica is a new copy of the database")) == 2)
                self.assertLess(peak, 40 << 20)
                service.stop()
                for n in range(400):
                    other.request("PUT", f"/integrations/i{1000 + n}", integration(
                        f"i{1000 + n}", settings={"pad": "x" * 100000}))
                service.spawn()
                peak = anonymous_memory_peak(service.follower_pid, lambda: len(
                    service.log("the replica is a new copy of the database")) == 3)
                self.assertLess(peak, 40 << 20)

    def test_a_replica_far_behind_is_fetched_once_and_in_time(self):
        """Many changes wait for it, over a slow wire."""
        with self.service(DATABASE_URL=self.server.url) as other, \
                self.service(THREADS="6") as service:  # a thread for each, whichever worker it is
            service.request("POST", "/integrations", integration("a"))
            os.kill(service.follower_pid(), signal.SIGSTOP)
            self.create_many(other, 96)
            fetched = []

            def hook(direction, data, host):
                if direction == "in" and len(data) > 10000:
                    fetched.append(len(data))
                    time.sleep(len(data) / 5e6)
                return data

            self.wire.hook = hook
            answers = []

            def change():
                began = time.monotonic()
                answer = service.request("PUT", "/integrations/a", integration("a", name="now"))
                answers.append((answer.status, time.monotonic() - began,
                                answer.headers["X-Replica"]))

            threads = [threading.Thread(target=change) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os.kill(service.follower_pid(), signal.SIGCONT)
            self.assertEqual({status for status, _, _ in answers}, {200})
            self.assertLess(max(seconds for _, seconds, _ in answers), 2.5 * PATIENCE)
            self.assertLess(sum(fetched), 40e6, "each thread fetched everything")
            wait_for("the replica", lambda: len(service.request(
                "GET", "/integrations?fields=id").json) == 97)

    def test_a_copy_that_was_overtaken_takes_nothing_back(self):
        """The follower's statement is cancelled, so it copies all; meanwhile changes are applied."""
        with self.service() as service:
            for n in range(60):
                service.request("POST", "/integrations", integration(
                    f"i{n}", settings={"pad": "x" * 100000}))
            copying = threading.Event()

            def hook(direction, data, host):
                if direction == "in" and len(data) > 30000:
                    copying.set()
                    time.sleep(len(data) / 1.5e6)
                return data

            self.wire.hook = hook
            copies = service.metrics()["integration_replica_copies_total"]
            holder = threading.Thread(target=self.server.sql, args=(
                "BEGIN; LOCK TABLE integration_changes; SELECT pg_sleep(2.5)",))
            holder.start()
            wait_for("a copy to begin", copying.is_set)
            holder.join()
            made, seen = 0, []
            ended = threading.Event()

            def read():
                client = service.client()
                while not ended.is_set():
                    seen.append(int(client.request(
                        "GET", "/integrations?limit=1&fields=id").headers["X-Revision"]))
                client.close()

            reader = threading.Thread(target=read)
            reader.start()
            end = time.monotonic() + 30 * PATIENCE
            while service.metrics()["integration_replica_copies_total"] == copies:
                self.assertLess(time.monotonic(), end, "the copy did not come to its end")
                answer = self.put(service, f"name{made}") if made else service.request(
                    "POST", "/integrations", integration("a"))
                made += answer.status in (200, 201)
            ended.set()
            reader.join()
            self.assertGreater(made, 10)
            self.assertEqual(seen, sorted(seen), "reads went back")
            self.assertEqual(service.request("GET", "/integrations/a").json["name"],
                             f"name{made - 1}")

    # ---- readiness ----

    def test_ready_means_that_changes_can_be_made(self):
        with self.service(READINESS_TIMEOUT="1") as service:
            service.request("POST", "/integrations", integration("a"))
            self.assertEqual(service.request("GET", "/readiness").status, 200)
            for lock in ("SELECT FROM integration_store FOR UPDATE",
                         "LOCK TABLE integration_documents IN SHARE MODE",
                         "LOCK TABLE integration_changes IN ACCESS EXCLUSIVE MODE"):
                holder = threading.Thread(target=self.server.sql, args=(
                    f"BEGIN; {lock}; SELECT pg_sleep({4 * PATIENCE})",))
                holder.start()
                time.sleep(0.5 * PATIENCE)
                self.assertEqual(service.request("GET", "/readiness").status, 503, lock)
                holder.join()
                wait_for("readiness", lambda: service.request("GET", "/readiness").status == 200)

    def test_levels_of_isolation_are_ours(self):
        self.server.sql("ALTER ROLE service SET default_transaction_isolation = 'serializable'")
        for prepared in "on", "off":
            with self.service(DB_PREPARED_STATEMENTS=prepared) as service:
                for n in range(3):
                    self.assertEqual(self.put(service, str(n)).status in (200, 404), True)
                self.assertIn(service.request("POST", "/integrations", integration("a")).status,
                              (201, 400))
                self.assertEqual(self.put(service, "x").status, 200)
                self.assertEqual(service.request("GET", "/readiness").status, 200)


if __name__ == "__main__":
    unittest.main()
