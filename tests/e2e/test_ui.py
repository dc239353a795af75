# SPDX-License-Identifier: MIT
"""The admin page, and the one that shows the API's document, in a real browser."""

import functools
import http.server
import json
import os
import tempfile
import threading
import time
import unittest

from browser import Browser
from keys import bearer, in_force, key
from selenium.webdriver.common.keys import Keys
from service import PROGRAM, Service, integration, wait_for

PICTURES = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "pictures")
BIG = "123456789012345678901234567890"


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser().__enter__()
        cls.addClassCleanup(cls.browser.__exit__)
        os.makedirs(PICTURES, exist_ok=True)

    def setUp(self):
        self.service = Service(LOG_LEVEL="warning")
        self.service.__enter__()
        self.addCleanup(self.service.__exit__, None, None, None)
        self.url = f"http://127.0.0.1:{self.service.port}"
        self.browser.get("about:blank")
        self.browser.console()  # what other tests left
        self.browser.requests()
        self.create("facebook", name="Facebook Messenger", description="Connect with it",
                    settings={"page_access_token": "planted-token"})
        self.create("chat_widget", name="Chat Widget", description="On your web site", status=True)

    # ---- what a person does and sees ----

    def create(self, identity, **members):
        answer = self.service.request("POST", "/integrations", integration(identity, **members))
        self.assertEqual(answer.status, 201)

    def stored(self, identity):
        return self.service.request("GET", f"/integrations/{identity}")

    def open(self, width=1280, scheme="light"):
        self.browser.show(width, scheme=scheme)
        self.browser.get(self.url + "/ui/")
        self.browser.wait("the list", lambda: self.ids())

    def ids(self):
        return self.browser.run("return [...document.querySelectorAll('#list li')].map(r => r.dataset.id)")

    def row(self, identity, selector):
        return self.browser.find(f'#list li[data-id="{identity}"] {selector}')

    def write(self, field, text):
        element = self.browser.find(f"#f-{field}")
        element.send_keys(Keys.CONTROL, "a")
        element.send_keys(Keys.DELETE)
        element.send_keys(text)

    def click(self, selector):
        self.browser.find(selector).click()

    def text(self, selector):
        return self.browser.find(selector).text

    def expect_text(self, selector, part):
        self.browser.wait(f"{part!r} in {selector}", lambda: part in self.text(selector))

    def edit(self, identity):
        self.row(identity, ".edit").click()
        self.browser.wait("the editor", lambda: self.browser.find("#editor").is_displayed())

    def editor_is_closed(self):
        self.browser.wait("the editor's end",
                          lambda: not self.browser.find("#editor").is_displayed())

    def looks_right(self, name, width):
        """Nobody is shut out, nothing sticks out, and a picture of it is kept to be looked at."""
        self.browser.driver.save_screenshot(os.path.join(PICTURES, f"{name}-{width}.png"))
        self.assertEqual(self.browser.accessibility(), [], name)
        self.assertLessEqual(
            self.browser.run("return document.documentElement.scrollWidth"), width, name)

    def nothing_went_wrong(self, *expected):
        """On the console stands only what the browser says of answers that are expected."""
        told = [line for line in self.browser.console()
                if not any(f"status of {status}" in line for status in expected)]
        self.assertEqual(told, [])
        for method, host, path, _, _ in self.browser.requests():
            self.assertEqual(host, f"127.0.0.1:{self.service.port}", (method, path))
        self.assertEqual(self.browser.run(
            "return [localStorage.length, sessionStorage.length, document.cookie]"), [0, 0, ""])

    # ---- the tests ----

    def test_looks(self):
        for width in 360, 1280:
            for scheme in "light", "dark":
                self.open(width, scheme)
                self.looks_right(f"list-{scheme}", width)
                self.edit("facebook")
                self.click("#show")
                self.browser.wait("the settings",
                                  lambda: self.browser.find("#f-settings").is_displayed())
                self.looks_right(f"editor-{scheme}", width)
                self.click("#cancel")
                self.editor_is_closed()
        self.nothing_went_wrong()

    def key_dialog(self, shown=True):
        self.browser.wait("the dialog", lambda: self.browser.find("#key").is_displayed() == shown)

    def type_key(self, text):
        self.key_dialog()
        self.browser.find("#f-key").send_keys(text, Keys.ENTER)

    def test_a_key_is_asked_for(self):
        reads = key(self.service.state_dir, "new", "reads", "--scopes", "secrets")
        all_ = key(self.service.state_dir, "new", "all", "--scopes", "secrets,write")
        in_force(self.service)
        for width in 360, 1280:
            for scheme in "light", "dark":
                self.browser.show(width, scheme=scheme)
                self.browser.get(self.url + "/ui/")
                self.key_dialog()
                self.looks_right(f"key-{scheme}", width)
        self.assertEqual(self.ids(), [])
        self.type_key(reads[:-1] + ("0" if reads[-1] != "0" else "1"))
        self.expect_text("#key-trouble", "the key is unknown")
        self.looks_right("key-unknown", 1280)
        self.type_key(reads)
        self.key_dialog(shown=False)
        self.browser.wait("the list", lambda: self.ids() == ["facebook", "chat_widget"])
        self.looks_right("keyed", 1280)
        self.expect_text("#allowed", "Your key may see everything, and change nothing.")
        self.assertFalse(self.row("chat_widget", ".switch").is_enabled())
        for selector in "#new", ".delete":
            self.assertFalse(self.browser.find(selector).is_displayed())
        self.assertTrue(self.browser.run("return document.cookie === '' && !localStorage.length"))
        self.click("#forget")
        self.key_dialog()
        self.browser.find("#f-key").send_keys(Keys.ESCAPE)  # no key, and no dialog again and again
        self.expect_text("#trouble", "asks for a key")
        time.sleep(4)
        self.key_dialog(shown=False)
        self.browser.get(self.url + "/ui/")
        self.type_key(all_)
        self.browser.wait("the list", lambda: self.ids())
        self.expect_text("#allowed", "Your key may see and change everything.")
        self.row("chat_widget", ".switch").click()
        self.expect_text("#message-text", "off")
        self.service.stop()
        self.service.start()
        self.browser.wait("what is stored", lambda: self.service.request(
            "GET", "/integrations/chat_widget", headers=bearer(all_)).json["status"] is False)
        self.assertEqual(self.browser.run("return Object.keys(sessionStorage)"),
                         ["integration-service key"])
        self.browser.run("sessionStorage.clear()")

    def test_it_is_small_and_quick(self):
        self.browser.requests()
        self.open()
        asked = self.browser.requests()
        self.assertLess(sum(size for *_, size in asked), 60000, asked)
        # Polls that follow are 304.
        self.assertEqual([(method, path) for method, _, path, status, _ in asked
                          if "integrations" in path and status == 200], [("GET", "/integrations")])
        for method, path in ("GET", "/ui"), ("GET", "/docs/"):
            self.assertEqual(self.service.request(method, path).status, 308)
        policy = self.service.request("GET", "/ui/").headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'; script-src 'self'", policy)
        self.assertNotIn("unsafe", policy)

    def choose(self, provider):
        self.click("#new")
        self.browser.wait("the providers", lambda: self.browser.find("#choose").is_displayed())
        self.click(f'#providers button[value="{provider}"]')
        self.browser.wait("the editor", lambda: self.browser.find("#editor").is_displayed())

    def test_create(self):
        for width in 360, 1280:
            self.open(width)
            self.choose("")
            self.write("id", f"new/{width}")
            self.write("name", "Neu: ü & <b>")
            self.write("settings", '{"n": ' + BIG + ', "a": [1, {}]')
            self.click("#save")
            self.expect_text("#e-settings", "This is not JSON")
            self.looks_right("faults", width)
            self.browser.find("#f-settings").send_keys("}")
            self.browser.wait("no fault", lambda: self.text("#e-settings") == "")
            self.click("#f-status")
            self.click("#save")
            self.editor_is_closed()
            self.browser.wait("the row", lambda: f"new/{width}" in self.ids())
            self.assertEqual(self.row(f"new/{width}", "h2").text, "Neu: ü & <b>")
            self.assertIn(BIG.encode(), self.stored(f"new%2F{width}").body)
            self.choose("")
            self.write("id", f"new/{width}")
            self.click("#save")
            self.expect_text("#form-trouble", "There is an integration with this id already")
            self.write("id", "..")
            self.click("#save")
            self.expect_text("#e-id", "id must have 1 to 255 bytes")
            self.click("#cancel")
        self.nothing_went_wrong(400, 422)

    def field(self, name):
        """The element of a setting in the form, by its title."""
        return self.browser.run(
            "return [...document.querySelectorAll('.member')].find("
            "  (member) => member.querySelector('label').textContent.startsWith(arguments[0]))", name)

    def press(self, name, button):
        found = next(one for one in self.field(name).find_elements("css selector", "button")
                     if one.text == button)
        self.browser.run("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def type_into(self, name, text):
        self.field(name).find_element("css selector", "input").send_keys(text)

    def fault_of(self, name):
        return self.field(name).find_element("css selector", ".fault").text

    SHOP = {"verify": "planted-verify", "secret": "0123456789abcdef" * 2, "page_access_token": "EAAplanted"}

    def test_create_with_a_form(self):
        for width, number in (360, 1), (1280, 2):
            self.open(width)
            self.click("#new")
            self.browser.wait("the providers", lambda: len(self.browser.all("#providers button")) == 7)
            self.looks_right("providers", width)
            self.click('#providers button[value="facebook"]')
            self.expect_text("#editor-title", "New integration: Facebook Messenger")
            self.write("name", f"Shöp  {number}!")
            self.assertEqual(self.browser.find("#f-id").get_attribute("value"), f"facebook:shop-{number}")
            self.click("#f-status")
            self.type_into("Verify token", self.SHOP["verify"])
            self.type_into("App secret", "wrong")
            self.click("#save")
            self.expect_text("#form-trouble", "Something is missing, or not right")
            self.assertIn("does not look like", self.fault_of("App secret"))
            self.assertIn("needed while", self.fault_of("Page access token"))
            self.assertEqual(self.fault_of("Verify token"), "")
            self.looks_right("form-faults", width)
            self.assertEqual(self.stored(f"facebook:shop-{number}").status, 404)
            self.field("App secret").find_element("css selector", "input").clear()
            self.type_into("App secret", self.SHOP["secret"])
            self.press("App secret", "Show")
            self.type_into("Page access token", self.SHOP["page_access_token"])
            self.looks_right("form-filled", width)
            self.click("#save")
            self.editor_is_closed()
            stored = self.stored(f"facebook:shop-{number}").json
            self.assertEqual((stored["name"], stored["status"], stored["settings"]),
                             (f"Shöp  {number}!", True, self.SHOP))
            # Of one that is not there yet, the name of the provider is the id.
            self.choose("telegram")
            self.assertEqual(self.browser.find("#f-id").get_attribute("value"), "telegram")
            self.write("name", "Ours")
            self.assertEqual(self.browser.find("#f-id").get_attribute("value"), "telegram:ours")
            self.write("id", "mine")
            self.write("name", "Other")
            self.assertEqual(self.browser.find("#f-id").get_attribute("value"), "mine")
            self.click("#cancel")
        self.nothing_went_wrong(404)

    def test_secrets_in_the_form(self):
        """Set, replaced, removed and kept, and never in the page before a person types one."""
        other = {"n": 1, "on": None}
        self.create("facebook:shop", settings={**self.SHOP, "other": other})
        before = self.stored("facebook:shop").body
        for width in 360, 1280:
            self.open(width)
            self.edit("facebook:shop")
            self.expect_text("#others", "There are other settings, too: other.")
            self.assertIn("Set, and hidden.", self.field("App secret").text)
            self.looks_right("form-set", width)
            self.press("App secret", "Replace")
            self.looks_right("form-replace", width)
            self.press("App secret", "Keep what is set")
            self.press("App secret", "Replace")
            self.type_into("App secret", "f" * 32)
            self.press("Page access token", "Remove")
            self.assertIn("Will be removed.", self.field("Page access token").text)
            self.press("Verify token", "Remove")
            self.press("Verify token", "Keep what is set")
            self.looks_right("form-removed", width)
            for secret in self.SHOP.values():
                self.assertNotIn(secret, self.browser.driver.page_source)
                self.assertNotIn(secret, self.browser.run(
                    "return [...document.querySelectorAll('input,textarea')].map(e => e.value).join()"))
            self.click("#save")
            self.editor_is_closed()
            stored = json.loads(self.stored("facebook:shop").body)
            self.assertEqual(stored["settings"], {"verify": "planted-verify", "secret": "f" * 32, "other": other})
            self.service.request("PUT", "/integrations/facebook:shop", before.decode(),
                                 {"Content-Type": "application/json"})
        # From the form to JSON and back, nothing is lost.
        self.browser.wait("the list", lambda: "facebook:shop" in self.ids())
        self.edit("facebook:shop")
        self.press("App secret", "Replace")
        self.type_into("App secret", "e" * 32)
        self.click("#show")
        self.assertEqual(json.loads(self.browser.find("#f-settings").get_attribute("value")),
                         {**self.SHOP, "secret": "e" * 32, "other": other})
        self.browser.run("const s = document.querySelector('#f-settings');"
                         "s.value = s.value.replace('planted-verify', 'typed')")
        self.click("#hide")
        self.click("#save")
        self.editor_is_closed()
        self.assertEqual(self.stored("facebook:shop").json["settings"],
                         {**self.SHOP, "secret": "e" * 32, "verify": "typed", "other": other})
        self.nothing_went_wrong()

    def test_a_key_that_sees_no_secrets(self):
        self.create("facebook:shop", settings=self.SHOP)
        admin = bearer(key(self.service.state_dir, "new", "admin", "--scopes", "secrets,write"))
        page = key(self.service.state_dir, "new", "page", "--scopes", "read,write")
        in_force(self.service)

        def stored():
            return self.service.request("GET", "/integrations/facebook:shop", headers=admin)

        self.browser.show(1280)
        self.browser.get(self.url + "/ui/")
        self.type_key(page)
        self.browser.wait("the list", lambda: self.ids())
        self.expect_text("#allowed", "Your key may change everything; secrets stay hidden.")
        self.edit("facebook:shop")
        self.write("name", "renamed")
        self.press("Page access token", "Replace")
        self.type_into("Page access token", "EAAnew")
        self.click("#save")
        self.editor_is_closed()
        self.assertEqual(stored().json, integration("facebook:shop", name="renamed", status=False, settings={
            **self.SHOP, "page_access_token": "EAAnew"}))
        self.edit("facebook:shop")
        self.click("#show")  # as JSON, masks may be sent back
        self.assertIn("[secret:", self.browser.find("#f-settings").get_attribute("value"))
        self.browser.run("const s = document.querySelector('#f-settings');"
                         "s.value = s.value.replace('{', '{\"more\": {\"a\": null}, ')")
        self.click("#save")
        self.editor_is_closed()
        self.assertEqual(stored().json["settings"], {
            **self.SHOP, "page_access_token": "EAAnew", "more": {"a": None}})
        before = stored().body
        self.row("facebook:shop", ".delete").click()
        self.browser.wait("the question", lambda: self.browser.find("#confirm").is_displayed())
        self.looks_right("confirm", 1280)
        self.click("#confirm-no")
        self.assertEqual(stored().status, 200)
        self.row("facebook:shop", ".delete").click()
        self.browser.wait("the question", lambda: self.browser.find("#confirm").is_displayed())
        self.click("#confirm-yes")
        self.browser.wait("it is gone", lambda: "facebook:shop" not in self.ids())
        self.assertEqual(stored().status, 404)
        self.click("#undo")  # although the page has seen masks only
        self.browser.wait("it is back", lambda: "facebook:shop" in self.ids())
        self.assertEqual(stored().body, before)
        self.browser.run("sessionStorage.clear()")

    def test_faults_of_settings_stand_at_their_fields(self):
        self.service.stop()
        self.service.environment["VALIDATE_SETTINGS"] = "on"
        self.service.start()
        self.create("slack", settings={"signing_secret": "0" * 32})
        self.open()
        self.row("slack", ".switch").click()
        self.expect_text("#message-text", "The service does not take this")
        self.edit("slack")
        self.type_into("Bot token", "xoxb-1")
        self.press("Signing secret", "Remove")
        self.click("#f-status")
        self.click("#save")
        self.expect_text("#form-trouble", "Something is missing")
        self.click("#save")  # the page lets it through; the service does not
        self.expect_text("#form-trouble", "The service does not take this")
        self.assertEqual(self.fault_of("Signing secret"), "field required")
        self.looks_right("form-refused", 1280)
        self.press("Signing secret", "Keep what is set")
        self.click("#save")
        self.editor_is_closed()
        self.assertTrue(self.stored("slack").json["status"])
        self.edit("slack")
        self.click("#show")
        self.browser.run("const s = document.querySelector('#f-settings'); s.value = '{}'")
        self.click("#save")
        self.expect_text("#e-settings", "signing_secret: field required")
        self.expect_text("#e-settings", "bot_token: field required")
        self.click("#cancel")

    def keys(self, *keys):
        for one in keys:
            self.browser.driver.switch_to.active_element.send_keys(one)

    def focus_on(self, wanted):
        """Goes on with Tab to what has this id, title or label."""
        for _ in range(60):
            if wanted in self.browser.run(
                    "const e = document.activeElement; return [e.id, e.textContent, e.value,"
                    "e.getAttribute('aria-label'), e.labels?.[0]?.textContent]"):
                return
            self.keys(Keys.TAB)
        self.fail(f"no way to {wanted}")

    def test_by_keyboard_alone(self):
        """Creates, edits, meets a conflict, deletes and undoes."""
        self.open()
        self.focus_on("New integration")
        self.keys(Keys.ENTER)
        self.browser.wait("the providers", lambda: self.browser.all("#providers button"))
        self.focus_on("twilio")
        self.keys(Keys.ENTER)
        self.browser.wait("the editor", lambda: self.browser.find("#editor").is_displayed())
        for title, text in (("Account SID needed", "AC" + "0" * 32), ("Auth token needed", "planted"),
                            ("Sender needed", "+15005550006")):
            self.focus_on(title)
            self.keys(text)
        self.keys(Keys.ENTER)
        self.editor_is_closed()
        self.assertEqual(self.stored("twilio").json["settings"]["auth_token"], "planted")
        self.browser.wait("the row", lambda: "twilio" in self.ids())
        self.focus_on("Edit Twilio SMS")
        self.keys(Keys.ENTER)
        self.browser.wait("the editor", lambda: self.browser.find("#editor").is_displayed())
        self.focus_on("Replace Auth token")
        self.keys(Keys.ENTER)
        self.keys("mine")
        self.service.request("PATCH", "/integrations/twilio", {
            "description": "theirs", "settings": {"auth_token": "their", "from": "+15005550001"}})
        self.keys(Keys.ENTER)
        self.browser.wait("the conflict", lambda: self.browser.find("#conflict").is_displayed())
        told = self.text("#differences")
        self.assertIn("+15005550001", told)
        self.assertNotIn("mine", told)
        self.assertRegex(told, r"Auth token\s+a new value\s+a new value")
        self.looks_right("conflict-of-secrets", 1280)
        self.focus_on("save-mine")
        self.keys(Keys.ENTER)
        self.editor_is_closed()
        stored = self.stored("twilio").json
        self.assertEqual((stored["description"], stored["settings"]["from"],
                          stored["settings"]["auth_token"]), ("theirs", "+15005550001", "mine"))
        self.browser.wait("the row", lambda: self.row("twilio", "p").text == "theirs")
        self.focus_on("Delete Twilio SMS")
        self.keys(Keys.ENTER)
        self.browser.wait("it is gone", lambda: "twilio" not in self.ids())
        self.focus_on("undo")
        self.keys(Keys.ENTER)
        self.browser.wait("it is back", lambda: "twilio" in self.ids())
        self.assertEqual(self.stored("twilio").json, stored)
        self.nothing_went_wrong(412)

    def test_search_and_filter(self):
        for width in 360, 1280:
            self.open(width)
            self.browser.find("#q").send_keys("MESSENGER")
            self.browser.wait("one", lambda: self.ids() == ["facebook"])
            self.browser.find("#q").send_keys("x")
            self.expect_text("#empty", "Nothing matches")
            self.browser.find("#q").send_keys(Keys.CONTROL, "a", Keys.DELETE)
            self.browser.find("#status").send_keys("on")
            self.browser.wait("the other", lambda: self.ids() == ["chat_widget"])
        self.nothing_went_wrong()

    def test_long_lists(self):
        for number in range(150):
            self.create(f"i{number}", name=f"number {number}")
        self.open()
        self.assertEqual(len(self.ids()), 100)
        self.click("#more")
        self.browser.wait("all", lambda: len(self.ids()) == 152)
        self.assertFalse(self.browser.find("#more").is_displayed())

    def test_switch_by_click_and_key(self):
        for width, status in (360, True), (1280, False):
            self.open(width)
            switch = self.row("facebook", ".switch")
            switch.click()
            self.browser.wait("the switch", lambda: self.row(
                "facebook", ".switch").get_attribute("aria-checked") == "true")
            self.assertTrue(self.stored("facebook").json["status"])
            self.browser.driver.switch_to.active_element.send_keys(Keys.SPACE)
            wait_for("the service", lambda: not self.stored("facebook").json["status"])
            self.expect_text("#message", "is off now")
        self.assertEqual(self.stored("facebook").json["settings"],
                         {"page_access_token": "planted-token"})
        self.nothing_went_wrong()

    def test_edit(self):
        self.service.request("PATCH", "/integrations/facebook",
                             '{"settings":{"big":' + BIG + "}}", {"Content-Type": "application/json"})
        before = self.stored("facebook").body
        for width in 360, 1280:
            self.open(width)
            self.assertNotIn("planted", self.browser.driver.page_source)
            self.edit("facebook")
            self.assertNotIn("planted", self.browser.run(
                "return document.body.innerText + document.querySelector('#f-settings').value"))
            self.write("name", f"at {width}")
            self.click("#save")
            self.editor_is_closed()
            self.expect_text("#list", f"at {width}")
            self.assertEqual(self.stored("facebook").body,
                             before.replace(b"Facebook Messenger", b"at %d" % width))
            self.edit("facebook")
            self.click("#show")
            self.browser.wait("the token", lambda: "planted-token" in self.browser.find(
                "#f-settings").get_attribute("value"))
            self.browser.run("const s = document.querySelector('#f-settings');"
                             "s.value = s.value.replace('planted', 'changed')")
            self.click("#save")
            self.editor_is_closed()
            self.assertIn(b"changed-token", self.stored("facebook").body)
            self.assertIn(BIG.encode(), self.stored("facebook").body)
            self.service.request("PUT", "/integrations/facebook", before.decode(),
                                 {"Content-Type": "application/json"})
        self.nothing_went_wrong()

    def test_escape_keeps_what_was_typed(self):
        self.open()
        self.edit("facebook")
        self.write("name", "typed")
        for _ in range(3):
            self.browser.find("#f-name").send_keys(Keys.ESCAPE)
        self.expect_text("#form-trouble", "You have changed something")
        self.assertEqual(self.browser.find("#f-name").get_attribute("value"), "typed")
        self.write("name", "Facebook Messenger")
        self.browser.find("#f-name").send_keys(Keys.ESCAPE)
        self.editor_is_closed()

    def test_texts_of_several_lines_stay(self):
        self.service.request("PATCH", "/integrations/chat_widget",
                             {"name": "one\ntwo", "description": "three\r\nfour\n"})
        self.open()
        self.edit("chat_widget")
        self.browser.find("#f-name").send_keys(Keys.ESCAPE)
        self.editor_is_closed()
        self.edit("chat_widget")
        self.click("#f-status")
        self.click("#save")
        self.editor_is_closed()
        stored = self.stored("chat_widget").json
        self.assertEqual((stored["name"], stored["description"], stored["status"]),
                         ("one\ntwo", "three\r\nfour\n", False))

    def delay(self, condition, milliseconds):
        """Has answers wait of which this is true."""
        self.browser.run(f"""
            const real = window.fetch;
            window.fetch = async (url, options) => {{
                const answer = await real(url, options);
                if ({condition}) await new Promise((done) => setTimeout(done, {milliseconds}));
                return answer;
            }};""")

    def test_slow_answers_meet_no_other_form(self):
        """What was asked for one integration never comes into the form of another."""
        self.open()
        self.delay("/integrations.facebook$/.test(url) || options.method === 'PATCH'", 1500)
        self.row("facebook", ".edit").click()
        self.edit("chat_widget")
        time.sleep(2)
        self.expect_text("#editor-title", "Edit Chat Widget")
        self.assertNotIn("planted", self.browser.driver.page_source)
        self.write("name", "late")
        self.service.request("PATCH", "/integrations/chat_widget", {"description": "theirs"})
        self.click("#save")
        self.click("#cancel")
        self.expect_text("#message", "late was not saved")
        self.assertFalse(self.browser.find("#conflict").is_displayed())

    def test_what_is_typed_while_it_is_saved_stays(self):
        self.open()
        self.delay("options.method === 'PATCH'", 1000)
        self.edit("facebook")
        self.write("name", "first")
        self.click("#save")
        self.browser.find("#f-name").send_keys(" and more")
        self.expect_text("#form-trouble", "What you have typed since is not.")
        self.assertEqual(self.stored("facebook").json["name"], "first")
        self.click("#save")
        self.editor_is_closed()
        self.assertEqual(self.stored("facebook").json["name"], "first and more")

    def test_undo_waits_for_the_service(self):
        self.open()
        before = self.stored("facebook").body
        self.row("facebook", ".delete").click()
        self.browser.wait("it is gone", lambda: self.ids() == ["chat_widget"])
        self.service.stop()
        self.click("#undo")
        self.expect_text("#message", "cannot be reached")
        self.service.start()
        self.row("chat_widget", ".switch").click()
        self.expect_text("#message", "is off now")
        self.click("#undo")
        self.browser.wait("it is back", lambda: "facebook" in self.ids())
        self.assertEqual(self.stored("facebook").body, before)

    def test_large_settings_do_not_stop_the_page(self):
        self.create("large", settings={f"k{n}": {"a": [n, {}, []]} for n in range(20000)})
        self.open()
        self.edit("large")
        self.click("#show")
        self.browser.wait("the settings", lambda: len(self.browser.run(
            "return document.querySelector('#f-settings').value")) > 500000)
        self.assertEqual(json.loads(self.browser.run(
            "return document.querySelector('#f-settings').value")), self.stored("large").json["settings"])

    def test_delete_and_undo(self):
        before = self.stored("facebook").body
        for width in 360, 1280:
            self.open(width)
            self.row("facebook", ".delete").click()
            self.browser.wait("it is gone", lambda: self.ids() == ["chat_widget"])
            self.assertEqual(self.stored("facebook").status, 404)
            self.looks_right("deleted", width)
            self.click("#undo")
            self.browser.wait("it is back", lambda: self.ids() == ["facebook", "chat_widget"])
            self.assertEqual(self.stored("facebook").body, before)
        self.nothing_went_wrong(404)

    def test_what_was_is_shown_and_restored(self):
        alice = bearer(key(self.service.state_dir, "new", "alice", "--scopes", "secrets,write"))
        bob = key(self.service.state_dir, "new", "bob", "--scopes", "write,read")
        in_force(self.service)
        for members in ({"name": "Messenger"}, {"status": True, "settings": {
                "page_access_token": "another-planted-token", "verify": "v"}},
                {"settings": {"verify": None}}):
            self.assertEqual(self.service.request(
                "PATCH", "/integrations/facebook", members, alice).status, 200)
        self.browser.get(self.url + "/ui/")
        self.type_key(bob)
        self.browser.wait("the list", lambda: self.ids() == ["facebook", "chat_widget"])
        for width in 360, 1280:
            for scheme in "light", "dark":
                self.browser.show(width, scheme=scheme)
                self.row("facebook", ".past").click()
                self.browser.wait("the history", lambda: self.browser.find("#past").is_displayed())
                self.looks_right(f"history-{scheme}", width)
                self.assertNotIn("planted", self.browser.run("return document.body.innerHTML"))
                versions = self.browser.all("#versions > li")
                self.assertEqual(
                    [version.find_element("css selector", ".who").text for version in versions],
                    ["alice changed it"] * 3 + ["Somebody created it"])
                self.assertEqual(
                    [item.text for version in versions
                     for item in version.find_elements("css selector", "ul li")],
                    ["verify: removed", "page_access_token: replaced", "verify: set",
                     "status: off → on", "name: “Facebook Messenger” → “Messenger”"])
                if (width, scheme) != (1280, "dark"):
                    self.click("#past-close")
        # Somebody is quicker: nothing is overwritten.
        self.service.request("PATCH", "/integrations/facebook", {"description": "newer"}, alice)
        versions[-1].find_element("css selector", "button").click()
        self.expect_text("#past-trouble", "Somebody else has changed this integration")
        self.click("#past-close")
        self.row("facebook", ".past").click()
        self.browser.wait("it to be there", lambda: len(self.browser.all("#versions > li")) == 5)
        self.browser.all("#versions > li button")[-1].click()
        self.expect_text("#message", "Messenger is again what it was on")
        stored = self.service.request("GET", "/integrations/facebook", None, alice).json
        self.assertEqual((stored["name"], stored["settings"]),
                         ("Facebook Messenger", {"page_access_token": "planted-token"}))
        self.assertEqual(self.service.request(
            "GET", "/integrations/facebook/history?limit=1", None, alice).json[0]["by"], "bob")

    def test_undo_where_nothing_of_it_is_kept(self):
        self.service.stop()
        self.service.environment["HISTORY_VERSIONS"] = "0"
        self.service.start()
        before = self.stored("facebook").body
        self.open()
        self.row("facebook", ".delete").click()
        self.browser.wait("it is gone", lambda: self.ids() == ["chat_widget"])
        self.click("#undo")
        self.browser.wait("it is back", lambda: "facebook" in self.ids())
        self.assertEqual(self.stored("facebook").body, before)

    def test_what_was_deleted_is_found_and_restored(self):
        self.open()
        self.click("#deleted")
        self.expect_text("#past", "Nothing that is still known was deleted")
        self.click("#past-close")
        before = self.stored("facebook").body
        for identity in "again", "facebook", "last":
            if identity != "facebook":
                self.create(identity)
            self.service.request("DELETE", f"/integrations/{identity}")
        self.create("again")
        for width in 360, 1280:
            self.open(width)
            self.click("#deleted")
            self.browser.wait("the list", lambda: [
                item.text for item in self.browser.all("#versions code")] == ["last", "facebook"])
            self.looks_right("recently-deleted", width)
            self.browser.all("#versions button")[1].click()
            self.browser.wait("its history", lambda: "What facebook was" in self.text("#past"))
            self.looks_right("history-of-deleted", width)
            if width == 1280:
                break
            self.click("#past-close")
        # Somebody is quicker: nothing is overwritten.
        self.create("facebook")
        self.click("#versions button")
        self.expect_text("#past-trouble", "Somebody else has changed this integration")
        self.service.request("DELETE", "/integrations/facebook")
        self.click("#versions button")
        self.browser.wait("it is back", lambda: "facebook" in self.ids())
        self.assertEqual(self.stored("facebook").body, before)
        self.nothing_went_wrong(412)

    def test_what_others_do_is_seen(self):
        self.open()
        self.service.request("PATCH", "/integrations/facebook", {"name": "by another"})
        self.create("newest", name="Newest")
        self.browser.wait("both", lambda: self.row("facebook", "h2").text == "by another"
                          and self.ids()[-1] == "newest")
        self.browser.requests()
        self.browser.wait("a poll", lambda: any(
            status == 304 for *_, status, _ in self.browser.requests()))
        self.nothing_went_wrong()

    def test_two_people_edit(self):
        for width in 360, 1280:
            self.open(width)
            self.edit("facebook")
            self.write("name", "mine")
            self.service.request("PATCH", "/integrations/facebook",
                                 {"name": "theirs", "description": f"theirs {width}"})
            self.expect_text("#form-trouble", "Somebody else has changed")
            self.click("#save")
            self.browser.wait("the dialogue",
                              lambda: self.browser.find("#conflict").is_displayed())
            self.assertEqual(self.stored("facebook").json["name"], "theirs")
            for part in "theirs", "mine", f"theirs {width}":
                self.assertIn(part, self.text("#differences"))
            self.looks_right("conflict", width)
            self.click("#keep-editing")
            self.assertEqual(self.browser.find("#f-name").get_attribute("value"), "mine")
            self.click("#save")
            self.browser.wait("it again", lambda: self.browser.find("#conflict").is_displayed())
            self.click("#save-mine")
            self.editor_is_closed()
            self.assertEqual(self.stored("facebook").json["name"], "mine")
            self.assertEqual(self.stored("facebook").json["description"], f"theirs {width}")
            self.edit("facebook")
            self.write("name", "mine again")
            self.service.request("PATCH", "/integrations/facebook", {"name": "theirs again"})
            self.click("#save")
            self.browser.wait("the dialogue",
                              lambda: self.browser.find("#conflict").is_displayed())
            self.click("#take-theirs")
            self.assertEqual(self.browser.find("#f-name").get_attribute("value"), "theirs again")
            self.click("#cancel")
            self.assertEqual(self.stored("facebook").json["name"], "theirs again")
        self.nothing_went_wrong(412)

    def test_a_service_that_stops_takes_no_text_along(self):
        self.open()
        self.edit("facebook")
        self.write("name", "typed for long")
        self.service.stop()
        self.click("#save")
        self.expect_text("#form-trouble", "Nothing is lost; try again")
        self.assertEqual(self.browser.find("#f-name").get_attribute("value"), "typed for long")
        self.browser.wait("the list says so",
                          lambda: self.browser.find("#trouble").get_attribute("hidden") is None)
        self.service.start()
        self.click("#save")
        self.editor_is_closed()
        self.assertEqual(self.stored("facebook").json["name"], "typed for long")
        self.browser.wait("all is well",
                          lambda: self.browser.find("#trouble").get_attribute("hidden") is not None)

    def test_the_document_is_shown(self):
        self.browser.show(1280)
        for path in "/docs", "/redoc":
            self.browser.get(self.url + path)
            self.browser.wait("the viewer", lambda: "listIntegrations" in
                              self.browser.driver.page_source)
            self.assertNotIn("are not here", self.text("body"))
        self.nothing_went_wrong()

    def test_a_document_without_its_viewer(self):
        with tempfile.TemporaryDirectory() as nothing, Service(WWW_DIR=nothing) as service:
            self.browser.get(f"http://127.0.0.1:{service.port}/docs")
            self.assertIn("are not here", self.text("body"))
            self.click("a")
            self.browser.wait("the document", lambda: "listIntegrations" in
                              self.browser.driver.page_source)
        self.browser.console()
        self.browser.requests()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class ForeignPage(unittest.TestCase):
    """A page of another site, in a browser that reaches the service."""
    PAGE = """<!doctype html><title>foreign</title><script type="module">
        const [service, key] = location.hash.slice(1).split(",");
        const told = {};
        async function attempt(name, options, path = "/integrations/facebook") {
            try {
                const answer = await fetch(service + path, options);
                told[name] = answer.type === "opaque" ? "opaque" : await answer.text();
            } catch (error) {
                told[name] = "refused";
            }
        }
        for (const headers of [{}, {"X-API-Key": key}, {"Authorization": `Bearer ${key}`}])
            for (const [method, body] of [["GET"], ["PUT", "{}"], ["PATCH", "{}"], ["DELETE"], ["POST", "{}"]])
                await attempt(`${method} ${Object.keys(headers)}`, {method, body, headers},
                              method === "POST" ? "/integrations" : undefined);
        await attempt("simple GET", {mode: "no-cors"});
        await attempt("simple POST", {mode: "no-cors", method: "POST", body: new Blob([
            '{"id":"foreign","name":"","description":""}'])}, "/integrations");
        await attempt("key in the query", {}, `/integrations/facebook?key=${key}`);
        document.title = JSON.stringify(told);
        </script>"""

    def test_a_foreign_page_reads_and_changes_nothing(self):
        """With a key that it has got hold of, too: keys are for programs and for the page's own tab."""
        with tempfile.TemporaryDirectory() as directory, Browser() as browser, Service() as service:
            with open(os.path.join(directory, "index.html"), "w") as file:
                file.write(self.PAGE)
            server = http.server.ThreadingHTTPServer(
                ("127.0.0.1", 0), functools.partial(QuietHandler, directory=directory))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            service.request("POST", "/integrations", integration("facebook", settings={"a": "planted"}))
            before = service.request("GET", "/integrations").body
            made = None
            for keyed in False, True:
                if keyed:
                    made = key(service.state_dir, "new", "all", "--scopes", "secrets,write,metrics")
                    in_force(service)
                browser.get("about:blank")
                browser.get(f"http://127.0.0.1:{server.server_port}/"
                            f"#http://127.0.0.1:{service.port},{made}")
                browser.wait("the page", lambda: browser.driver.title.startswith("{"))
                told = json.loads(browser.driver.title)
                self.assertEqual(len(told), 18)
                self.assertEqual({name: answer for name, answer in told.items()
                                  if answer not in ("refused", "opaque")}, {})
                self.assertEqual(service.request("GET", "/integrations", headers={
                    "X-API-Key": made} if made else {}).body, before)


if __name__ == "__main__":
    unittest.main()
