# SPDX-License-Identifier: MIT
"""Debian's Chromium without a screen, as a context manager."""

import json
import os
import shutil
import tempfile
from urllib.parse import urlsplit

import npm
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from service import PATIENCE

FLAGS = ("--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync "
         "--disable-extensions --disable-default-apps --no-proxy-server --hide-scrollbars").split()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Browser:
    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="integration-chromium-")
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for flag in [*FLAGS, "--user-data-dir=" + self.home,
                     # No name is looked up: what is not on this machine cannot be reached.
                     "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service("/usr/bin/chromedriver", log_path=os.devnull,
                          env={**os.environ, "HOME": self.home})
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_page_load_timeout(30 * PATIENCE)
        self.driver.set_script_timeout(60 * PATIENCE)
        self.driver.get("about:blank")
        self.console()
        self.requests()
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self.home, ignore_errors=True)

    def show(self, width, height=800, scheme="light"):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def get(self, url):
        self.driver.get(url)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, what, condition):
        WebDriverWait(self.driver, 15 * PATIENCE).until(
            lambda _: condition(), f"waited in vain for: {what}")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def console(self):
        """What the page said there since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """(method, host, path, status, bytes) of what was asked since the last call."""
        sent, answered, sizes = {}, {}, {}
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            values = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                sent[values["requestId"]] = values["request"]
            elif event["method"] == "Network.responseReceived":
                answered[values["requestId"]] = values["response"]["status"]
            elif event["method"] == "Network.loadingFinished":
                sizes[values["requestId"]] = values["encodedDataLength"]
        return [(request["method"], urlsplit(request["url"]).netloc, urlsplit(request["url"]).path,
                 answered.get(number), sizes.get(number, 0))
                for number, request in sent.items()
                if request["url"].startswith(("http:", "https:"))]

    def accessibility(self):
        """What is wrong with the page as it is, by the rules of axe-core."""
        path = os.path.join(npm.install(), "node_modules", "axe-core", "axe.min.js")
        with open(path, encoding="utf-8") as file:
            self.run(file.read())
        result = self.driver.execute_async_script(
            "const done = arguments[1];"
            "axe.run(document, {runOnly: {type: 'tag', values: arguments[0]}}).then("
            "  r => done(r.violations.map(v => [v.id, v.nodes.map(n => n.html)])),"
            "  e => done(['failed', String(e)]))", RULES)
        return result
