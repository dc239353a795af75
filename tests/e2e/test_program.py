# SPDX-License-Identifier: MIT
"""The program as its operator meets it: start, faults at the start, signals, restarts."""

import ctypes
import datetime
import fcntl
import http.client
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import threading
import time
import unittest

from service import PATIENCE, PROGRAM, Service, free_port, integration, name_of, wait_for

# For a namespace of process numbers: LeakSanitizer looks its process up in a /proc of another one.
WITHOUT_LEAKS = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def run(*arguments, **environment):
    environment.setdefault("PATH", os.environ["PATH"])
    return subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True,
                          timeout=60 * PATIENCE)


class CommandLine(unittest.TestCase):
    def test_help_and_version(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("| `STATE_DIR` |", result.stdout)
        self.assertRegex(run("--version").stdout, r"^integration-service \d+\.\d+\.\d+\n$")

    def test_unknown_words_show_the_usage(self):
        for words in [], ["serv"], ["serve", "--with-apache"], ["--version", "x"], ["check-config", "x"]:
            result = run(*words)
            self.assertEqual(result.returncode, 2, words)
            self.assertIn("usage: integration-service", result.stderr)

    def test_check_config_prints_what_it_would_use(self):
        result = run("check-config", PORT="9000", APP_NAME="x y")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("PORT=9000\n", result.stdout)
        self.assertIn("APP_NAME=x y\n", result.stdout)

    def test_check_config_names_each_fault_in_a_line(self):
        result = run("check-config", PORT="0", LOG_LEVEL="loud",
                     DATABASE_URL="mysql://u:planted-secret@h/d")
        self.assertEqual(result.returncode, 1)
        lines = result.stderr.splitlines()
        self.assertEqual([line.split(":")[0] for line in lines],
                         ["PORT", "LOG_LEVEL", "DATABASE_URL"])
        self.assertNotIn("planted-secret", result.stdout + result.stderr)

    def test_serve_refuses_a_wrong_value(self):
        result = run("serve", WORKERS="many")
        self.assertEqual(result.returncode, 1)
        self.assertTrue(result.stderr.startswith('WORKERS: "many" is not one of: 0 to 64'))


class FaultsAtTheStart(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="integration-service-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def refused(self, *words, **environment):
        environment.setdefault("STATE_DIR", os.path.join(self.directory, "state"))
        result = run("serve", *words, **environment)
        self.assertEqual(result.returncode, 1, result)
        return result.stderr

    def test_a_second_service_on_the_state_directory(self):
        with Service(nginx=False) as service:
            error = self.refused(STATE_DIR=service.state_dir)
            self.assertIn(f"another integration-service (process {service.process.pid})", error)
            self.assertIn("STATE_DIR", error)

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            error = self.refused("--with-nginx", PORT=str(taken.getsockname()[1]))
        self.assertIn("PORT: another program listens on 127.0.0.1:", error)

    def test_a_host_that_is_not_here(self):
        self.assertIn("HOST", self.refused("--with-nginx", ALLOW_ANONYMOUS="on", HOST="203.0.113.1",
                                           PORT=str(free_port())))
        self.assertIn("HOST", self.refused("--with-nginx", HOST="a b", PORT=str(free_port())))

    def test_a_state_directory_that_cannot_be(self):
        self.assertIn("STATE_DIR", self.refused(STATE_DIR=os.path.join(self.directory, "a/b")))
        path = os.path.join(self.directory, "file")
        with open(path, "w"):
            pass
        self.assertIn("STATE_DIR", self.refused(STATE_DIR=path))
        self.assertIn("STATE_DIR", self.refused(STATE_DIR="/proc/self"))

    def test_a_socket_path_that_is_too_long(self):
        path = os.path.join(self.directory, "x" * 120)
        self.assertIn("107 bytes", self.refused(STATE_DIR=path))

    def test_addresses_that_are_none(self):
        for listen in "here", "unix", "127.0.0.1:x", ":9000", "10.0.0.1", "[::1:9000", "unix:", \
                "127.0.0.1:0":
            self.assertIn("LISTEN", self.refused(LISTEN=listen))
        self.assertIn("only loopback", self.refused(LISTEN="0.0.0.0:9000"))

    def test_a_file_in_the_socket_s_place(self):
        path = os.path.join(self.directory, "file")
        with open(path, "w") as file:
            file.write("precious")
        self.assertIn("no socket", self.refused(LISTEN=f"unix:{path}"))
        with open(path) as file:
            self.assertEqual(file.read(), "precious")

    def test_a_socket_that_another_program_listens_on(self):
        path = os.path.join(self.directory, "socket")
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(path)
            taken.listen()
            self.assertIn("another program listens", self.refused(LISTEN=f"unix:{path}"))

    def test_a_store_that_is_none(self):
        store = os.path.join(self.directory, "state", "store")
        os.makedirs(store)
        with open(os.path.join(store, "data.mdb"), "wb") as file:
            file.write(b"Z" * 16384)
        started = time.monotonic()
        error = self.refused()
        self.assertIn("not an LMDB file", error)
        self.assertIn(store, error)
        self.assertLess(time.monotonic() - started, 10 * PATIENCE)

    def test_a_disk_that_is_full(self):
        # A file size limit is a full disk to the program: the write fails.
        result = subprocess.run(["sh", "-c", f"ulimit -f 4; exec {PROGRAM} serve"],
                                env={"PATH": os.environ["PATH"],
                                     "STATE_DIR": os.path.join(self.directory, "state")},
                                capture_output=True, text=True, timeout=60 * PATIENCE)
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("cannot open the metrics file", result.stderr)


class Lifetime(unittest.TestCase):
    def probe(self, service, *words):
        result = run("probe", *words, STATE_DIR=service.state_dir, READINESS_TIMEOUT="2",
                     LISTEN=service.environment.get("LISTEN", ""))
        return result.returncode, result.stderr

    def test_a_load_balancer_notices_before_the_end(self):
        with Service(PRE_DRAIN_DELAY="2") as service:
            self.assertEqual(self.probe(service), (0, ""))
            self.assertEqual(self.probe(service, "--ready"), (0, ""))
            service.process.send_signal(signal.SIGTERM)
            wait_for("readiness to end", lambda: service.request("GET", "/readiness").status == 503)
            started = time.monotonic()
            self.assertEqual(service.request("GET", "/readiness").json, {"detail": "not ready"})
            self.assertEqual(self.probe(service, "--ready"),
                             (1, 'integration-service: probe: answered {"detail":"not ready"}\n'))
            self.assertEqual(self.probe(service), (0, ""))
            answer = service.request("POST", "/integrations", integration("late"))
            self.assertEqual(answer.status, 201)
            self.assertEqual(service.process.wait(30 * PATIENCE), 0)
            self.assertGreater(time.monotonic() - started, 1)
            status, error = self.probe(service)
            self.assertEqual(status, 1)
            self.assertIn("cannot connect to unix:", error)

    def test_a_probe_of_what_does_not_answer(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as silent:
            silent.bind(os.path.join(directory, "silent"))
            silent.listen()
            address = "unix:" + os.path.join(directory, "silent")
            result = run("probe", LISTEN=address, READINESS_TIMEOUT="0.1")
            self.assertEqual(result.returncode, 1)
            self.assertIn("no answer from the service in time", result.stderr)

    def test_a_new_program_that_does_not_run_changes_nothing(self):
        with tempfile.TemporaryDirectory() as directory, \
                Service(program=shutil.copy(PROGRAM, directory)) as service:
            workers = service.worker_pids()
            refusals = 0
            # Its check-config is no promise that it serves, and many a program says yes to everything.
            later = f'#!/bin/sh\n[ "$1" = serve ] || exec "{os.path.abspath(PROGRAM)}" "$@"\nexit '
            for content in "no program", "#!/bin/sh\nexit 1\n", None, "#!/bin/sh\n", \
                    "#!/bin/sh\necho ready\n", later + "1\n", later + "0\n", \
                    f'#!/bin/sh\nWORKERS=x exec "{os.path.abspath(PROGRAM)}" "$@"\n':
                if os.path.exists(service.program):
                    os.unlink(service.program)
                if content is not None:
                    with open(service.program, "w") as file:
                        file.write(content)
                    os.chmod(service.program, 0o755)
                service.process.send_signal(signal.SIGUSR2)
                refusals += 1
                wait_for("the refusal", lambda: len([
                    line for line in service.log() if line["msg"].startswith("cannot upgrade")
                ]) == refusals)
                self.assertEqual(service.request("GET", "/readiness").status, 200)
                self.assertEqual(service.worker_pids(), workers)
            self.assertIn("WORKERS", service.stderr())
            client = service.client()
            self.assertEqual(client.request("POST", "/integrations", integration("x")).status, 201)
            client.close()

    def test_what_an_upgrade_leaves_is_for_its_own_process(self):
        # A variable that another process inherited is not believed.
        for name in "pid", "rehearsal":
            with Service(INTEGRATION_SERVICE_TAKEOVER=f"{name}=1 listen=0 lock=0 worker=1") as service:
                self.assertEqual(service.request("GET", "/health").status, 200)
                self.assertEqual(len(service.worker_pids()), 2)

    def test_a_restart_keeps_everything(self):
        with Service(nginx=True) as service:
            for identity in "b", "a", "c":
                service.request("POST", "/integrations", integration(identity, settings={"n": 1e2}))
            service.request("DELETE", "/integrations/a")
            before = service.request("GET", "/integrations").body
            count = service.metrics()[
                'http_requests_total{method="POST",endpoint="/integrations",http_status="201"}']
            service.stop()
            service.start()
            self.assertEqual(service.request("GET", "/integrations").body, before)
            self.assertEqual(service.metrics()[
                'http_requests_total{method="POST",endpoint="/integrations",http_status="201"}'],
                count)
            service.stop(signal.SIGINT)

    def test_everything_ends_with_the_supervisor(self):
        with Service() as service:
            processes = service.worker_pids()
            nginx = [pid for pid in children(service.process.pid) if "nginx" in name_of(pid)]
            self.assertEqual((len(processes), len(nginx)), (2, 1))
            service.process.kill()
            service.process.wait()
            wait_for("workers and nginx to end", lambda: not any(
                os.path.exists(f"/proc/{pid}") for pid in processes + nginx))
            service.start()  # the stale socket and lock are no hindrance
            self.assertEqual(service.request("GET", "/health").status, 200)

    def test_a_killed_nginx_leaves_nothing_behind(self):
        with Service(expect_exit=1) as service:
            nginx = [pid for pid in children(service.process.pid) if "nginx" in name_of(pid)]
            os.kill(nginx[0], signal.SIGKILL)
            self.assertEqual(service.process.wait(30 * PATIENCE), 1)
            service.expect_exit = 0
            service.start()  # its workers do not keep the port
            self.assertEqual(service.request("GET", "/health").status, 200)

    def test_two_signals_at_once_are_one(self):
        with Service() as service:
            service.process.send_signal(signal.SIGTERM)
            service.process.send_signal(signal.SIGTERM)
            self.assertEqual(service.process.wait(30 * PATIENCE), 0)

    def test_a_killed_worker_is_replaced_at_once(self):
        with Service(nginx=True) as service:
            for _ in range(5):
                self.assertEqual(service.request("GET", "/integrations").status, 200)
                victim = service.worker_pids()[0]
                os.kill(victim, signal.SIGKILL)
                wait_for("a new worker", lambda: len(service.worker_pids()) == 2 and
                         victim not in service.worker_pids())
            deaths = service.log("worker ended")
            self.assertEqual({(line["reason"], line["code"]) for line in deaths}, {("signal", 9)})

    def test_a_frozen_writer_makes_nobody_wait_for_long(self):
        with Service(DB_TIMEOUT="1") as service:
            self.assertEqual(service.request("POST", "/integrations", integration("a")).status, 201)
            with open(os.path.join(service.state_dir, "store", "turn"), "r+b") as turn:
                fcntl.lockf(turn, fcntl.LOCK_EX, 1, 0)  # as a process frozen in the middle of a change
                began = time.monotonic()
                for method, path in (("DELETE", "/integrations/a"), ("POST", "/integrations")):
                    answer = service.request(method, path, integration("b"))
                    self.assertEqual((answer.status, answer.json), (503, {"detail": "db not ready"}))
                    self.assertIn("Retry-After", answer.headers)
                self.assertLess(time.monotonic() - began, 4 * PATIENCE)
                self.assertEqual(service.request("GET", "/readiness").status, 503)
                self.assertEqual(service.request("GET", "/health").status, 200)
                self.assertEqual(service.request("GET", "/integrations/a").status, 200)
            self.assertEqual(service.request("GET", "/readiness").status, 200)
            time.sleep(1)  # what was refused does not happen later
            self.assertEqual([item["id"] for item in service.request("GET", "/integrations").json],
                             ["a"])
            self.assertEqual(service.request("DELETE", "/integrations/a").status, 204)
            waited = service.log("the turn to change the store did not come in time")
            self.assertEqual(len(waited), 2)
            self.assertIn(waited[0]["last_holder"], service.worker_pids())

    def test_a_change_whose_sender_has_gone_is_not_made(self):
        """It waited in the socket's queue, or for the turn, while the service was stopped."""
        with Service(DB_TIMEOUT="1") as service:
            service.request("POST", "/integrations", integration("a"))
            everything = [service.process.pid, *service.worker_pids()]
            for pid in everything:
                os.kill(pid, signal.SIGSTOP)
            for method, path, body in ("DELETE", "/integrations/a", None), \
                    ("PUT", "/integrations/a", integration("a", name="late")), \
                    ("POST", "/integrations", integration("late")):
                client = service.client(timeout=0.5)
                with self.assertRaises(TimeoutError):
                    client.request(method, path, body)
                client.close()
            time.sleep(0.5)
            for pid in everything:
                os.kill(pid, signal.SIGCONT)
            wait_for("them to be dropped",
                     lambda: len(service.log("a change was dropped: its sender has gone")) == 3)
            with open(os.path.join(service.state_dir, "store", "turn"), "r+b") as turn:
                fcntl.lockf(turn, fcntl.LOCK_EX, 1, 0)
                waiting = threading.Thread(target=lambda: answers.append(
                    service.request("DELETE", "/integrations/a").status))
                answers = []
                waiting.start()
                time.sleep(0.3 * PATIENCE)
                for pid in service.worker_pids():
                    os.kill(pid, signal.SIGSTOP)
            time.sleep(1.2)
            for pid in service.worker_pids():
                os.kill(pid, signal.SIGCONT)
            waiting.join()
            self.assertEqual(answers, [503])
            self.assertEqual([(item["id"], item["name"]) for item in service.request(
                "GET", "/integrations").json], [("a", "name")])

    def test_a_stopped_worker_is_replaced(self):
        with Service() as service:
            stopped, resumed = service.worker_pids()
            os.kill(resumed, signal.SIGSTOP)
            time.sleep(1)
            os.kill(resumed, signal.SIGCONT)
            os.kill(stopped, signal.SIGSTOP)
            began = time.monotonic()
            killed = wait_for("the end of the stopped worker", lambda: service.log("worker ended"))
            self.assertGreater(time.monotonic() - began, 9)
            self.assertEqual([(line["worker"], line["code"]) for line in killed],
                             [(stopped, signal.SIGKILL)])
            wait_for("a new worker", lambda: len(service.worker_pids()) == 2)
            self.assertIn(resumed, service.worker_pids())
            self.assertEqual(service.request("GET", "/integrations").status, 200)

    def test_an_export_that_nobody_reads_holds_nothing(self):
        with Service(HISTORY_VERSIONS="0") as service:
            for n in range(20):
                service.request("POST", "/integrations",
                                integration(f"i{n}", settings={"pad": "x" * 100000}))
            export = subprocess.Popen([PROGRAM, "export"], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE,
                                      env={"PATH": os.environ["PATH"], "STATE_DIR": service.state_dir})
            export.stdout.read(1)  # it is writing
            time.sleep(1.1)
            for _ in range(2):
                service.request("PUT", "/integrations/i0", integration("i0"))
                time.sleep(1.1)
            self.assertEqual(service.metrics()["integration_store_oldest_reader_seconds"], 0)
            before = service.metrics()["integration_store_used_bytes"]
            for n in range(20):
                service.request("PUT", "/integrations/i1",
                                integration("i1", settings={"pad": "x" * 100000, "n": n}))
            after = service.metrics()["integration_store_used_bytes"]
            self.assertLess(after - before, 600000)
            out, err = export.communicate(timeout=60 * PATIENCE)
            self.assertEqual((export.returncode, err, len(out.splitlines())),
                             (0, b"exported 20 integrations\n", 21))

    def test_a_redirected_export_is_for_its_owner_alone(self):
        with Service() as service:
            path = os.path.join(service.directory, "export")
            with open(path, "wb") as file:
                subprocess.run([PROGRAM, "export"], stdout=file, stderr=subprocess.DEVNULL, check=True,
                               env={"PATH": os.environ["PATH"], "STATE_DIR": service.state_dir})
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    def test_a_store_that_another_program_makes_larger_is_followed(self):
        with Service(STORE_MAX_BYTES="1M") as service:
            workers = service.worker_pids()
            clients = [service.client() for _ in range(4)]
            clients[0].request("POST", "/integrations", integration("before"))
            for size in 4, 20:  # times 100,000 bytes
                lines = "".join(json.dumps(integration(f"i{i}", settings={"pad": "x" * 100000})) + "\n"
                                for i in range(size))
                subprocess.run([PROGRAM, "import"], input=lines.encode(), check=True,
                               stdout=subprocess.DEVNULL, env={
                                   "PATH": os.environ["PATH"], "STATE_DIR": service.state_dir,
                                   "STORE_MAX_BYTES": "100M"})
                for client in clients:
                    for i in range(size):
                        self.assertEqual(client.request("GET", f"/integrations/i{i}").status, 200)
                    self.assertEqual(len(client.request("GET", "/integrations").json), size + 1)
                    self.assertEqual(client.request("PUT", "/integrations/before", integration(
                        "before", name=str(size))).status, 200)
                    client.request("GET", "/metrics")
            self.assertEqual(service.worker_pids(), workers)
            self.assertEqual(service.log("the store failed"), [])
            for client in clients:
                client.close()

    def test_workers_that_die_before_their_first_request_wait(self):
        with Service(nginx=False, WORKERS="1") as service:
            for death in range(4):
                pid = wait_for("a worker", service.worker_pids)[0]
                wait_for("it to serve", lambda: os.path.exists(f"/proc/{pid}/task"))
                os.kill(pid, signal.SIGKILL)
                wait_for("its end", lambda: len(service.log("worker ended")) == death + 1)
            wait_for("the next", lambda: len(service.log("worker started")) == 5)
            deaths, starts = ([seconds(line["time"]) for line in service.log(message)]
                              for message in ("worker ended", "worker started"))
            pauses = [start - death for death, start in zip(deaths, starts[1:])]
            # The first is replaced at once, then 0.1 s, 0.2 s, 0.4 s pass.
            self.assertGreater(pauses[1], 0.09)
            self.assertGreater(pauses[2], 0.19)
            self.assertGreater(pauses[3], 0.39)

    def test_metrics_are_for_this_machine_alone(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing, and tells our own address
            address = probe.getsockname()[0]
        with Service(HOST="0.0.0.0", ALLOW_ANONYMOUS="on", ROOT_PATH="/api") as service:
            service.request("POST", "/api/integrations", integration("metrics"))
            for path, status in ("/metrics", 403), ("/api/metrics", 403), ("/api/metrics/?x", 403), \
                    ("/api//metrics", 403), ("/api/%6detrics", 403), ("/api/integrations", 200), \
                    ("/api/integrations/metrics", 200), ("/integrations/metrics", 200):
                client = http.client.HTTPConnection(address, service.port, timeout=20 * PATIENCE)
                client.request("GET", path)
                self.assertEqual(client.getresponse().status, status, path)
                client.close()
            for path in "/metrics", "/api/metrics":
                self.assertEqual(service.request("GET", path).status, 200)
        with Service(HOST="0.0.0.0", ALLOW_ANONYMOUS="on", ROOT_PATH="/integrations/api") as service:
            root = "/integrations/api"
            for identity in "metrics", "a/metrics":
                service.request("POST", f"{root}/integrations", integration(identity))
            for path, status in ("/metrics", 403), (f"{root}/metrics", 403), (f"{root}/metrics/", 403), \
                    (f"{root}/%6Detrics?a", 403), ("/integrations/%61pi/metrics", 403), \
                    (f"{root}/x/../metrics", 403), (f"{root}/integrations/metrics", 200), \
                    (f"{root}/integrations/a%2Fmetrics", 200), (f"{root}/integrations/a/metrics", 403), \
                    ("/integrations/metrics?/integrations/x", 200), \
                    (f"{root}/metrics?/integrations/x", 403):
                client = http.client.HTTPConnection(address, service.port, timeout=20 * PATIENCE)
                client.request("GET", path)
                answer = client.getresponse()
                self.assertEqual(answer.status, status, path)
                answer.read()
                client.request("PUT", path, json.dumps(integration("metrics")))
                self.assertIn(client.getresponse().status, (403, 404, 405) if status == 403 else (200, 422), path)
                client.close()

    def test_a_new_program_whose_workers_cannot_start_leaves_the_old_ones(self):
        with Service(PRE_DRAIN_DELAY="2") as service:
            workers = service.worker_pids()
            # A link in the place of the store's directory: nobody who has it open notices, and nobody
            # follows it.
            store, kept = (os.path.join(service.state_dir, name) for name in ("store", "kept"))
            os.symlink("kept", kept)
            exchange(store, kept)
            service.process.send_signal(signal.SIGUSR2)
            wait_for("new workers to fail", lambda: len(service.log("cannot start")) > 2)
            self.assertEqual(service.request("GET", "/readiness").status, 200)
            self.assertTrue(set(workers) <= set(service.worker_pids()))
            service.process.send_signal(signal.SIGTERM)
            # The old workers know that the service ends, though another program says so.
            wait_for("readiness to end", lambda: service.request("GET", "/readiness").status == 503)
            self.assertEqual(service.process.wait(30 * PATIENCE), 0)

    def test_a_socket_on_loopback_and_a_group_s_permissions(self):
        for host in "127.0.0.1", "[::1]":
            with Service(LISTEN=f"{host}:{free_port()}") as service:
                self.assertEqual(service.request("GET", "/health").status, 200)
                self.assertEqual(self.probe(service, "--ready"), (0, ""))
                self.assertFalse(os.path.exists(service.socket))
        with Service(nginx=False, SOCKET_MODE="0600") as service:
            self.assertEqual(os.stat(service.socket).st_mode & 0o777, 0o600)
        with Service(nginx=False) as service:
            self.assertEqual(os.stat(service.socket).st_mode & 0o777, 0o660)
            directory = service.state_dir
            self.assertEqual(os.stat(directory).st_mode & 0o007, 0)
            for name in "store/data.mdb", "metrics", "lock":
                self.assertEqual(os.stat(os.path.join(directory, name)).st_mode & 0o007, 0, name)
            service.stop()
            self.assertFalse(os.path.exists(service.socket))

    def test_as_process_1(self):
        # A namespace of its own makes the supervisor process 1, with orphans to reap. An ordinary
        # user may have one within a namespace of users.
        wrapper = ["unshare", "--pid", "--fork", "--kill-child"]
        if os.geteuid() != 0:
            wrapper += ["--user", "--map-root-user"]
        with Service(wrapper=wrapper, nginx=False, **WITHOUT_LEAKS) as service:
            supervisor = children(service.process.pid)[0]
            with open(f"/proc/{supervisor}/status") as file:
                self.assertRegex(file.read(), r"NSpid:\s+\d+\s+1\n")
            os.kill(supervisor, signal.SIGTERM)
            self.assertEqual(service.process.wait(30 * PATIENCE), 0)

    def test_a_process_with_a_worker_s_number_says_so(self):
        namespace = ["unshare", "--pid", "--fork", "--kill-child"]
        if os.geteuid() != 0:
            namespace += ["--user", "--map-root-user"]
        with Service(wrapper=namespace, nginx=False, WORKERS="4", **WITHOUT_LEAKS) as service:
            said = []
            for shift in range(8):  # the process is number 2 and up
                script = f'for i in $(seq {shift}); do /bin/true; done; "$0" import; exit $?'
                result = subprocess.run(
                    [*namespace, "/bin/sh", "-c", script, PROGRAM], text=True, capture_output=True,
                    input=json.dumps(integration("x")),
                    env={"PATH": os.environ["PATH"], "STATE_DIR": service.state_dir,
                         **WITHOUT_LEAKS})
                said.append((result.returncode, "in another PID namespace" in result.stderr))
            self.assertEqual(set(said), {(0, False), (1, True)}, said)
            os.kill(children(service.process.pid)[0], signal.SIGTERM)
            self.assertEqual(service.process.wait(30 * PATIENCE), 0)

    def test_it_ends_with_its_terminal(self):
        directory = tempfile.mkdtemp(prefix="integration-service-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        terminal, inside = pty.openpty()

        def take_terminal():
            os.setsid()
            fcntl.ioctl(inside, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            [PROGRAM, "serve"], env={"PATH": os.environ["PATH"], "STATE_DIR": directory},
            stdin=inside, stdout=inside, stderr=inside, preexec_fn=take_terminal)
        os.close(inside)
        self.assertIn(b"worker started", os.read(terminal, 65536))
        wait_for("it to listen", lambda: os.path.exists(directory + "/integration-service.sock"))
        os.close(terminal)
        self.assertEqual(process.wait(30 * PATIENCE), 0)

    def test_a_disk_that_fills_up_is_no_crash(self):
        # A file system of its own, of 8 MiB, for the state directory.
        with Service(STORE_MAX_BYTES="1G") as service:
            service.stop()
            service.wrapper = mount_namespace() + [
                "sh", "-c", f'mount -t tmpfs -o size=8m none {service.state_dir} && exec "$@"', "-"]
            service.start()
            client = service.client()
            body = integration("", settings={"pad": "x" * 100000})
            statuses = []
            while len(statuses) < 200 and (not statuses or statuses[-1] == 201):
                body["id"] = f"i{len(statuses)}"
                statuses.append(client.request("POST", "/integrations", body).status)
            self.assertGreater(len(statuses), 10)
            for _ in range(20):
                body["id"] = "more"
                answer = client.request("POST", "/integrations", body)
                self.assertEqual((answer.status, answer.json), (507, {"detail": "store full"}))
            for i in range(len(statuses) - 1):
                self.assertEqual(client.request("GET", f"/integrations/i{i}").status, 200)
            self.assertEqual(client.request("GET", "/integrations/more").status, 404)
            self.assertEqual(client.request("GET", "/readiness").status, 200)
            self.assertEqual(service.log("worker ended")[2:], [])  # the first start's two
            client.close()

    def test_a_body_for_which_nginx_has_no_room(self):
        with Service() as service, tempfile.TemporaryDirectory() as spool:
            service.stop()
            service.environment["SPOOL_DIR"] = spool
            service.wrapper = mount_namespace() + [
                "sh", "-c", f'mount -t tmpfs -o size=1m none {spool} && exec "$@"', "-"]
            service.start()
            long = integration("x", settings={"pad": "x" * 800000})
            self.assertEqual(service.request("POST", "/integrations", long).status, 201)
            half = socket.create_connection(("127.0.0.1", service.port))
            half.sendall(b"POST /integrations HTTP/1.1\r\nHost: localhost\r\n"
                         b"Content-Type: application/json\r\nContent-Length: 800000\r\n\r\n"
                         + b" " * 700000)
            answer = wait_for("a full disk", lambda: refused(service.request("PUT", "/integrations/x", long)))
            self.assertEqual((answer.status, answer.json), (507, {
                "detail": "No room for the request: the disk is full"}))
            # What needs no room there goes on.
            for _ in range(20):
                self.assertIn(service.request("POST", "/integrations", integration("y")).status,
                              (201, 400))
            half.close()
            wait_for("room", lambda: service.request("PUT", "/integrations/x", long).status == 200)
            self.assertEqual(service.request("GET", "/integrations/x").json["settings"],
                             long["settings"])

    def test_the_defaults_are_seeded_once(self):
        with Service(SEED_DEFAULTS="on") as service:
            ids = [item["id"] for item in service.request("GET", "/integrations").json]
            self.assertEqual(ids, ["facebook", "chat_widget"])
            service.request("DELETE", "/integrations/facebook")
            service.stop()
            service.start()
            ids = [item["id"] for item in service.request("GET", "/integrations").json]
            self.assertEqual(ids, ["chat_widget"])

    def test_a_full_store_refuses_writes_and_answers_reads(self):
        with Service(STORE_MAX_BYTES="1M") as service:
            client = service.client()
            statuses = []
            while len(statuses) < 200 and (not statuses or statuses[-1] == 201):
                statuses.append(client.request("POST", "/integrations", integration(
                    f"i{len(statuses)}", settings={"pad": "x" * 20000})).status)
            self.assertEqual(statuses[-1], 507)
            answer = client.request("POST", "/integrations",
                                    integration("z", settings={"pad": "x" * 20000}))
            self.assertEqual((answer.status, answer.json), (507, {"detail": "store full"}))
            self.assertEqual(client.request("GET", "/integrations/i0").status, 200)
            self.assertEqual(len(client.request("GET", "/integrations").json), len(statuses) - 1)
            self.assertEqual(client.request("GET", "/readiness").status, 200)
            client.close()


def mount_namespace():
    """A command that runs another where what it mounts is seen by nobody else."""
    if os.geteuid() != 0:
        return ["unshare", "--mount", "--user", "--map-root-user"]
    private = ["unshare", "--mount"]
    if subprocess.run([*private, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        return private
    return [*private, "--propagation", "unchanged"]  # in a chroot: its root is no mount of its own


def exchange(one, other):
    """Gives each of two files the other's name, at once."""
    at_cwd, exchange_flag = -100, 2  # AT_FDCWD, RENAME_EXCHANGE: renameat2(2)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(at_cwd, one.encode(), at_cwd, other.encode(), exchange_flag) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def refused(answer):
    return answer if answer.status >= 400 else None


def seconds(time_text):
    return datetime.datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


if __name__ == "__main__":
    unittest.main()
