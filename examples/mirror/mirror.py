#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mirrors the integrations of a service in memory: a whole list first, then what changes.

    mirror.py http://127.0.0.1:8000 [KEY]
"""

import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


class Mirror:
    def __init__(self, base, key=None):
        self.base, self.headers = base, {"X-API-Key": key} if key else {}
        self.integrations, self.cursor = {}, None

    def get(self, path, **headers):
        request = urllib.request.Request(self.base + path, headers={**self.headers, **headers})
        with urllib.request.urlopen(request, timeout=40) as answer:
            return json.load(answer), answer.headers

    def read_all(self):
        """Reads the list, page by page; changes since its first page come with the cursor of that."""
        self.integrations, path, cursor = {}, "/integrations?limit=100", None
        while path:
            page, headers = self.get(path)
            self.integrations.update((item["id"], item) for item in page)
            cursor = cursor or headers["X-Changes-Cursor"]
            link = re.match("<(.*)>", headers["Link"] or "")
            path = link and "/integrations" + link[1].partition("/integrations")[2]
        self.cursor = cursor

    def follow(self, wait=25):
        """Waits for changes, and takes them over; returns their number."""
        try:
            feed, _ = self.get(f"/changes?after={self.cursor}&wait={wait}")
        except urllib.error.HTTPError as error:
            if error.code != 410:
                raise
            return self.read_all()  # it was away for too long, or a backup was restored
        for identity in {change["id"] for change in feed["changes"]}:
            try:  # as it is in the database, not in a replica, which may lag behind the feed
                path = "/integrations/" + urllib.parse.quote(identity, safe="")
                self.integrations[identity] = self.get(path, **{"Cache-Control": "no-cache"})[0]
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                self.integrations.pop(identity, None)
        self.cursor = feed["next"]
        return len(feed["changes"])


if __name__ == "__main__":
    mirror = Mirror(*sys.argv[1:])
    mirror.read_all()
    while True:
        print(len(mirror.integrations), "integrations", flush=True)
        try:
            mirror.follow()
        except OSError as error:
            print("again in a second:", error, file=sys.stderr)
            time.sleep(1)
