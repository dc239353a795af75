# SPDX-License-Identifier: MIT
"""Providers: their schemas, what these make of masks, and settings that are held against them."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

import hypothesis
import jsonschema
from hypothesis import strategies as st

from keys import bearer, in_force, key
from postgres import WithDatabase
from service import PROGRAM, Service, integration, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED = os.path.join(HERE, "..", "..", "providers")
FACEBOOK = {"verify": "ours", "secret": "0123456789abcdef" * 2, "page_access_token": "EAAplanted"}
SCHEMA = {
    "type": "object", "title": "Line", "required": ["token", "na/me"],
    "properties": {
        "token": {"type": "string", "writeOnly": True, "minLength": 2, "maxLength": 4},
        "na/me": {"type": "string", "pattern": "^(a|bc)+$"},
        "kind": {"enum": ["one", "twö"]},
        "count": {"type": "integer", "minimum": -1, "maximum": 3},
        "ratio": {"type": "number", "maximum": 0.5},
        "switch": {"type": "boolean"},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": {
            "type": "object", "required": ["x"], "properties": {"x": {"type": "string"}},
            "additionalProperties": False}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}}},
    "additionalProperties": {"type": "string"}}


class Providers(unittest.TestCase):
    def directory(self, **schemas):
        path = self.enterContext(tempfile.TemporaryDirectory())
        for name, schema in schemas.items():
            self.put(path, name, schema)
        return path

    @staticmethod
    def put(path, name, schema):
        with open(os.path.join(path, f"{name}.json"), "w") as file:
            json.dump(schema, file)

    def test_what_is_shipped(self):
        wanted = {"facebook": {"verify", "secret", "page_access_token"},
                  "whatsapp": {"verify", "secret", "page_access_token"},
                  "slack": {"signing_secret", "bot_token"},
                  "telegram": {"bot_token", "secret_token"}, "twilio": {"auth_token"},
                  "chat_widget": set()}
        with Service() as service:
            listed = service.request("GET", "/providers").json
            self.assertEqual([item["name"] for item in listed], sorted(wanted))
            for item in listed:
                schema = service.request("GET", f"/providers/{item['name']}").json
                with open(os.path.join(SHIPPED, f"{item['name']}.json")) as file:
                    self.assertEqual(schema, json.load(file))
                jsonschema.Draft202012Validator.check_schema(schema)
                self.assertEqual((schema["title"], schema["description"]),
                                 (item["title"], item["description"]))
                secret = {name for name, value in schema["properties"].items()
                          if value.get("writeOnly")}
                self.assertEqual(secret, wanted[item["name"]])
                for name in schema["properties"]:
                    self.assertTrue(schema["properties"][name]["title"])
                    self.assertGreater(len(schema["properties"][name]["description"]), 20)
                self.assertEqual(list(schema["properties"]), schema.get("required", []))
            for name in "nothing", "facebook:shop", "facebook.json", "..%2Fslack":
                self.assertEqual(service.request("GET", f"/providers/{name}").status, 404)
            self.assertEqual(service.request("POST", "/providers").status, 405)

    def test_more_of_them(self):
        """A file that is added counts after a reload; one with a fault does not, and stops a start."""
        path = self.directory(line=SCHEMA)
        with Service(PROVIDERS_DIR=path) as service:
            self.assertEqual(service.request("GET", "/providers/line").json, SCHEMA)
            self.put(path, "viber", {"type": "object", "title": "Viber"})
            service.process.send_signal(signal.SIGHUP)
            wait_for("the new one", lambda: service.request("GET", "/providers/viber").status == 200)
            self.put(path, "viber", {"type": "object", "oneOf": []})
            service.process.send_signal(signal.SIGHUP)
            wait_for("a word of it", lambda: service.log(
                "the providers that were known before go on to count"))
            self.assertEqual(service.request("GET", "/providers/viber").json["title"], "Viber")
            for words in ("check-config",), ("serve",):
                result = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30,
                                        env={"STATE_DIR": path, "PROVIDERS_DIR": path})
                self.assertEqual((result.returncode, result.stderr), (
                    1, f"PROVIDERS_DIR: {path}/viber.json: /oneOf: this keyword is not understood\n"))

    def test_what_a_schema_says_is_secret(self):
        path = self.directory(line=SCHEMA)
        settings = {"token": "planted", "na/me": "shown", "kind": "shown", "list": [
            {"x": "shown", "y": "planted"}], "map": {"x": "planted"}, "more": "shown", "count": 3}
        with Service(PROVIDERS_DIR=path) as service:
            admin = bearer(key(service.state_dir, "new", "admin", "--scopes", "secrets,write"))
            page = bearer(key(service.state_dir, "new", "page", "--scopes", "read,write"))
            in_force(service)
            for name in "line", "line:2", "lines":
                self.assertEqual(service.request("POST", "/integrations", integration(
                    name, settings=settings), admin).status, 201)
            for name in "line", "line:2":
                answer = service.request("GET", f"/integrations/{name}", headers=page)
                self.assertNotIn(b"planted", answer.body)
                self.assertEqual(answer.body.count(b"shown"), 4)
                document = answer.json
                document["name"] = "new"
                document["settings"]["kind"] = "changed"
                answer = service.request("PUT", f"/integrations/{name}", document, page)
                self.assertEqual(answer.json, document)
                self.assertEqual(service.request("GET", f"/integrations/{name}", headers=admin).json[
                    "settings"], {**settings, "kind": "changed"})
                document["settings"]["kind"] = document["settings"]["token"]  # a mask in the open
                self.assertEqual(service.request(
                    "PUT", f"/integrations/{name}", document, page).status, 422)
            answer = service.request("GET", "/integrations/lines", headers=page)
            self.assertEqual(answer.body.count(b"[secret:"), 7)  # of no provider


class Validation(unittest.TestCase):
    environment = {}

    def setUp(self):
        path = self.enterContext(tempfile.TemporaryDirectory())
        Providers.put(path, "line", SCHEMA)
        self.service = self.enterContext(Service(
            VALIDATE_SETTINGS="on", PROVIDERS_DIR=path, **self.environment))

    def faults(self, answer):
        self.assertEqual(answer.status, 422, answer.body)
        return [(".".join(map(str, item["loc"])), item["type"]) for item in answer.json["detail"]]

    def test_what_is_switched_on_must_fit(self):
        request = self.service.request
        off = integration("facebook:shop", settings={"verify": "", "secret": 7})
        self.assertEqual(request("POST", "/integrations", off).status, 201)
        wanted = [("page_access_token", "value_error.missing"),
                  ("verify", "value_error.any_str.min_length"), ("secret", "type_error.str")]
        on = {**off, "status": True}
        for place, answer in (
                ("body", request("POST", "/integrations", {**on, "id": "facebook"})),
                ("body", request("PUT", "/integrations/facebook:shop", on)),
                ("body", request("PATCH", "/integrations/facebook:shop", {"status": True})),
                ("body.operations.0.patch", request("POST", "/integrations:batch", {"operations": [
                    {"op": "patch", "id": "facebook:shop", "patch": {"status": "on"}}]})),
                ("body.operations.1.integration", request("POST", "/integrations:batch", {"operations": [
                    {"op": "delete", "id": "facebook:shop"},
                    {"op": "create", "integration": on}]})),
                ("body.operations.0.integration", request("POST", "/integrations:batch", {"operations": [
                    {"op": "put", "integration": on}]}))):
            self.assertEqual(self.faults(answer), [
                (f"{place}.settings.{member}", kind) for member, kind in wanted])
        self.assertEqual(request("GET", "/integrations/facebook:shop").json, {
            **off, "status": False})
        self.assertEqual(request("PATCH", "/integrations/facebook:shop", {
            "status": True, "settings": {**FACEBOOK, "more": [1]}}).status, 200)
        self.assertEqual(self.faults(request("PATCH", "/integrations/facebook:shop", {
            "settings": {"verify": None}})), [("body.settings.verify", "value_error.missing")])
        self.assertEqual(request("PATCH", "/integrations/facebook:shop", {
            "status": False, "settings": {"verify": None}}).status, 200)
        self.assertEqual(request("POST", "/integrations", integration(
            "unknown", status=True, settings={"verify": 1})).status, 201)
        # What is no longer right may be switched off, renamed while it is off, and deleted.
        self.assertEqual(request("DELETE", "/integrations/facebook:shop").status, 204)

    def test_masks_are_checked_as_what_they_stand_for(self):
        admin = bearer(key(self.service.state_dir, "new", "admin", "--scopes", "secrets,write"))
        page = bearer(key(self.service.state_dir, "new", "page", "--scopes", "read,write"))
        in_force(self.service)
        stored = integration("facebook", settings=FACEBOOK)
        self.service.request("POST", "/integrations", stored, admin)
        document = self.service.request("GET", "/integrations/facebook", headers=page).json
        self.assertNotIn("planted", str(document))
        document["status"] = True
        answer = self.service.request("PUT", "/integrations/facebook", document, page)
        self.assertEqual(answer.status, 200, answer.body)
        answer = self.service.request("PATCH", "/integrations/facebook",
                                      {"settings": {"secret": "planted"}}, page)
        self.assertEqual(self.faults(answer), [("body.settings.secret", "value_error.str.regex")])
        self.assertNotIn(b"planted", answer.body)

    def test_it_agrees_with_another_validator(self):
        validator = jsonschema.Draft202012Validator(SCHEMA)
        texts = st.sampled_from(["", "a", "bc", "abca", "abcd", "one", "twö", "ü", "€uro", "\U0001f600"])
        scalars = st.one_of(texts, st.booleans(), st.none(), st.integers(-3, 5),
                            st.sampled_from([0.5, 0.25, 1.0, 2.0, 3.5, -1.0, 1e3]))
        things = st.one_of(scalars, st.lists(st.one_of(scalars, st.dictionaries(
            st.sampled_from(["x", "y"]), scalars, max_size=2)), max_size=3), st.dictionaries(
                st.sampled_from(["k", "l"]), scalars, max_size=2))
        fitting = {"token": "abc", "na/me": "abc"}
        often = {"token": ["ab", "abcd", "aü"], "na/me": ["a", "abc"], "kind": ["one", "twö"],
                 "count": [-1, 3, 2.0], "ratio": [0.5, -7], "switch": [True],
                 "list": [[{}], [{"x": "a"}], [{"x": "a"}, {"x": ""}], [{"x": "a", "y": "a"}]],
                 "map": [{}, {"k": 1}, {"k": 1, "l": 1.5}], "more": [""]}
        client = self.service.client()
        seen = {201: 0, 422: 0}

        @hypothesis.settings(max_examples=1500, deadline=None, derandomize=True, database=None,
                             suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(
            st.fixed_dictionaries({}, optional={name: st.sampled_from(values)
                                                for name, values in often.items()}),
            st.one_of(st.just({}), st.dictionaries(st.sampled_from([*often]), things, max_size=2)),
            st.integers(0, 9))
        def check(likely, changes, missing):
            settings = {**fitting, **likely, **changes}
            if missing < 2:
                del settings[("token", "na/me")[missing]]
            answer = client.request("POST", "/integrations", integration(
                "line:x", status=True, settings=settings))
            self.assertEqual(answer.status, 201 if validator.is_valid(settings) else 422,
                             (settings, answer.body))
            seen[answer.status] += 1
            if answer.status == 201:
                client.request("DELETE", "/integrations/line:x")

        check()
        self.assertGreater(min(seen.values()), 100, seen)


class ValidationWithDatabase(WithDatabase, Validation):
    pass


if __name__ == "__main__":
    unittest.main()
