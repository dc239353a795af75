# SPDX-License-Identifier: MIT
"""The service under load: many clients at once, while workers are killed, replaced and stopped."""

import fcntl
import glob
import http.client
import os
import random
import re
import signal
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from service import (LOAD_SECONDS, PATIENCE, PROGRAM, Client, Service, answers, integration,
                     wait_for)


class Outcomes:
    """What happened to the requests of many clients."""

    def __init__(self):
        self.lock = threading.Lock()
        self.by_status = {}
        self.unexpected = []

    def add(self, status, expected, what=""):
        with self.lock:
            self.by_status[status] = self.by_status.get(status, 0) + 1
            if status not in expected:
                self.unexpected.append((status, what))

    def __getitem__(self, status):
        return self.by_status.get(status, 0)

    def count(self):
        with self.lock:
            return sum(self.by_status.values())


def in_threads(count, work):
    failures = []

    def guarded(number):
        try:
            work(number)
        except Exception as failure:  # for the main thread to raise
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads, failures


def join(threads, failures):
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def install(program):
    """Puts a copy in the place of the program's file, as install(1) does."""
    shutil.copy(program, program + ".new")
    os.rename(program + ".new", program)


def wrk(service, clients, timeout):
    """Loads with wrk: how many were answered, how many took longer than the timeout, and how many
    were no success."""
    result = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{LOAD_SECONDS:.0f}s", "--timeout", timeout,
         "--latency", f"http://127.0.0.1:{service.port}/integrations/one"],
        capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                       result)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", result)
    return (int(re.search(r"(\d+) requests in", result).group(1)),
            [int(number) for number in errors.groups()] if errors else [0, 0, 0, 0],
            int(bad.group(1)) if bad else 0)


class Load(unittest.TestCase):
    environment = {}

    def service(self, **environment):
        return Service(**self.environment, **environment)

    def test_a_change_is_made_once_whatever_dies(self):
        """Each client changes an integration of its own, one change after the other, half of them under a
        condition, while workers are killed. The store's revision counts what was really made."""
        with self.service(WORKERS="2") as service:
            clients = 12
            made, unknown, refused = [0] * clients, [0] * clients, []
            stop = threading.Event()
            for number in range(clients):
                self.assertEqual(service.request("POST", "/integrations",
                                                 integration(f"c{number}")).status, 201)

            def change(number):
                client = service.client()
                path = f"/integrations/c{number}"
                while not stop.is_set():
                    headers = {}
                    if number % 2:
                        read = client.request("GET", path)
                        if read.status != 200:
                            continue
                        headers["If-Match"] = read.headers["ETag"]
                    answer = client.request("PUT", path, integration(f"c{number}"), headers)
                    if answer.status == 200:
                        made[number] += 1
                    elif answer.status == 502:
                        unknown[number] += 1
                        time.sleep(0.5)  # until another worker has settled what became of it
                    else:
                        refused.append((number, answer))
                client.close()

            threads = [threading.Thread(target=change, args=(n,)) for n in range(clients)]
            for thread in threads:
                thread.start()
            end = time.monotonic() + LOAD_SECONDS
            kills = 0
            while time.monotonic() < end or kills < 10:
                time.sleep(0.2)
                workers = service.worker_pids()
                if workers:
                    os.kill(workers[kills % len(workers)], signal.SIGKILL)
                    kills += 1
            stop.set()
            for thread in threads:
                thread.join()
            wait_for("the service to be well", lambda: service.successful("/health"))
            self.assertEqual(refused, [], "no client has a rival")
            answer = wait_for("a list", lambda: service.successful("/integrations"))
            changes = int(answer.headers["ETag"].strip('"').split("-")[0]) - clients
            self.assertGreater(sum(made), 100)
            self.assertGreater(sum(unknown), 0, "no kill met a change")
            self.assertGreaterEqual(changes, sum(made), "a change that was answered was lost")
            self.assertLessEqual(changes, sum(made) + sum(unknown), "a change was made twice")

    def test_reads_are_repeated_when_a_worker_dies(self):
        with self.service(WORKERS="2") as service:
            service.request("POST", "/integrations", integration("a"))
            stop = threading.Event()
            statuses = []

            def read():
                client = service.client()
                while not stop.is_set():
                    statuses.append(client.request("GET", "/integrations/a").status)
                client.close()

            threads = [threading.Thread(target=read) for _ in range(8)]
            for thread in threads:
                thread.start()
            for _ in range(15):
                time.sleep(0.2)
                workers = service.worker_pids()
                os.kill(workers[0], signal.SIGKILL)
            stop.set()
            for thread in threads:
                thread.join()
            self.assertLessEqual(sum(status != 200 for status in statuses), 2)

    def test_one_id_is_created_once(self):
        with self.service() as service:
            rounds, clients = 20, 32
            statuses = [[] for _ in range(rounds)]
            barrier = threading.Barrier(clients)

            def create(number):
                client = service.client()
                for attempt in range(rounds):
                    barrier.wait()
                    answer = client.request("POST", "/integrations",
                                            integration(f"i{attempt}", name=str(number)))
                    statuses[attempt].append(answer.status)
                client.close()

            join(*in_threads(clients, create))
            for attempt in statuses:
                self.assertEqual(sorted(attempt), [201] + [400] * (clients - 1))
            self.assertEqual([item["id"] for item in service.request("GET", "/integrations").json],
                             [f"i{attempt}" for attempt in range(rounds)])

    def test_killed_workers_lose_only_what_they_held(self):
        clients = 64
        with self.service() as service:
            outcomes = Outcomes()
            acknowledged = [0] * clients
            sent = [0] * clients
            stop = threading.Event()
            for number in range(clients):
                service.request("POST", "/integrations",
                                integration(f"i{number}", settings={"n": 0}))

            def hammer(number):
                client = service.client()
                path = f"/integrations/i{number}"
                while not stop.is_set():
                    if random.random() < 0.3:
                        sent[number] += 1
                        answer = client.request("PUT", path, integration(
                            f"i{number}", settings={"n": sent[number]}))
                        if answer.status == 200:
                            acknowledged[number] = sent[number]
                    else:
                        answer = client.request("GET", path)
                        if answer.status == 200:
                            seen = answer.json["settings"]["n"]
                            if not acknowledged[number] <= seen <= sent[number]:
                                raise AssertionError(
                                    f"{acknowledged[number]} <= {seen} <= {sent[number]}")
                    outcomes.add(answer.status, (200, 502), path)
                client.close()

            threads, failures = in_threads(clients, hammer)
            last = {}
            kills = 0
            deadline = time.monotonic() + LOAD_SECONDS
            while time.monotonic() < deadline:
                time.sleep(1)
                victims = service.worker_pids()
                os.kill(random.choice(victims), signal.SIGKILL)
                kills += 1
                samples = service.metrics()
                for name, value in samples.items():
                    if re.search(r"_(total|count|sum|bucket)\b", name):
                        self.assertGreaterEqual(value, last.get(name, 0), name)
                        last[name] = value
            stop.set()
            join(threads, failures)
            self.assertEqual(outcomes.unexpected, [])
            # A killed worker held one request a thread, and those queued behind: at most a client's.
            self.assertLessEqual(outcomes[502], kills * clients)
            self.assertGreaterEqual(outcomes[200], clients)
            for number in range(clients):
                n = service.request("GET", f"/integrations/i{number}").json["settings"]["n"]
                self.assertTrue(acknowledged[number] <= n <= sent[number],
                                (acknowledged[number], n, sent[number]))
            self.assertEqual(len(service.request("GET", "/integrations").json), clients)
            wait_for("all workers", lambda: len(service.worker_pids()) == 2)

    def replace_workers(self, service, replace, count=2):
        """Does so, and waits for that many new workers."""
        before = set(service.worker_pids())
        replace()
        wait_for("new workers", lambda: len(set(service.worker_pids()) - before) >= count)

    def reload(self, service):
        self.replace_workers(service, lambda: service.process.send_signal(signal.SIGHUP))

    def upgrade(self, service):
        """Puts another file in the program's place, and goes on as that one."""
        install(service.program)
        self.replace_workers(service, lambda: service.process.send_signal(signal.SIGUSR2))
        followers = [service.follower_pid()] if "DATABASE_URL" in service.environment else []
        for pid in [service.process.pid, *service.worker_pids()[-2:], *followers]:
            self.assertTrue(os.path.samefile(f"/proc/{pid}/exe", service.program))

    def reload_nginx(self, service):
        nginx = service.nginx_pid()
        before = set(service.children(nginx))
        os.kill(nginx, signal.SIGHUP)
        wait_for("nginx's new workers", lambda: set(service.children(nginx)) - before)

    def lose_a_worker(self, service):
        self.replace_workers(service,
                             lambda: os.kill(service.worker_pids()[-1], signal.SIGTERM), 1)

    def test_a_reload_fails_no_request(self):
        self.change_under_load([self.reload] * 10)

    def test_a_worker_that_stops_by_itself_fails_no_request(self):
        self.change_under_load([self.lose_a_worker] * 10)

    def test_twenty_restarts_of_all_kinds_fail_no_request(self):
        # A kept connection that is idle is closed when nginx reloads, perhaps as the client uses it
        # again: HTTP leaves that to the client (RFC 9112, 9.3.1).
        self.change_under_load([self.reload, self.upgrade, self.reload_nginx, self.upgrade] * 5,
                               {"Connection": "close"})

    def change_under_load(self, changes, headers=None):
        """Makes one change of a service after the other; no request of its clients fails."""
        with tempfile.TemporaryDirectory() as directory, \
                self.service(program=shutil.copy(PROGRAM, directory)) as service:
            clients = 32
            outcomes = Outcomes()
            stop = threading.Event()

            def hammer(number):
                client = service.client()
                turn = 0
                while not stop.is_set():
                    turn += 1
                    identity = f"{number}-{turn}"
                    answer = client.request("POST", "/integrations", integration(identity),
                                            headers)
                    outcomes.add(answer.status, (201,), identity)
                    answer = client.request("PUT", "/integrations/" + identity,
                                            integration(identity), headers)
                    outcomes.add(answer.status, (200,), identity)
                    for path in ["/integrations/" + identity] * 4 + ["/readiness"]:
                        answer = client.request("GET", path, None, headers)
                        outcomes.add(answer.status, (200,), path)
                    answer = client.request("DELETE", "/integrations/" + identity, None, headers)
                    outcomes.add(answer.status, (204,), identity)
                client.close()

            threads, failures = in_threads(clients, hammer)
            try:
                for change in changes:
                    change(service)
                    changed = outcomes.count()
                    wait_for("requests after the change",
                             lambda: failures or outcomes.count() >= changed + 10 * clients)
            finally:
                stop.set()
                join(threads, failures)
            self.assertEqual(outcomes.unexpected, [])
            wait_for("the old workers to end", lambda: len(service.worker_pids()) == 2, 30)
            self.assertEqual(service.request("GET", "/integrations").json, [])

    def stop_under_load(self, service, stop):
        """Stops while clients write; returns what was answered, and what the workers say they
        answered."""
        answered = Outcomes()

        def hammer(number):
            client = service.client()
            count = 0
            try:
                while True:
                    count += 1
                    answer = client.request("POST", "/integrations",
                                            integration(f"{number}-{count}"))
                    if answer.status == 502:
                        return
                    answered.add(answer.status, (201,))
            except (http.client.RemoteDisconnected, ConnectionError):
                return  # closed between two requests; half an answer would be another error
            finally:
                client.close()

        threads, failures = in_threads(32, hammer)
        time.sleep(1)
        started = time.monotonic()
        stop()
        took = time.monotonic() - started
        join(threads, failures)
        worked = [line for line in service.log("request") if line["method"] == "POST"]
        return answered, worked, took

    def test_stopping_answers_what_was_handed_over(self):
        with self.service(DRAIN_TIMEOUT="20") as service:
            answered, worked, took = self.stop_under_load(service, service.stop)
            self.assertEqual(answered.unexpected, [])
            self.assertEqual(answered[201], len(worked))
            self.assertGreater(len(worked), 10)
            self.assertLess(took, 20 * PATIENCE)
            service.start()
            self.assertEqual(len(service.request("GET", "/integrations").json), answered[201])

    def test_stopping_behind_an_nginx_that_stays(self):
        with self.service(DRAIN_TIMEOUT="20") as service:
            service.stop()
            directory = os.path.join(service.state_dir, "nginx")
            nginx = subprocess.Popen(
                ["nginx", "-e", "stderr", "-p", directory, "-c", directory + "/nginx.conf"],
                env={"PATH": os.environ["PATH"] + ":/usr/sbin"}, stderr=subprocess.DEVNULL)
            try:
                service.nginx = False
                service.start()
                wait_for("nginx", lambda: answers(service.port, "/health"))
                answered, worked, took = self.stop_under_load(service, service.stop)
                self.assertEqual(answered.unexpected, [])
                self.assertEqual(answered[201], len(worked))
                self.assertGreater(len(worked), 10)
                answer = service.request("GET", "/health")
                self.assertEqual((answer.status, answer.json),
                                 (502, {"detail": "The service is not reachable"}))
                self.assertEqual(answer.headers["Retry-After"], "1")
                service.start()
                self.assertEqual(len(service.request("GET", "/integrations").json), answered[201])
            finally:
                nginx.terminate()
                nginx.wait()

    def test_nobody_waits_among_many_clients(self):
        with self.service(LOG_LEVEL="warning") as service:
            service.request("POST", "/integrations", integration("one"))
            answered, (connect, read, write, late), bad = wrk(service, 128,
                                                              timeout=f"{PATIENCE:g}s")
            self.assertEqual((connect, read, write, late, bad), (0, 0, 0, 0, 0))
            self.assertGreaterEqual(answered, 128)

    def test_512_clients_get_no_502(self):
        with self.service(LOG_LEVEL="warning") as service:
            service.request("POST", "/integrations", integration("one"))
            answered, (connect, read, write, _), bad = wrk(service, 512, timeout="10s")
            self.assertEqual((connect, read, write, bad), (0, 0, 0, 0))
            self.assertGreaterEqual(answered, 512)

    def test_reads_do_not_wait_for_writes(self):
        with self.service(WORKERS="1", THREADS="1", DB_TIMEOUT="25") as service:
            service.request("POST", "/integrations", integration("one"))
            path, = glob.glob(os.path.join(service.state_dir, "*", "turn"))
            written = threading.Event()

            def write(_):
                answer = Client(service.port, 120).request("PUT", "/integrations/one",
                                                           integration("one", name="2"))
                if answer.status == 200:
                    written.set()

            with open(path, "r+b") as turn:
                # The one handler waits for the turn to write …
                fcntl.lockf(turn, fcntl.LOCK_EX, 1, 0)
                threads, failures = in_threads(1, write)
                time.sleep(0.5)
                # … and reads do not.
                client = service.client()
                for _ in range(200):
                    self.assertEqual(client.request("GET", "/integrations/one").json["name"], "name")
                    self.assertEqual(len(client.request("GET", "/integrations").json), 1)
                    self.assertEqual(client.request("GET", "/metrics").status, 200)
                self.assertFalse(written.is_set())
            join(threads, failures)
            self.assertTrue(written.is_set())
            self.assertEqual(client.request("GET", "/integrations/one").json["name"], "2")
            client.close()


if __name__ == "__main__":
    unittest.main()
