# SPDX-License-Identifier: MIT
"""Keys that are bound to integrations, when keys were used, and users whom the web server has
authenticated."""

import base64
import hashlib
import os
import re
import subprocess
import tempfile
import time
import unittest
import urllib.parse

import fastcgi
from keys import bearer, in_force, key
from postgres import WithDatabase
from service import PROGRAM, Client, Service, answers, integration, own_nginx, wait_for
from test_hosting import Apache

OURS = "a", "ü/b:1", "none"


class Bound(unittest.TestCase):
    """A key for some integrations learns nothing about the others."""
    environment = {}

    def setUp(self):
        self.service = self.enterContext(Service(**self.environment))
        self.admin = bearer(key(self.service.state_dir, "new", "admin", "--scopes", "secrets,write"))
        self.bound = bearer(key(
            self.service.state_dir, "new", "bound", "--scopes", "secrets,write",
            "--ids", ",".join(urllib.parse.quote(name, safe="") for name in OURS)))
        in_force(self.service)
        for name in OURS[:2]:
            self.ask(self.admin, "POST", "/integrations", integration(name), 201)
        self.change_others()

    def ask(self, who, method, path, body=None, status=None, **headers):
        answer = self.service.request(method, path, body, {
            **who, **{name.replace("_", "-"): value for name, value in headers.items()}})
        if status is not None:
            self.assertEqual(answer.status, status, answer.body)
        return answer

    def change_others(self):
        """Makes, changes, and removes some."""
        for n in range(3):
            self.ask(self.admin, "POST", "/integrations", integration(f"other{n}"), 201)
            self.ask(self.admin, "PATCH", f"/integrations/other{n}", {"name": "changed"}, 200)
            self.ask(self.admin, "DELETE", f"/integrations/other{n}", None, 204)
        self.ask(self.admin, "POST", "/integrations", integration("there"))

    @staticmethod
    def seen(answer):
        """An answer without what differs in any case."""
        return answer.status, answer.body, sorted(
            (name.lower(), value) for name, value in answer.headers.items()
            if name.lower() not in ("date", "x-request-id", "age", "x-changes-cursor"))

    def test_others_are_as_if_they_were_not(self):
        for method, body in (("GET", None), ("HEAD", None), ("DELETE", None), ("PATCH", {}),
                             ("PUT", integration("there"))):
            for headers in {}, {"If_Match": "*"}, {"If_None_Match": "*"}, {
                    "If_Match": '"1-1"'}, {"Cache_Control": "no-cache"}:
                for prefix in "/integrations/", "/admin/integrations/":
                    answers = [self.ask(self.bound, method, prefix + name, body, 403, **headers)
                               for name in ("there", "never")]
                    self.assertEqual(*map(self.seen, answers))
        for name in "there", "never":
            answer = self.ask(self.bound, "POST", "/integrations", integration(name), 403)
            self.assertIn("bound to other integrations", answer.json["detail"])
            self.assertIn('error="insufficient_scope"', answer.headers["WWW-Authenticate"])
            for operation in ({"op": "create", "integration": integration(name)},
                              {"op": "put", "integration": integration(name)},
                              {"op": "patch", "id": name, "patch": {}},
                              {"op": "delete", "id": name}):
                self.ask(self.bound, "POST", "/integrations:batch", {"operations": [
                    {"op": "patch", "id": "a", "patch": {"name": "mine"}}, operation]}, 403)
        self.assertEqual(self.ask(self.bound, "GET", "/integrations/a").json["name"],
                         integration("a")["name"])
        self.ask(self.bound, "GET", "/integrations/none", status=404)

    def test_nothing_that_is_seen_depends_on_others(self):
        paths = ["/integrations", "/integrations?limit=1", "/integrations?id=a&id=there",
                 "/integrations?id=there", "/integrations?q=changed", "/integrations?status=true",
                 "/integrations?fields=id,etag", "/integrations/a", "/integrations/a?fields=etag",
                 "/integrations/%C3%BC%2Fb:1", "/integrations/there", "/admin/integrations",
                 "/metrics", "/readiness"]
        before = [self.seen(self.ask(self.bound, "GET", path)) for path in paths]
        self.assertEqual([item["id"] for item in self.ask(
            self.bound, "GET", "/integrations").json], ["a", "ü/b:1"])
        self.assertEqual(self.ask(self.bound, "GET", "/integrations?id=there").json, [])
        self.change_others()
        self.assertEqual([self.seen(self.ask(self.bound, "GET", path)) for path in paths], before)
        # Nor do the tags of its own changes count those of others.
        tags = []
        for others in True, False, True:
            answer = self.ask(self.bound, "PATCH", "/integrations/a", {"name": str(len(tags))}, 200)
            tags.append(answer.headers["ETag"])
            self.assertIsNone(answer.headers["X-Revision"])
            if others:
                self.change_others()
        self.assertTrue(all(re.fullmatch(r'"[0-9a-f]{64}"', tag) for tag in tags), tags)
        self.assertEqual(len(set(tags)), 3)

    def test_its_own_are_as_for_any_key(self):
        tag = self.ask(self.bound, "GET", "/integrations/a", status=200).headers["ETag"]
        self.ask(self.bound, "GET", "/integrations/a", status=304, If_None_Match=tag)
        self.ask(self.bound, "GET", "/integrations/a", status=304,
                 If_None_Match=f'"x", W/{tag[:-1]}-gzip"')
        changed = self.ask(self.bound, "PUT", "/integrations/a", integration("a", name="one"), 200,
                           If_Match=tag)
        self.ask(self.bound, "PUT", "/integrations/a", integration("a"), 412, If_Match=tag)
        for wrong in '"1-1"', changed.headers["ETag"].replace('"', '"0', 1), \
                changed.headers["ETag"][:-2] + ('0"' if changed.headers["ETag"][-2] != "0" else '1"'):
            self.ask(self.bound, "PATCH", "/integrations/a", {}, 412, If_Match=wrong)
        answer = self.ask(self.bound, "POST", "/integrations:batch", {"operations": [
            {"op": "patch", "id": "a", "patch": {"name": "two"},
             "if_match": changed.headers["ETag"]},
            {"op": "create", "integration": integration("none")}]}, 200)
        tags = {item["id"]: item["etag"] for item in answer.json["results"]}
        listed = self.ask(self.bound, "GET", "/integrations?fields=id,etag", status=200)
        self.assertEqual({item["id"]: item["etag"] for item in listed.json if item["id"] in tags},
                         tags)
        self.ask(self.bound, "DELETE", "/integrations/none", status=204, If_Match=tags["none"])
        self.ask(self.bound, "POST", "/integrations", integration("a"), 400)

    def test_its_lists(self):
        """They have pages, and no entity tag."""
        names, path = [], "/integrations?limit=1"
        while path:
            answer = self.ask(self.bound, "GET", path, status=200)
            names += [item["id"] for item in answer.json]
            link = answer.headers["Link"]
            path = link and re.fullmatch(r'<(.*)>; rel="next"', link)[1]
            self.assertIsNone(answer.headers["ETag"])
            if path:
                self.assertRegex(path, r"after=[0-9a-f]{64}$")
        self.assertEqual(names, ["a", "ü/b:1"])
        self.ask(self.bound, "GET", "/integrations?after=1", status=422)
        tag = self.ask(self.bound, "GET", "/integrations/a").headers["ETag"]
        self.ask(self.bound, "GET", f"/integrations?after={tag[1:-1]}", status=422)
        whole = self.ask(self.admin, "GET", "/integrations").headers["ETag"]
        for given in tag, whole:
            answer = self.ask(self.bound, "GET", "/integrations", status=200, If_None_Match=given)
            self.assertEqual(len(answer.json), 2)
            self.ask(self.bound, "GET", "/integrations", status=412, If_Match=given)
            self.ask(self.bound, "POST", "/integrations", integration("none"), 412, If_Match=given)
        self.ask(self.bound, "POST", "/integrations", integration("none"), 201, If_None_Match=whole)

    def test_what_cannot_be(self):
        for ids in "", ",", "a,,b", "a b", ",".join(f"i{n}" for n in range(101)):
            key(self.service.state_dir, "new", "x", "--scopes", "read", "--ids", ids, status=2)
        self.assertIn("the metrics tell of all", key(
            self.service.state_dir, "new", "x", "--scopes", "read,metrics", "--ids", "a", status=1))
        rotated = bearer(key(self.service.state_dir, "rotate", "bound"))
        in_force(self.service)
        self.ask(rotated, "GET", "/integrations/there", status=403)
        self.assertIn("bound", key(self.service.state_dir, "list"))
        self.assertIn("  ids a,%C3%BC%2Fb%3A1,none", key(self.service.state_dir, "list"))


class BoundWithDatabase(WithDatabase, Bound):
    pass


class Used(unittest.TestCase):
    def test_when_a_key_was_used_last(self):
        with Service() as service:
            made = {name: key(service.state_dir, "new", name, "--scopes", "read")
                    for name in ("one", "other")}
            in_force(service)
            before = time.time() - 60
            service.request("GET", "/integrations", headers=bearer(made["one"]))
            lines = key(service.state_dir, "list").splitlines()
            used = re.fullmatch(r"one +read  used (\d{4}-\d\d-\d\dT\d\d:\d\d:00Z)", lines[0])
            self.assertGreaterEqual(used[1], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(before)))
            self.assertRegex(lines[1], r"^other +read  no use known$")
            service.stop()  # what is known outlives the service
            self.assertEqual(key(service.state_dir, "list").splitlines(), lines)


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def users(*names):
    """A file of users whose password is "secret"."""
    hashed = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    return "".join(f"{name}:{{SHA}}{hashed}\n" for name in names)


class AuthenticatingApache(Apache):
    modules = [*Apache.modules, "auth_basic", "authn_file", "authz_user"]

    def upload(self):
        super().upload()
        path = self.put(os.path.join(self.web, "users"), users("alice", "bob", "user:bob", "a b"))
        self.settings = f"""
<Location />
    AuthType Basic
    AuthName here
    AuthUserFile {path}
    Require valid-user
</Location>"""

    def answers(self):
        try:
            return self.request("GET", "/health", headers=basic("alice", "secret")).status == 200
        except OSError:
            return False


class Users(unittest.TestCase):
    lines = (("new", "user:alice", "--scopes", "read,write", "--ids", "a"),
             ("new", "user:a%20b", "--scopes", "read"))

    def test_whom_apache_has_authenticated(self):
        with AuthenticatingApache(TRUST_REMOTE_USER="on") as site:
            for line in self.lines:
                self.assertEqual(key(site.state_dir, *line), "")
            made = key(site.state_dir, "new", "bot", "--scopes", "secrets")
            wait_for("the keys", lambda: site.request(
                "GET", "/integrations", headers=basic("bob", "secret")).status == 401)
            for name, password, path, status in (
                    ("alice", "secret", "/integrations", 200), ("alice", "x", "/integrations", 401),
                    ("alice", "secret", "/integrations/b", 403),
                    ("a b", "secret", "/integrations", 200), ("bob", "secret", "/integrations", 401),
                    ("user:bob", "secret", "/integrations", 401), ("bot", "secret", "/metrics", 401)):
                answer = site.request("GET", path, headers=basic(name, password))
                self.assertEqual(answer.status, status, (name, path))
            answer = site.request("POST", "/integrations", integration("a", settings={"t": "planted"}),
                                  basic("alice", "secret"))
            self.assertEqual(answer.status, 201)
            self.assertIn("[secret:", answer.json["settings"]["t"])
            answer = site.request("GET", "/integrations", headers={
                **basic("alice", "secret"), "X-API-Key": made})  # a key comes first
            self.assertEqual(answer.json[0]["settings"]["t"], "planted")
            self.assertRegex(key(site.state_dir, "list"), r"user:alice +read,write.*  ids a")

    def test_whom_nginx_has_authenticated(self):
        """With auth_basic for the server block, as the shipped files say."""
        with Service(TRUST_REMOTE_USER="on") as service:
            key(service.state_dir, "new", "user:alice", "--scopes", "read,write")
            in_force(service)
            directory = os.path.join(service.state_dir, "nginx")
            path = os.path.join(directory, "integration-service-request.conf")
            line = "fastcgi_param REMOTE_USER $remote_user if_not_empty;"
            with open(path) as file:
                text = file.read()
            self.assertIn("#" + line, text)
            with open(path, "w") as file:  # the service's own nginx has read it
                file.write(text.replace("#" + line, line))
            with open(os.path.join(directory, "users"), "w") as file:
                file.write(users("alice", "bob"))
            with own_nginx(service, "auth_basic here; auth_basic_user_file users;"
                           "include integration-service.conf;") as port:
                wait_for("nginx", lambda: answers(port, "/health", status=401))
                client = Client(port)
                for method, path, body in (("GET", "/integrations", None),
                                           ("POST", "/integrations:batch", {"operations": []}),
                                           ("PATCH", "/integrations/a", {}),
                                           ("GET", "/integrations/metrics", None)):
                    for name, password, refused in (("alice", "secret", False), ("alice", "x", True),
                                                    ("bob", "secret", True), ("", "", True)):
                        answer = client.request(method, path, body, basic(name, password))
                        self.assertEqual(answer.status == 401, refused, (method, path, name, password))
                client.close()

    def test_a_foreign_page_has_no_user(self):
        """What a browser sends by itself counts for no page that is not named."""
        for origins, status in ("*", 403), ("https://a.example", 204), ("", 403):
            with Service(TRUST_REMOTE_USER="on", CORS_ALLOW_ORIGINS=origins) as service:
                service.request("POST", "/integrations", integration("a"))
                answer = service.request("DELETE", "/integrations/a", headers={
                    "Origin": "https://a.example", "Sec-Fetch-Site": "cross-site"})
                self.assertEqual(answer.status, status, origins)

    def test_a_user_is_found_however_it_is_written(self):
        with tempfile.TemporaryDirectory() as directory:
            said = subprocess.run([PROGRAM, "key", "new", "user:a%40b", "--scopes", "read"],
                                  capture_output=True, text=True, env={"STATE_DIR": directory})
            self.assertIn("TRUST_REMOTE_USER is off here", said.stderr)
            self.assertIn("there is a key", key(
                directory, "new", "user:a@b", "--scopes", "write", status=1))
            key(directory, "revoke", "user:%61@b")
            self.assertEqual(key(directory, "list"), "")

    def test_nobody_can_name_himself(self):
        """Through the shipped nginx files, and where nobody trusts the web server."""
        forged = {"Remote-User": "alice", "REMOTE_USER": "alice", "X-Remote-User": "alice",
                  "Http-Remote-User": "alice"}
        for trusted in "on", "off":
            with Service(TRUST_REMOTE_USER=trusted) as service:
                for line in self.lines:
                    key(service.state_dir, *line)
                in_force(service)
                for headers in forged, basic("alice", "secret"), bearer("user:alice"), {
                        "X-API-Key": "user:alice"}:
                    answer = service.request("GET", "/integrations", headers=headers)
                    self.assertEqual(answer.status, 401, headers)
                connection = fastcgi.Connection(service.socket)
                connection.send(fastcgi.request(target="/integrations", REMOTE_USER="alice"))
                self.assertEqual(connection.answer()[0], 200 if trusted == "on" else 401)


if __name__ == "__main__":
    unittest.main()
