# SPDX-License-Identifier: MIT
"""Requests that wait for a commit without a thread, in a program with an endpoint of these tests'
own (tests/support/waiting_table.c), behind the real nginx."""

import os
import signal
import socket
import threading
import time
import unittest

from postgres import Postgres
from service import PROGRAM, Service, integration, wait_for

WAITING = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "waiting-service")


class Waiter:
    """A client whose request waits, in a thread of the test's."""

    def __init__(self, service, after, ms):
        self.answer = None
        self.failure = None
        self.client = service.client()
        self.seconds = None
        self.thread = threading.Thread(target=self.wait, args=(f"/wait?after={after}&ms={ms}",))
        self.thread.start()

    def wait(self, path):
        began = time.monotonic()
        try:
            self.answer = self.client.request("GET", path)
        except OSError as failure:
            self.failure = failure
        self.seconds = time.monotonic() - began

    def join(self):
        self.thread.join(60)
        self.client.close()
        if self.failure is not None:
            raise self.failure
        return self.answer


def put(service, identity="a"):
    answer = service.request("PUT", f"/integrations/{identity}", integration(identity))
    if answer.status == 404:
        answer = service.request("POST", "/integrations", integration(identity))
    assert answer.status in (200, 201), answer
    return int(answer.headers["ETag"].strip('"').split("-")[0])


def in_flight(service):
    """Requests that are being answered; the parked ones are not."""
    return service.metrics()["http_requests_in_flight"]


def threads_and_cpu(pids):
    count = 0
    ticks = 0
    for pid in pids:
        count += len(os.listdir(f"/proc/{pid}/task"))
        with open(f"/proc/{pid}/stat") as file:
            ticks += sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:13])
    return count, ticks / os.sysconf("SC_CLK_TCK")


class Parking(unittest.TestCase):
    def check_a_commit_wakes(self, service, other):
        """`other`: a service whose change is to wake the first one's waiters."""
        revision = put(other)
        waiters = [Waiter(service, revision, 20000) for _ in range(8)]
        time.sleep(0.3)
        self.assertTrue(all(waiter.answer is None for waiter in waiters))
        changed = time.monotonic()
        put(other)
        for waiter in waiters:
            self.assertEqual(waiter.join().json, {"revision": revision + 1})
        return time.monotonic() - changed

    def test_a_commit_of_any_worker_wakes_all(self):
        with Service(program=WAITING, WORKERS="3") as service:
            for _ in range(5):
                self.assertLess(self.check_a_commit_wakes(service, service), 5)

    def test_what_is_there_already_is_not_waited_for(self):
        with Service(program=WAITING) as service:
            revision = put(service)
            began = time.monotonic()
            answer = service.request("GET", f"/wait?after={revision - 1}&ms=20000")
            self.assertEqual(answer.json, {"revision": revision})
            self.assertLess(time.monotonic() - began, 10)

    def test_the_time_ends_the_wait(self):
        with Service(program=WAITING) as service:
            revision = put(service)
            waiters = [Waiter(service, revision, ms) for ms in (900, 100, 500)]
            for waiter in waiters:
                self.assertEqual(waiter.join().json, {"revision": revision})
            self.assertLess(waiters[1].seconds, waiters[0].seconds)
            self.assertGreater(waiters[0].seconds, 0.85)

    def test_a_drain_ends_the_wait_in_good_order(self):
        for by in signal.SIGHUP, signal.SIGTERM:
            with Service(program=WAITING) as service:
                revision = put(service)
                waiters = [Waiter(service, revision, 60000) for _ in range(8)]
                time.sleep(0.3)
                old = service.worker_pids()
                if by == signal.SIGHUP:
                    service.process.send_signal(by)
                    wait_for("the old workers to end",
                             lambda: not set(old) & set(service.worker_pids()))
                else:
                    service.stop()
                for waiter in waiters:
                    self.assertEqual(waiter.join().json, {"revision": revision})

    def test_waiting_holds_no_thread_and_costs_nothing(self):
        with Service(program=WAITING, WORKERS="1", THREADS="1") as service:
            revision = put(service)
            service.request("GET", f"/wait?after={revision}&ms=1")  # the watching thread has begun
            workers = service.worker_pids()
            before, _ = threads_and_cpu(workers)
            waiters = [Waiter(service, revision, 60000) for _ in range(100)]
            time.sleep(0.5)
            after, cpu = threads_and_cpu(workers)
            self.assertEqual(before, after)
            time.sleep(2)
            self.assertLess(threads_and_cpu(workers)[1] - cpu, 0.05)
            # Others are answered beside them, though there is one thread for each kind of work.
            self.assertEqual(service.request("GET", "/integrations").status, 200)
            self.assertEqual(service.request("GET", "/integrations/a").status, 200)
            put(service)
            for waiter in waiters:
                self.assertEqual(waiter.join().json, {"revision": revision + 1})

    def test_a_client_that_goes_is_forgotten(self):
        with Service(program=WAITING, WORKERS="1") as service:
            revision = put(service)
            worker = service.worker_pids()[0]
            descriptors = len(os.listdir(f"/proc/{worker}/fd"))
            sockets = []
            for _ in range(20):
                client = socket.create_connection(("127.0.0.1", service.port))
                client.sendall(f"GET /wait?after={revision}&ms=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
                               .encode())
                sockets.append(client)
            wait_for("the requests to be parked",
                     lambda: len(os.listdir(f"/proc/{worker}/fd")) >= descriptors + 15)
            for client in sockets:
                client.close()
            wait_for("their connections to be closed",
                     lambda: len(os.listdir(f"/proc/{worker}/fd")) < descriptors + 5)
            put(service)
            self.assertEqual(service.request("GET", "/integrations/a").status, 200)

    def test_a_killed_worker_takes_only_its_own(self):
        with Service(program=WAITING, WORKERS="2") as service:
            revision = put(service)
            waiters = [Waiter(service, revision, 60000) for _ in range(16)]
            time.sleep(0.5)
            victim = service.worker_pids()[0]
            os.kill(victim, signal.SIGKILL)
            wait_for("another worker", lambda: victim not in service.worker_pids() and
                     len(service.worker_pids()) == 2)
            time.sleep(0.5)
            put(service)
            # nginx asks the other worker for a GET that it has lost.
            for waiter in waiters:
                self.assertIn(waiter.join().status, (200, 502))

    def test_a_change_on_another_host_wakes_through_the_replica(self):
        with Postgres() as postgres:
            url = postgres.url
            with Service(program=WAITING, DATABASE_URL=url) as one, \
                    Service(program=WAITING, DATABASE_URL=url) as two:
                for _ in range(3):
                    self.assertLess(self.check_a_commit_wakes(one, two), 5)


if __name__ == "__main__":
    unittest.main()
