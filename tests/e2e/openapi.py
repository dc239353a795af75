# SPDX-License-Identifier: MIT
"""What the API's document promises, as values: its operations, requests made of its schemas, and
answers held against it."""

import json
import os
import tempfile
import urllib.parse

# Hypothesis would keep what it finds in the working directory.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(tempfile.gettempdir(), "hypothesis"))

import jsonschema  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

METHODS = "get", "post", "put", "patch", "delete"
TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2 ** 70, 2 ** 70) | TEXT |
    st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6)


class Document:
    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def operations(self):
        """(method, path, operation), and all parameters of each."""
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    parameters = item.get("parameters", []) + item[method].get("parameters", [])
                    yield method, path, item[method], [self.resolve(one) for one in parameters]

    def content(self, node):
        return self.resolve(node).get("content", {})

    def examples(self):
        """(where, schema, value) of each."""
        def walk(where, node):
            if isinstance(node, dict):
                if "schema" in node:
                    for name, example in node.get("examples", {}).items():
                        yield f"{where}: {name}", node["schema"], example["value"]
                for key, inner in node.items():
                    yield from walk(f"{where}/{key}", inner)
            elif isinstance(node, list):
                for inner in node:
                    yield from walk(where, inner)
        yield from walk("", self.document)

    def faults(self, schema, value):
        """What is wrong with a value."""
        validator = jsonschema.Draft202012Validator(
            {"allOf": [schema], "components": self.document["components"]})
        return [f"{list(fault.absolute_path)}: {fault.message[:200]}"
                for fault in validator.iter_errors(value)]

    def faults_of_answer(self, operation, answer):
        """What of an answer is not as the operation's description says."""
        described = operation["responses"].get(str(answer.status))
        if described is None:
            return [f"the status {answer.status} is not described"]
        described = self.resolve(described)
        faults = [f"the header {name} is not described" for name in
                  ("ETag", "Link", "Location", "Last-Modified", "Retry-After", "Accept-Patch",
                   "X-Replica")
                  if answer.headers.get(name) and name not in described.get("headers", {})]
        for name, header in described.get("headers", {}).items():
            value = answer.headers.get(name)
            schema = self.resolve(header)["schema"]
            if value is not None and schema["type"] == "string":
                faults += self.faults(schema, value)
        content = described.get("content", {})
        kind = (answer.headers.get("Content-Type") or "").partition(";")[0]
        if not content:
            return faults + (["a body that is not described"] if answer.body else [])
        if kind not in content:
            return faults + [f"the type {kind} is not described for {answer.status}"]
        if not kind.endswith("json"):
            return faults
        return faults + self.faults(content[kind].get("schema", {}), answer.json)

    # ---- values that fit a schema ----

    def values(self, schema):
        schema = self.resolve(schema)
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "oneOf" in schema:
            return st.one_of([self.values(one) for one in schema["oneOf"]])
        kinds = schema.get("type", [])
        if isinstance(kinds, list):
            return st.one_of([self.values({**schema, "type": kind}) for kind in kinds]) \
                if kinds else ANYTHING
        return getattr(self, f"values_of_{kinds}")(schema)

    def values_of_null(self, _):
        return st.none()

    def values_of_boolean(self, _):
        return st.booleans()

    def values_of_integer(self, schema):
        return st.integers(schema.get("minimum"), schema.get("maximum"))

    def values_of_string(self, schema):
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True).map(str.strip)
        few = st.sampled_from(["a", "b", "c", "ü/ö", "%2F"])  # so that requests meet
        return few | st.text(st.characters(blacklist_categories=("Cs",)),
                             min_size=schema.get("minLength", 0), max_size=30)

    def values_of_array(self, schema):
        return st.lists(self.values(schema.get("items", {})), min_size=schema.get("minItems", 0),
                        max_size=4)

    def values_of_object(self, schema):
        properties = schema.get("properties", {})
        required = set(schema.get("required", []))
        known = st.fixed_dictionaries(
            {name: self.values(properties[name]) for name in required},
            optional={name: self.values(inner) for name, inner in properties.items()
                      if name not in required})
        if schema.get("additionalProperties") is not True:
            return known
        return st.builds(lambda more, some: {**more, **some},
                         st.dictionaries(TEXT, ANYTHING, max_size=3), known)


def as_text(value):
    return value if isinstance(value, str) else json.dumps(value)


@st.composite
def requests(draw, document, method, path, operation, parameters):
    """(method, target, headers, body) of an operation: most of them as described, some with a
    parameter or a body that is not."""
    spoilt = draw(st.sampled_from([None, None, None, "parameters", "value", "bytes"]))
    headers, query = {}, []
    for parameter in parameters:
        place, name = parameter["in"], parameter["name"]
        if place != "path" and draw(st.booleans()):
            continue
        if spoilt == "parameters":
            value = draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1,
                                 max_size=12))
        else:
            value = draw(document.values(parameter["schema"]))
        several = value if isinstance(value, list) else [value]
        if place == "path":
            path = path.replace("{" + name + "}", urllib.parse.quote(as_text(value), safe=""))
        elif place == "query" and parameter.get("explode", True):
            query += [(name, as_text(one)) for one in several]
        elif place == "query":
            query.append((name, ",".join(as_text(one) for one in several)))
        else:
            text = draw(st.sampled_from(['"1"', '"1", W/"2"', "*", "no-cache"])) \
                if spoilt is None else as_text(value)
            headers[name] = "".join(c for c in text if " " <= c <= "~")
    body = None
    if "requestBody" in operation:
        content = document.content(operation["requestBody"])
        headers["Content-Type"] = draw(st.sampled_from(sorted(content)))
        value = document.values(content[headers["Content-Type"]]["schema"])
        if spoilt == "bytes":
            body = draw(st.binary(max_size=40))
        elif spoilt == "value":
            body = json.dumps(draw(ANYTHING)).encode()
        else:
            body = json.dumps(draw(value)).encode()
    if draw(st.booleans()):
        headers["Accept"] = "application/problem+json"
    return method.upper(), path + ("?" + urllib.parse.urlencode(query) if query else ""), headers, body
