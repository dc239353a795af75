# SPDX-License-Identifier: MIT
"""Web servers that start the service by themselves, run by an ordinary user, with the files of
deploy/ in a sub-path of a site: Apache (mod_fcgid, mod_proxy_fcgi, plain CGI), lighttpd,
spawn-fcgi."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import fastcgi
import test_golden
from postgres import AS_USER, Postgres
from service import (LOAD_SECONDS, PATIENCE, PROGRAM, Client, Service, free_port, integration,
                     wait_for)
from test_load import in_threads, join

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")
MODULES = "/usr/lib/apache2/modules"
PREFIX = "/~user/api"


class PrefixedClient(Client):
    def request(self, method, path, body=None, headers=None):
        return super().request(method, PREFIX + path, body, headers)


def give_to_user(directory):
    for path, _, names in os.walk(directory):
        for name in [path, *(os.path.join(path, name) for name in names)]:
            if AS_USER:
                os.chown(name, AS_USER["user"], AS_USER["group"])


class Site(Service):
    """A web server with the service in a sub-path; a context manager."""

    def __init__(self, **environment):
        super().__init__(**environment)
        self.home = os.path.join(self.directory, "home")
        self.web = os.path.join(self.directory, "web")
        self.site = os.path.join(self.home, "public_html", "api")
        self.state_dir = os.path.join(self.home, "integration-service")
        for path in self.site, os.path.join(self.home, "bin"), self.web:
            os.makedirs(path)
        shutil.copy(PROGRAM, os.path.join(self.home, "bin", "integration-service"))
        os.chmod(self.directory, 0o755)
        self.stderr_path = self.put(os.path.join(self.web, "error.log"), "")

    def edited(self, name):
        """A file of deploy/, with what is marked to be changed changed."""
        with open(os.path.join(DEPLOY, name), encoding="utf-8") as file:
            return file.read().replace("/home/USER", self.home)

    def put(self, path, text, mode=0o644):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def spawn_as_user(self, *command):
        give_to_user(self.directory)
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/bin",
                     **{name: value for name, value in os.environ.items()
                        if name.startswith(("ASAN_", "UBSAN_"))}},
                **AS_USER)

    def start(self):
        self.spawn()
        wait_for("the web server", self.answers, 30)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the web server did not start:\n{self.stderr()}")
        try:
            return self.request("GET", "/health").status == 200
        except OSError:
            return False

    def successful(self, path):
        answer = self.request("GET", path)
        return answer if answer.status == 200 else None

    def client(self, timeout=30):
        return PrefixedClient(self.port, timeout)

    def pids(self):
        """The service's processes."""
        program = os.path.join(self.home, "bin", "integration-service")
        found = []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.readlink(f"/proc/{entry}/exe") == program:
                    found.append(int(entry))
            except OSError:
                pass
        return found


class Apache(Site):
    """With the files that a customer uploads, or that an administrator includes."""
    fcgid = True
    settings = ""
    modules = ["mpm_event", "authn_core", "authz_core", "authz_host", "mime", "rewrite", "alias",
               "env", "headers", "setenvif", "userdir"]

    def spawn(self):
        self.upload()
        modules = self.modules + (["fcgid"] if self.fcgid else ["cgid"])
        loads = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in modules)
        configuration = self.put(os.path.join(self.web, "httpd.conf"), f"""
ServerRoot {self.web}
PidFile {self.web}/pid
DefaultRuntimeDir {self.web}
Listen 127.0.0.1:{self.port}
ServerName localhost
ErrorLog {self.stderr_path}
{loads}
TypesConfig /etc/mime.types
AllowEncodedSlashes NoDecode
DocumentRoot {self.web}
UserDir {self.directory}/*/public_html
UserDir enabled
Alias /~user {self.home}/public_html
<Directory />
    Require all denied
</Directory>
<Directory {self.home}/public_html>
    Require all granted
    AllowOverride All
</Directory>
{self.server_settings()}
{self.settings}
""")
        self.spawn_as_user("apache2", "-f", configuration, "-DFOREGROUND")

    def server_settings(self):
        if not self.fcgid:
            return f"ScriptSock {self.web}/cgisock"
        return f"""
FcgidIPCDir {self.web}
FcgidProcessTableFile {self.web}/table
FcgidMaxRequestLen 16777216"""

    def upload(self):
        script = self.edited("apache/integration-service.fcgi")
        self.put(os.path.join(self.home, "integration-service.env"), "# settings\n" + "\n".join(
            f"{name}={value}" for name, value in self.environment.items()), 0o600)
        name = "integration-service.fcgi" if self.fcgid else "integration-service.cgi"
        self.put(os.path.join(self.site, name), script, 0o755)
        self.put(os.path.join(self.site, ".htaccess"), self.edited("apache/.htaccess"))

    def stop(self, by=signal.SIGTERM, seconds=30):
        super().stop(by, seconds)
        wait_for("its processes to end", lambda: not self.pids())


class ApacheCgi(Apache):
    fcgid = False


class ApacheProxy(Apache):
    """In front of a process that spawn-fcgi started."""
    fcgid = False
    modules = [*Apache.modules, "proxy", "proxy_fcgi"]

    def upload(self):
        self.behind = SpawnFcgi(self)
        self.behind.start()
        self.settings = self.edited("apache/integration-service.conf").replace(
            "/run/integration-service/socket", self.behind.path).replace("/api", PREFIX)

    def stop(self, by=signal.SIGTERM, seconds=30):
        self.process.send_signal(by)
        self.process.wait(seconds * PATIENCE)
        self.behind.stop()


class SpawnFcgi:
    """A process of the service that listens on descriptor 0."""

    def __init__(self, site):
        self.site = site
        self.path = os.path.join(site.web, "spawned")
        self.process = None

    def start(self):
        give_to_user(self.site.directory)
        with open(self.site.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(
                ["spawn-fcgi", "-n", "-s", self.path, "--",
                 os.path.join(self.site.home, "bin", "integration-service")],
                env={"PATH": "/usr/bin:/bin", "STATE_DIR": self.site.state_dir,
                     "ROOT_PATH": PREFIX, **self.site.environment},
                stdin=subprocess.DEVNULL, stderr=stderr, cwd="/", **AS_USER)
        wait_for("the socket", lambda: os.path.exists(self.path))

    def stop(self, by=signal.SIGTERM):
        self.process.send_signal(by)
        status = self.process.wait(30 * PATIENCE)
        os.unlink(self.path)
        if status != 0:
            raise AssertionError(f"it ended with {status}:\n{self.site.stderr()}")


class Alone(Site):
    """A process that spawn-fcgi started, and no web server."""

    def start(self):
        self.behind = SpawnFcgi(self)
        self.behind.start()
        self.process = self.behind.process


class Lighttpd(Site):
    def spawn(self):
        text = self.edited("lighttpd/integration-service.conf")
        for before, after in (("/usr/local/bin", os.path.join(self.home, "bin")),
                              ("/var/lib/integration-service", self.state_dir),
                              ("/run/lighttpd", self.web), ('"/api"', f'"{PREFIX}"'),
                              ("^/api(", f"^{PREFIX}(")):
            assert before in text, before
            text = text.replace(before, after)
        configuration = self.put(os.path.join(self.web, "lighttpd.conf"), f"""
server.document-root = "{self.web}"
server.bind = "127.0.0.1"
server.port = {self.port}
server.errorlog = "{self.stderr_path}"
server.upload-dirs = ( "{self.web}" )
server.http-parseopts = ( "header-strict" => "enable", "url-path-2f-decode" => "enable" )
{text}""")
        self.spawn_as_user("lighttpd", "-D", "-f", configuration)

    def stop(self, by=signal.SIGINT, seconds=30):  # SIGTERM cuts requests off
        super().stop(by, seconds)


class Recorded(unittest.TestCase):
    """The recorded answers of the original service, through each web server."""
    environment = {}

    def replay(self, kind):
        with kind(**self.environment) as site:
            large = integration("large", settings={"pad": "x" * 900000})
            self.assertEqual(site.request("POST", "/integrations", large).status, 201)
            self.assertEqual(site.request("GET", "/integrations/large").json["settings"],
                             large["settings"])
            self.assertEqual(site.request("DELETE", "/integrations/large").status, 204)
            for _ in range(2):
                test_golden.replay_all(self, site.client())
                site.stop()
                site.start()

    def test_apache_with_mod_fcgid(self):
        self.replay(Apache)

    def test_apache_with_cgi(self):
        self.replay(ApacheCgi)

    def test_apache_with_mod_proxy_fcgi(self):
        self.replay(ApacheProxy)

    def test_lighttpd(self):
        self.replay(Lighttpd)

    def test_with_a_database(self):
        with Postgres() as server:
            self.environment = {"DATABASE_URL": server.url}
            self.replay(Apache)


class RestlessApache(Apache):
    """Its process manager ends processes whenever it can."""
    settings = """
FcgidIdleTimeout 1
FcgidIdleScanInterval 1
FcgidBusyTimeout 1
FcgidBusyScanInterval 1
FcgidProcessLifeTime 2
FcgidMaxProcessesPerClass 8
FcgidMinProcessesPerClass 0
FcgidTerminationScore 0
FcgidSpawnScoreUpLimit 1000
LogLevel fcgid:info"""


class Hosted(unittest.TestCase):
    def test_the_admin_page(self):
        pages = os.path.join(DEPLOY, "..", "www", "ui")
        for kind in Apache, ApacheCgi:
            with kind() as site:
                self.assertEqual(site.request("GET", "/ui/").status, 404)
                shutil.copytree(pages, os.path.join(site.site, "ui"))
                page = site.request("GET", "/ui/")
                self.assertIn(b"<h1>Integrations</h1>", page.body)
                self.assertIn("frame-ancestors 'none'", page.headers["Content-Security-Policy"])
                self.assertEqual(site.request("GET", "/ui/ui.js").status, 200)
                self.assertEqual(site.request("GET", "/ui/none").status, 404)
                answer = site.request("GET", "/integrations")
                self.assertEqual((answer.json, answer.headers["X-Content-Type-Options"]),
                                 ([], "nosniff"))
                self.assertIn("no-store", answer.headers["Cache-Control"])

    def test_settings_are_taken_as_they_stand(self):
        for kind in Apache, ApacheCgi:
            with kind(APP_NAME="""it's $HOME & `more`; "all" of\\it #5 """) as site:
                self.assertEqual(site.request("GET", "/health").json["app"],
                                 site.environment["APP_NAME"])

    def test_a_process_manager_that_kills_loses_nothing(self):
        clients = 16
        with RestlessApache() as site:
            acknowledged = [{} for _ in range(clients)]
            statuses = {}
            stop = threading.Event()

            def hammer(number):
                client = site.client()
                turn = 0
                while not stop.is_set():
                    if time.monotonic() % 4 > 1:  # so that processes are idle
                        time.sleep(0.1)
                        continue
                    turn += 1
                    identity = f"{number}-{turn % 50}"
                    body = integration(identity, settings={"turn": turn})
                    status = client.request("PUT", f"/integrations/{identity}", body).status
                    if status == 404:
                        status = client.request("POST", "/integrations", body).status
                    if status in (200, 201):
                        acknowledged[number][identity] = turn
                    statuses[status] = statuses.get(status, 0) + 1
                client.close()

            # Who asks for a long list and does not read it may keep a process busy, if the list is
            # longer than what sockets hold on this machine.
            for number in range(40):
                site.request("POST", "/integrations", integration(
                    f"long{number}", settings={"turn": 0, "pad": "x" * 100000}))
            readers = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(2)]
            for reader in readers:
                reader.sendall(f"GET {PREFIX}/integrations HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            threads, failures = in_threads(clients, hammer)
            last = {}
            start = time.monotonic()
            while (time.monotonic() < start + max(LOAD_SECONDS, 12) or
                   not re.search("idle timeout|lifetime expired", site.stderr())):
                self.assertLess(time.monotonic(), start + 60 * PATIENCE, "no process was ended")
                for name, value in site.metrics().items():
                    if re.search(r"_(total|count|sum|bucket)\b", name):
                        self.assertGreaterEqual(value, last.get(name, 0), name)
                        last[name] = value
                time.sleep(0.2)
            stop.set()
            join(threads, failures)
            for reader in readers:
                reader.close()
            self.assertGreaterEqual(statuses.get(200, 0), clients, statuses)
            stored = {item["id"]: item["settings"]["turn"]
                      for item in site.request("GET", "/integrations").json}
            for mine in acknowledged:
                for identity, turn in mine.items():
                    self.assertGreaterEqual(stored[identity], turn, identity)

    def cgi(self, directory, method="GET", target="/integrations", body=b"", arguments=(),
            **environment):
        """Answers one request as plain CGI: status and body."""
        result = subprocess.run(
            [PROGRAM, *arguments], input=body, capture_output=True, check=False,
            env={"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "REQUEST_URI": target,
                 "CONTENT_LENGTH": str(len(body)), "STATE_DIR": directory,
                 "LOG_LEVEL": "warning", **environment})
        head, _, answer = result.stdout.partition(b"\r\n\r\n")
        self.assertRegex(head, rb"^Status: \d{3} ", result.stderr)
        return int(head[8:11]), answer

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="integration-service-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def test_without_request_uri(self):
        """With the variables of RFC 3875 only."""
        state = os.path.join(self.directory, "state")
        script = "/cgi-bin/integration-service.cgi"
        identity = "a%b c\u00e9"
        for method, path, query, body, status in (
                ("POST", "/integrations", "", json.dumps(integration(identity)).encode(), 201),
                ("GET", "/integrations/" + identity, "fields=id", b"", 200),
                ("GET", "/integrations/none", "", b"", 404), ("GET", "/health", "", b"", 200)):
            result = subprocess.run(
                [PROGRAM], input=body, capture_output=True, check=False,
                env={"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": method, "SCRIPT_NAME": script,
                     "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)),
                     "CONTENT_TYPE": "application/json", "STATE_DIR": state})
            head, _, answer = result.stdout.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(f"Status: {status} ".encode()), result)
            if query:
                self.assertEqual(json.loads(answer), {"id": identity})

    def test_fifty_processes_at_once(self):
        state = os.path.join(self.directory, "state")
        outcomes = {}

        def create(number):
            body = json.dumps(integration(f"i{number}")).encode()
            outcomes[number] = self.cgi(state, "POST", "/integrations", body, DB_TIMEOUT="25")[0]

        join(*in_threads(50, create))
        self.assertEqual(set(outcomes.values()), {201})
        stored = json.loads(self.cgi(state)[1])
        self.assertEqual({item["id"] for item in stored}, {f"i{n}" for n in range(50)})
        metrics = self.cgi(state, target="/metrics")[1].decode()
        self.assertIn('http_requests_total{method="POST",endpoint="/integrations",'
                      'http_status="201"} 50\n', metrics)

    def test_what_a_query_says_is_no_command(self):
        # A query without "=" comes as words of the command line too (RFC 3875, section 4.4).
        for words in ["export"], ["serve", "--with-nginx"], ["--help"]:
            self.assertEqual(self.cgi(self.directory, target="/integrations?" + "+".join(words),
                                      arguments=words), (200, b"[]"))

    def test_cgi_asks_the_database_itself(self):
        def ask(directory, *request, **environment):
            return self.cgi(os.path.join(self.directory, directory), *request,
                            DATABASE_URL=server.url, **environment)

        with Postgres() as server:
            body = json.dumps(integration("one", status=True)).encode()
            self.assertEqual(ask("here")[0], 503)
            subprocess.run([PROGRAM, "migrate"], env={"DATABASE_URL": server.url}, check=True,
                           stdout=subprocess.DEVNULL)
            self.assertEqual(ask("here"), (200, b"[]"))
            self.assertEqual(ask("here", "POST", "/integrations", body)[0], 201)
            self.assertEqual(ask("there", "GET", "/integrations/one")[0], 200)
            self.assertEqual(ask("there", "DELETE", "/integrations/one")[0], 204)
            self.assertEqual(ask("here"), (200, b"[]"))

    def test_a_body_that_comes_in_chunks_or_not_whole(self):
        body = json.dumps(integration("one")).encode()
        self.assertEqual(self.cgi(self.directory, "POST", body=body, CONTENT_LENGTH="",
                                  HTTP_TRANSFER_ENCODING="chunked")[0], 201)
        result = subprocess.run([PROGRAM], input=body, capture_output=True, env={
            "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "PUT", "STATE_DIR": self.directory,
            "REQUEST_URI": "/integrations/one", "CONTENT_LENGTH": str(len(body) + 1)})
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertIn(b"cut off", result.stderr)
        self.assertEqual(self.cgi(self.directory, "POST", body=b"x" * 2000,
                                  MAX_BODY_BYTES="1K")[0], 413)

    def test_paths(self):
        self.cgi(self.directory, "POST", body=json.dumps(integration("a/b.cgi")).encode())
        script = "/~user/my api/integration-service.cgi"
        for target, name, root in (
                ("/integrations/a%2Fb.cgi", "", ""),
                ("/~user/my%20api/integrations/a%2Fb.cgi", script, ""),
                ("/%7Euser/my%20api/integrations/a%2Fb.cgi?x", script, ""),
                ("/~user/my%20api/integration-service.cgi/integrations/a%2Fb.cgi", script, ""),
                ("http://example.com/~user/my%20api/integrations/a%2Fb.cgi", script, ""),
                ("/v1/integrations/a%2Fb.cgi", script, "/v1"),
                ("/v1/integrations/a%2Fb.cgi", "/integrations/a/b.cgi", "/v1/"),
                ("/integrations/a%2Fb.cgi", "/integrations/a/b.cgi", "/v1")):
            self.assertEqual(self.cgi(self.directory, target=target, SCRIPT_NAME=name,
                                      ROOT_PATH=root)[0], 200, target)
        for target in "/~user/my%20apish/integrations", "/~user/my%2", "", "?", "/~user/my%20api":
            self.assertEqual(self.cgi(self.directory, target=target, SCRIPT_NAME=script)[0], 404)

    def test_data_never_lies_among_the_site_s_files(self):
        status, body = self.cgi("")
        self.assertEqual((status, json.loads(body)), (503, {"detail": "not ready"}))
        self.assertEqual(self.cgi("/proc/none")[0], 503)
        self.assertEqual(self.cgi("./below")[0], 503)
        self.assertFalse(os.path.exists("below"))
        self.assertEqual(self.cgi(self.directory, WORKERS="many")[0], 503)

    def test_who_may_come_in(self):
        # 127.0.0.2 stands for a stranger; but Apache's "Require local" takes it for what it is.
        for kind, paths in (Apache, ["/metrics", "/metrics/", "/integration-service.fcgi/metrics"]), \
                (Lighttpd, ["/metrics", "/integrations", "/integrations/x"]):
            with kind() as site:
                for path in paths:
                    self.assertIn(site.request("GET", path).status, (200, 404))
                    result = subprocess.run(
                        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface",
                         "127.0.0.2", f"http://127.0.0.1:{site.port}{PREFIX}{path}"],
                        capture_output=True, text=True, check=True).stdout
                    self.assertEqual(result, "403", (kind, path))

    def test_a_socket_that_others_reach_is_refused(self):
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.run(
                ["spawn-fcgi", "-n", "-a", "0.0.0.0", "-p", str(free_port()), "--", PROGRAM],
                env={"PATH": "/usr/bin:/bin", "STATE_DIR": os.path.join(self.directory, "state")},
                stdin=subprocess.DEVNULL, stderr=stderr, timeout=30 * PATIENCE)
            stderr.seek(0)
            self.assertIn(b"nor to a loopback address", stderr.read())
        self.assertEqual(process.returncode, 1)

    def test_a_signal_ends_a_process_after_its_requests(self):
        for by in signal.SIGTERM, signal.SIGUSR1:
            with Alone(LOG_LEVEL="warning") as site:
                behind = site.behind
                body = json.dumps(integration("x", settings={"pad": "x" * 200000})).encode()
                slow = fastcgi.Connection(behind.path)
                whole = fastcgi.request("POST", PREFIX + "/integrations", body)
                slow.send(whole[:100000])
                time.sleep(0.3)
                queued = fastcgi.Connection(behind.path)
                behind.process.send_signal(by)
                queued.send(fastcgi.request("GET", PREFIX + "/health"))
                slow.send(whole[100000:])
                self.assertEqual(slow.answer()[0], 201)
                self.assertEqual(queued.answer()[0], 200)
                slow.close()
                queued.close()
                self.assertEqual(behind.process.wait(30 * PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
