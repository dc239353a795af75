# SPDX-License-Identifier: MIT
"""What comes straight to the FastCGI socket: whole, in parts, cut off, and hostile."""

import json
import os
import select
import signal
import struct
import time
import unittest

import fastcgi
from service import PATIENCE, Service, integration, wait_for


def post(identity, **others):
    body = json.dumps(integration(identity)).encode()
    return dict(method="POST", target="/integrations", body=body,
                CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(body)), **others)


class FastCgi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service(REQUEST_TIMEOUT="2")
        cls.service.start()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None)

    def connect(self):
        connection = fastcgi.Connection(self.service.socket, timeout=20 * PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def status_of(self, identity):
        return self.service.request("GET", f"/integrations/{identity}").status

    def test_many_requests_on_one_connection(self):
        connection = self.connect()
        for i in range(50):
            connection.send(fastcgi.request(**post(f"many{i}")))
            self.assertEqual(connection.answer()[0], 201)
            connection.send(fastcgi.request(target=f"/integrations/many{i}"))
            self.assertEqual(connection.answer()[0], 200)

    def test_a_connection_that_is_not_kept(self):
        connection = self.connect()
        connection.send(fastcgi.request(keep=False))
        self.assertEqual(connection.answer()[0], 200)
        self.assertTrue(connection.is_closed())

    def test_a_request_that_comes_in_many_pieces(self):
        connection = self.connect()
        whole = fastcgi.request(**post("dribble"))
        for at in range(0, len(whole), 3):
            connection.send(whole[at:at + 3])
            time.sleep(0.001)
        self.assertEqual(connection.answer()[0], 201)
        connection.send(fastcgi.request())
        self.assertEqual(connection.answer()[0], 200)

    def test_padded_and_small_records(self):
        parts = fastcgi.params(**{k: v for k, v in post("padded").items() if k != "body"})
        body = post("padded")["body"]
        connection = self.connect()
        connection.send(fastcgi.begin() + parts +
                        b"".join(fastcgi.record(fastcgi.STDIN, body[i:i + 1], padding=7)
                                 for i in range(len(body))) + fastcgi.record(fastcgi.STDIN))
        self.assertEqual(connection.answer()[0], 201)

    def test_a_body_of_all_sizes(self):
        connection = self.connect()
        for size in 0, 1, 8000, 8192, 16384, 65000, 66000, 300000, 1048000:
            body = json.dumps(integration("size", settings={"pad": "x" * size})).encode()
            connection.send(fastcgi.request("POST", "/integrations", body))
            self.assertEqual(connection.answer()[0], 201, size)
            connection.send(fastcgi.request("GET", "/integrations/size"))
            status, document = connection.answer()
            self.assertEqual((status, len(json.loads(document)["settings"]["pad"])), (200, size))
            connection.send(fastcgi.request("DELETE", "/integrations/size"))
            self.assertEqual(connection.answer()[0], 204)

    def test_a_body_above_the_limit_is_read_and_refused(self):
        connection = self.connect()
        connection.send(fastcgi.request("POST", "/integrations", b"x" * 5000000))
        self.assertEqual(connection.answer(), (413, b'{"detail":"Request body too large"}'))
        connection.send(fastcgi.request())
        self.assertEqual(connection.answer()[0], 200)

    def test_a_body_with_a_get_harms_nothing(self):
        connection = self.connect()
        for body in b"x", b"x" * 100000:
            connection.send(fastcgi.request("GET", "/health", body))
            self.assertEqual(connection.answer()[0], 200)

    def test_what_is_cut_off_does_nothing(self):
        whole = fastcgi.request(**post("cut"))
        body = json.dumps(integration("cut", settings={"pad": "x" * 200000})).encode()
        long = fastcgi.request("POST", "/integrations", body)
        for data, ends in (whole, range(1, len(whole), 9)), (long, (70000, 150000, len(long) - 8)):
            for end in ends:
                connection = fastcgi.Connection(self.service.socket)
                connection.send(data[:end])
                connection.close()
        time.sleep(0.5)
        self.assertEqual(self.status_of("cut"), 404)

    def test_half_requests_slow_nobody_and_end(self):
        whole = fastcgi.request(**post("half"))
        body = json.dumps(integration("half", settings={"pad": "x" * 200000})).encode()
        long = fastcgi.request("POST", "/integrations", body)
        idle = [self.connect() for _ in range(40)]
        halves = [self.connect() for _ in range(40)]
        for i, connection in enumerate(halves):
            connection.send(whole[:5 + i * 5])
        streaming = [self.connect() for _ in range(2)]
        for connection in streaming:
            connection.send(long[:100000])
        client = self.service.client(timeout=2)
        client.request("POST", "/integrations", integration("beside"))
        for _ in range(500):
            self.assertEqual(client.request("GET", "/integrations/beside").status, 200)
        for _ in range(50):
            self.assertEqual(client.request("PUT", "/integrations/beside",
                                            integration("beside")).status, 200)
        for connection in halves + streaming:
            self.assertTrue(connection.is_closed())
        for connection in idle:
            connection.send(fastcgi.request())
            self.assertEqual(connection.answer()[0], 200)
        client.close()
        self.assertEqual(self.status_of("half"), 404)

    def test_a_reader_that_does_not_read_slows_nobody(self):
        self.service.request("POST", "/integrations",
                             integration("long", settings={"pad": "x" * 1000000}))
        self.service.request("POST", "/integrations", integration("short"))
        lazy = [self.connect() for _ in range(4)]
        for connection in lazy:
            connection.send(fastcgi.request(target="/integrations/long"))
        client = self.service.client(timeout=2)
        for _ in range(200):
            self.assertEqual(client.request("GET", "/integrations/short").status, 200)
        client.close()
        eager = self.connect()
        eager.send(fastcgi.request(target="/integrations/long"))
        status, body = eager.answer()
        self.assertEqual((status, len(body)), (200, 1000000 + len(
            '{"id":"long","name":"name","description":"description","status":false,'
            '"settings":{"pad":""}}')))

    def test_probes_and_scrapes_do_not_wait_behind_lists(self):
        with Service(REQUEST_TIMEOUT="60", WORKERS="1") as service:
            service.request("POST", "/integrations",
                            integration("long", settings={"pad": "x" * 1000000}))
            lazy = [fastcgi.Connection(service.socket) for _ in range(30)]
            for connection in lazy:
                connection.send(fastcgi.request(target="/integrations"))
            wait_for("all threads for lists to be at work", lambda: len(select.select(
                [connection.socket for connection in lazy], [], [], 0)[0]) == 4)
            client = service.client(timeout=5)
            for _ in range(20):
                for path in "/readiness", "/ready", "/metrics", "/health":
                    self.assertEqual(client.request("GET", path).status, 200)
            for connection in [client, *lazy]:
                connection.close()

    def test_what_is_no_request_is_closed(self):
        hostile = [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\0" * 64,
            b"\xFF" * 64,
            fastcgi.record(fastcgi.BEGIN, b"\0\1\1\0\0\0\0\0", version=2),
            fastcgi.begin(role=2),
            fastcgi.begin(role=3),
            fastcgi.begin() + fastcgi.record(fastcgi.ABORT),
            fastcgi.begin() + fastcgi.begin(),
            fastcgi.begin() + fastcgi.record(99, b"x"),
            fastcgi.record(fastcgi.STDIN, b"x"),
            fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, b"x" * 65535) * 2,
        ]
        for data in hostile:
            connection = self.connect()
            try:
                connection.send(data)
            except BrokenPipeError:
                continue  # closed while it was being sent
            self.assertTrue(connection.is_closed(), data[:40])
        self.assertEqual(self.service.request("GET", "/health").status, 200)

    def test_lengths_that_would_abort_libfcgi_cost_no_worker(self):
        workers = set(self.service.worker_pids())
        for lengths in (0x7FFFFFF0, 0x12), (0x7FFFFFFE, 0), (0x40000000, 0x40000000):
            pair = struct.pack("!II", *(length | 1 << 31 for length in lengths)) + b"x"
            for data in (fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, pair) +
                         fastcgi.record(fastcgi.PARAMS) + fastcgi.record(fastcgi.STDIN),
                         fastcgi.record(fastcgi.GET_VALUES, pair, identity=0),
                         fastcgi.record(fastcgi.GET_VALUES, fastcgi.pair("FCGI_MAX_CONNS", "") * 9,
                                        identity=0)):
                connection = self.connect()
                connection.send(data)
                self.assertTrue(connection.is_closed())
        self.assertEqual(self.service.request("GET", "/health").status, 200)
        self.assertEqual(set(self.service.worker_pids()), workers)

    def test_records_in_the_middle_of_a_long_body_are_checked_too(self):
        workers = set(self.service.worker_pids())
        body = json.dumps(integration("middle", settings={"pad": "x" * 300000})).encode()
        head = fastcgi.begin() + fastcgi.params(
            "POST", "/integrations", CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(body)))
        pair = struct.pack("!II", 0x7FFFFFF0 | 1 << 31, 0x12 | 1 << 31) + b"x"
        hostile = [
            fastcgi.record(fastcgi.GET_VALUES, fastcgi.pair("FCGI_MAX_CONNS", "") * 9, identity=0),
            fastcgi.record(fastcgi.GET_VALUES, fastcgi.pair("FCGI_MAX_CONNS", ""), identity=0),
            fastcgi.record(fastcgi.GET_VALUES, b"", identity=0),
            fastcgi.record(fastcgi.GET_VALUES, pair, identity=0),
            fastcgi.record(fastcgi.PARAMS, pair),
            fastcgi.record(fastcgi.PARAMS),
            fastcgi.record(77, b"x" * 60000, identity=0),
            fastcgi.record(fastcgi.ABORT),
            fastcgi.begin(),
            fastcgi.record(fastcgi.STDIN, b"x", identity=2),
            fastcgi.record(fastcgi.STDIN, b"x", version=2),
        ]
        for evil in hostile:
            for before in 17000, 70000, 200000:
                for pause in 0, 0.02:
                    connection = self.connect()
                    connection.send(head + fastcgi.record(fastcgi.STDIN, body[:10]) +
                                    fastcgi.stdin(body[10:before], chunk=8000)[:-8])
                    time.sleep(pause)
                    try:
                        connection.send(evil + fastcgi.stdin(body[before:]))
                    except (BrokenPipeError, ConnectionResetError):
                        continue  # closed while it was being sent
                    self.assertTrue(connection.is_closed(), evil[:20])
        self.assertEqual(self.status_of("middle"), 404)
        self.assertEqual(set(self.service.worker_pids()), workers)
        connection = self.connect()
        connection.send(head + fastcgi.stdin(body, chunk=777))
        self.assertEqual(connection.answer()[0], 201)

    def test_long_bodies_that_come_slowly_hold_no_thread(self):
        body = json.dumps(integration("slow", settings={"pad": "x" * 400000})).encode()
        whole = fastcgi.request("POST", "/integrations", body, CONTENT_TYPE="application/json")
        slow = [self.connect() for _ in range(24)]
        for connection in slow:
            connection.send(whole[:40000])
        began = time.monotonic()
        client = self.service.client(timeout=5)
        client.request("POST", "/integrations", integration("quick"))
        at = 40000
        while time.monotonic() - began < 1.2:  # of the 2 s that a request may take to come
            for connection in slow:
                connection.send(whole[at:at + 600])
            at += 600
            began_change = time.monotonic()
            self.assertEqual(client.request("PUT", "/integrations/quick",
                                            integration("quick")).status, 200)
            self.assertLess(time.monotonic() - began_change, 1 * PATIENCE)
            time.sleep(0.02)
        slow[0].send(whole[at:])
        self.assertEqual(slow[0].answer()[0], 201)
        for connection in slow[1:]:  # something of them comes all the time, and yet their time is over
            end = at
            try:
                while time.monotonic() - began < 8 * PATIENCE:
                    connection.send(whole[end:end + 10])
                    end += 10
                    time.sleep(0.05)
                self.fail("it was not ended")
            except (BrokenPipeError, ConnectionResetError):
                pass
        client.close()

    def test_a_long_body_above_the_limit_keeps_nothing(self):
        connection = self.connect()
        worker = self.service.worker_pids()
        connection.send(fastcgi.begin() + fastcgi.params("POST", "/integrations"))
        for _ in range(1500):
            connection.send(fastcgi.record(fastcgi.STDIN, b"x" * 60000))
        for pid in worker:
            with open(f"/proc/{pid}/status") as status:
                resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
            self.assertLess(resident, 60000 * PATIENCE * PATIENCE)  # kB, of 90 MB that came
        connection.send(fastcgi.record(fastcgi.STDIN))
        self.assertEqual(connection.answer(), (413, b'{"detail":"Request body too large"}'))
        connection.send(fastcgi.request())
        self.assertEqual(connection.answer()[0], 200)

    def test_many_long_requests_at_once_do_not_take_all_memory(self):
        body = b"x" * 1000000
        head = fastcgi.begin() + fastcgi.params("POST", "/integrations")
        half = fastcgi.stdin(body)[:900000]
        connections = []
        for _ in range(200):
            connection = self.connect()
            connections.append(connection)
            try:
                connection.send(head + half)
            except (BrokenPipeError, ConnectionResetError):
                pass  # dropped
        total = 0
        for pid in self.service.worker_pids():
            with open(f"/proc/{pid}/status") as status:
                total += next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        self.assertLess(total, 170000 * PATIENCE * PATIENCE)
        self.assertEqual(self.service.request("GET", "/health").status, 200)

    def test_doubled_parameters_count_once(self):
        connection = self.connect()
        doubled = fastcgi.record(fastcgi.PARAMS, fastcgi.pair("REQUEST_METHOD", "GET") +
                                 fastcgi.pair("REQUEST_URI", "/health") +
                                 fastcgi.pair("REQUEST_URI", "/metrics") +
                                 fastcgi.pair("NOTHING", ""))
        connection.send(fastcgi.begin() + doubled + fastcgi.record(fastcgi.PARAMS) +
                        fastcgi.stdin())
        status, body = connection.answer()
        self.assertEqual((status, json.loads(body)["status"]), (200, "ok"))


class Draining(unittest.TestCase):
    def test_a_draining_worker_says_so_and_answers(self):
        with Service(nginx=False, WORKERS="1", DRAIN_TIMEOUT="30") as service:
            connections = [fastcgi.Connection(service.socket) for _ in range(3)]
            for connection in connections:
                connection.send(fastcgi.request())
                self.assertEqual(connection.answer()[0], 200)
            service.process.send_signal(signal.SIGTERM)
            wait_for("it to listen no more", lambda: not os.path.exists(service.socket))
            wait_for("it to drain", lambda: service.log("ending"))
            time.sleep(0.2 * PATIENCE)
            for connection, (target, status, body) in zip(connections, [
                    ("/readiness", 503, b'{"detail":"not ready"}'),
                    ("/ready", 503, b'{"detail":"not ready"}'),
                    ("/health", 200, b'{"status":"ok","app":"integration-service"}')]):
                connection.send(fastcgi.request(target=target))
                self.assertEqual(connection.answer(), (status, body))
                connection.receive(8)  # what keeps nginx from using the connection again
                self.assertTrue(connection.is_closed())
            self.assertEqual(service.process.wait(30 * PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
