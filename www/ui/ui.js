// SPDX-License-Identifier: MIT
// The admin page. It keeps nothing in the browser but a key, for this tab only, and shows settings only when asked. What it changes is
// guarded by the ETag of what it has shown, so nobody's change is lost in silence (docs/api.md).

const API = "../integrations";
const POLL_MS = 3000;
const PAGE = 100;
const MERGE_PATCH = "application/merge-patch+json";
const TRIES = 5; // of what somebody else's changes interrupt
const BUSY = "It is being changed again and again. Try again in a moment.";
const UNREACHABLE = "The service cannot be reached. Nothing is lost; try again.";
const FIELDS = ["name", "description", "status"];

const $ = (id) => document.getElementById(id);

// ---- the service ----

/** What went wrong, in words; `faults` are the contract's, by member. */
class Trouble extends Error {
  constructor(message, { status = 0, faults = {}, tag = null } = {}) {
    super(message);
    Object.assign(this, { status, faults, tag });
  }
}

function explain(status, detail) {
  const words = {
    400: detail === "integration id already exists" ? "There is an integration with this id already." : detail,
    401: "You are not let in: sign in, and try again.",
    403: detail.startsWith("the key lacks") ? `Your key may not do this: ${detail.slice(8)}.` : "You are not let in.",
    404: "There is no such integration any more: somebody has deleted it.",
    412: "Somebody else has changed this integration meanwhile.",
    413: "This is too large.",
    422: "The service does not take this; what is wrong is said below.",
    502: "The service is not reachable now. Nothing is lost; try again.",
    503: "The service cannot do this now. Nothing is lost; try again in a moment.",
    504: "The service did not answer in time. Look whether it was done, and try again.",
    507: "The service has no room for more: its administrator must make some.",
  };
  return words[status] ?? `The service answered ${status}${detail ? `: ${detail}` : ""}.`;
}

function faultsOf(detail) {
  const faults = {};
  for (const { loc, msg } of Array.isArray(detail) ? detail : []) {
    const member = typeof loc[1] === "string" ? loc[1] : "settings";
    faults[member] = (faults[member] ? faults[member] + "\n" : "") + msg;
  }
  return faults;
}

/** The text of an answer, whose end may be lost on the way. */
const textOf = (response) => response.text().catch(() => { throw new Trouble(UNREACHABLE); });
const jsonOf = async (response) => JSON.parse(await textOf(response));

// ---- the key ----

const KEY = "integration-service key"; // in sessionStorage: for this tab, until it is closed
const DECLINED = "This service asks for a key. Reload the page to give one.";
let key = null; // the promise of one, while the dialog is open
let declined = false;

function showWhetherKeyed() {
  $("forget").hidden = sessionStorage.getItem(KEY) === null;
}

/** Has a person type a key; rejects if there is none to be had. All that wait are given the same. */
function askForKey(why) {
  if (declined) return Promise.reject(new Trouble(DECLINED, { status: 401 }));
  key ??= new Promise((resolve, reject) => {
    $("key-trouble").textContent = why;
    $("key-trouble").hidden = !why;
    $("key-form").onsubmit = (event) => {
      event.preventDefault();
      const typed = $("f-key").value.trim();
      if (!typed) return;
      sessionStorage.setItem(KEY, typed);
      showWhetherKeyed();
      $("key").close("given");
    };
    $("key").onclose = () => {
      $("f-key").value = "";
      key = null;
      declined = $("key").returnValue !== "given";
      $("key").returnValue = "";
      if (declined) reject(new Trouble(DECLINED, { status: 401 }));
      else resolve();
    };
    $("key").showModal();
    $("f-key").focus();
  });
  return key;
}

/** Whether the answer asks for a key; a server in front may ask for something else. */
const wantsKey = (response) =>
  response.status === 401 && /^Bearer realm="integrations"/.test(response.headers.get("WWW-Authenticate") ?? "");

/** Sends a request with the key, asking for one as long as there is none that counts. */
async function sendWithKey(path, options) {
  for (;;) {
    const used = sessionStorage.getItem(KEY);
    const headers = { ...options.headers };
    if (used !== null) headers["X-API-Key"] = used;
    let response;
    try {
      response = await fetch(API + path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(30000) });
    } catch {
      throw new Trouble(UNREACHABLE);
    }
    if (!wantsKey(response)) return response;
    if (sessionStorage.getItem(KEY) !== used) continue; // another was typed meanwhile
    const { detail } = await response.json().catch(() => ({ detail: "" }));
    await askForKey(used === null ? "" : `Not let in: ${detail}.`);
  }
}

/** Asks the service; the answer is a success, or 304. */
async function ask(method, path, { body, tag, known, type = "application/json" } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = type;
  if (tag) headers["If-Match"] = tag;
  if (known) headers["If-None-Match"] = known;
  const response = await sendWithKey(path, { method, headers, body });
  if (response.ok || response.status === 304) return response;
  const detail = await response.json().then((json) => json.detail, () => "");
  throw new Trouble(explain(response.status, typeof detail === "string" ? detail : ""), {
    status: response.status,
    faults: faultsOf(detail),
    tag: tagOf(response),
  });
}

/** The tag of an answer; a server that compresses makes "7-1" into W/"7-1" or "7-1-gzip". */
function tagOf(response) {
  const version = /^(?:W\/)?"(\d+-\d+|[0-9a-f]{64})(?:-[a-z]+)?"$/.exec(response.headers.get("ETag") ?? "")?.[1];
  return version === undefined ? null : `"${version}"`;
}

const pathOf = (id) => "/" + encodeURIComponent(id);

/** An integration without its settings, and its tag. */
async function load(id) {
  const response = await ask("GET", pathOf(id) + "?fields=id,name,description,status");
  return { ...(await jsonOf(response)), settings: null, tag: tagOf(response) };
}

/** Its settings, as the text that they are (no number is rounded), and the tag that they have. */
async function loadSettings(id) {
  const response = await ask("GET", pathOf(id) + "?fields=settings");
  return { settings: (await textOf(response)).slice('{"settings":'.length, -1), tag: tagOf(response) };
}

/** Both, of one moment. */
async function loadWhole(id) {
  for (let tries = 0; tries < TRIES; tries++) {
    const values = await load(id);
    const { settings, tag } = await loadSettings(id);
    if (tag === values.tag) return { ...values, settings };
  }
  throw new Trouble(BUSY);
}

/** The JSON of an integration whose settings are a text. */
function bodyOf(values) {
  const head = JSON.stringify({ id: values.id, name: values.name, description: values.description, status: values.status });
  return `${head.slice(0, -1)},"settings":${values.settings}}`;
}

// ---- JSON as text ----

/** Indents JSON without touching its strings and numbers. */
function indent(text) {
  const parts = [];
  let depth = 0;
  let opened = false; // the last token was an opening bracket
  const line = () => "\n" + "  ".repeat(depth);
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gsu)) {
    const closes = token === "}" || token === "]";
    if (closes) depth--;
    if (closes ? !opened : opened) parts.push(line());
    opened = token === "{" || token === "[";
    if (opened) depth++;
    parts.push(token);
    if (token === ",") parts.push(line());
    if (token === ":") parts.push(" ");
  }
  return parts.join("");
}

/** What is wrong with the text of settings; empty: nothing. */
function faultOfSettings(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? "" : "Settings are an object: { … }";
}

// ---- the list ----

const list = { items: [], tag: null, pages: 1, timer: 0, run: 0 };

function query(after) {
  const parameters = new URLSearchParams({ limit: PAGE, fields: "id,name,description,status,etag" });
  if ($("q").value.trim()) parameters.set("q", $("q").value.trim());
  if ($("status").value) parameters.set("status", $("status").value);
  if (after) parameters.set("after", after);
  return "?" + parameters;
}

const nextOf = (response) => /[?&]after=([0-9a-f]+)>; rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];

/** Reads the pages that are shown; null: there is nothing new. */
async function readList() {
  const first = await ask("GET", query(), { known: list.tag });
  if (first.status === 304) return null;
  const items = await jsonOf(first);
  let next = nextOf(first);
  for (let page = 1; page < list.pages && next; page++) {
    const response = await ask("GET", query(next));
    items.push(...(await jsonOf(response)));
    next = nextOf(response);
  }
  return { items, tag: tagOf(first), next };
}

function fillRow(row, item) {
  row.dataset.id = item.id;
  row.querySelector("h2").textContent = item.name || item.id;
  row.querySelector("code").textContent = item.id;
  row.querySelector("p").textContent = item.description;
  const control = row.querySelector(".switch");
  control.setAttribute("aria-checked", String(item.status));
  control.setAttribute("aria-label", `${item.name || item.id}: ${item.status ? "on" : "off"}`);
  row.querySelector(".word").textContent = item.status ? "on" : "off";
  row.querySelector(".edit").setAttribute("aria-label", `Edit ${item.name || item.id}`);
  row.querySelector(".delete").setAttribute("aria-label", `Delete ${item.name || item.id}`);
}

/** Shows the list; rows that stay keep the focus. */
function showList() {
  const rows = new Map([...$("list").children].map((row) => [row.dataset.id, row]));
  const shown = list.items.map((item) => {
    const row = rows.get(item.id) ?? $("row").content.firstElementChild.cloneNode(true);
    fillRow(row, item);
    return row;
  });
  const kept = new Set(shown);
  for (const row of rows.values()) if (!kept.has(row)) row.remove();
  shown.forEach((row, place) => {
    if ($("list").children[place] !== row) $("list").insertBefore(row, $("list").children[place] ?? null);
  });
  const filtered = $("q").value.trim() || $("status").value;
  $("empty").textContent = filtered ? "No integration is like that." : "There are no integrations yet.";
  $("empty").hidden = shown.length > 0;
  $("more").hidden = !list.next;
  tellOfChange();
}

/** Reads and shows what is new, now and then again. */
async function refresh() {
  const run = ++list.run;
  clearTimeout(list.timer);
  try {
    const news = await readList();
    if (run !== list.run) return; // another one has begun
    if (news) {
      Object.assign(list, news);
      showList();
    }
    $("trouble").hidden = true;
  } catch (trouble) {
    if (run !== list.run) return;
    $("trouble").textContent = `${trouble.message} The list may be old.`;
    $("trouble").hidden = false;
  }
  list.timer = setTimeout(() => (document.hidden ? undefined : refresh()), POLL_MS);
}

function askAnew() {
  list.tag = null;
  list.pages = 1;
  return refresh();
}

// ---- messages ----

let undo = null;

/** Tells something. What can be undone stays so, until that is done or the next thing can be. */
function say(text, undoing = undo) {
  $("message-text").textContent = text;
  $("message").classList.toggle("empty", !text);
  undo = undoing;
  $("undo").hidden = undo === null;
  $("undo").textContent = undo === null ? "" : `Undo deleting ${undo.name}`;
}

/** Does what a control is for, once at a time; it keeps the focus. */
async function attempt(control, action) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    say(trouble.message);
  } finally {
    control.removeAttribute("aria-busy");
  }
}

// ---- switching, deleting ----

async function setStatus(item, status) {
  let tag = item.etag;
  for (let tries = 1; ; tries++) {
    try {
      await ask("PATCH", pathOf(item.id), { body: JSON.stringify({ status }), tag, type: MERGE_PATCH });
      return;
    } catch (trouble) {
      // Whatever else was changed stays; only the status is ours.
      if (trouble.status !== 412 || !trouble.tag || trouble.tag === tag || tries === TRIES) throw trouble;
      tag = trouble.tag;
    }
  }
}

async function remove(item) {
  const before = await loadWhole(item.id);
  if (before.tag !== item.etag) {
    await refresh();
    throw new Trouble(`${item.name || item.id} has just been changed by somebody else. Look at it, then delete it if you still want to.`);
  }
  await ask("DELETE", pathOf(item.id), { tag: before.tag });
  const name = item.name || item.id;
  say(`${name} is deleted.`, { name, before });
  await refresh();
}

$("list").addEventListener("click", (event) => {
  const control = event.target.closest("button");
  const item = list.items.find(({ id }) => id === control?.closest("li").dataset.id);
  if (!item) return;
  attempt(control, async () => {
    if (control.classList.contains("switch")) {
      await setStatus(item, !item.status);
      say(`${item.name || item.id} is ${item.status ? "off" : "on"} now.`);
      await refresh();
    } else if (control.classList.contains("delete")) {
      await remove(item);
      $("undo").focus();
    } else {
      await edit(item.id);
    }
  });
});

$("undo").addEventListener("click", () => attempt($("undo"), async () => {
  const { name, before } = undo;
  await ask("POST", "", { body: bodyOf(before) });
  say(`${name} is back, at the end of the list.`, null);
  await refresh();
}));

// ---- the editor ----

// What was there when it was opened, with its tag (null: it is new), and its settings once they were asked for.
let editing = null;
let held = null; // what the form made of it, as it was filled

function fill(values) {
  $("f-id").value = values.id;
  $("f-name").value = values.name;
  $("f-description").value = values.description;
  $("f-status").checked = values.status;
  $("f-settings").value = values.settings === null ? "" : indent(values.settings);
}

function showSettings(visible) {
  $("shown-settings").hidden = !visible;
  $("hidden-settings").hidden = visible;
}

function showFaults(faults) {
  const members = ["id", "name", "description", "settings"];
  for (const member of members) {
    $(`e-${member}`).textContent = faults[member] ?? "";
    $(`f-${member}`).setAttribute("aria-invalid", String(Boolean(faults[member])));
  }
  const first = members.find((member) => faults[member]);
  if (first === "settings" && editing.settings !== null) showSettings(true);
  if (first) $(`f-${first}`).focus();
}

function complain(text) {
  $("form-trouble").textContent = text;
  $("form-trouble").hidden = !text;
}

/** Puts what is there into the form, in the place of what was. */
function take(values) {
  editing = values;
  fill(values);
  held = { name: $("f-name").value, description: $("f-description").value };
  showSettings(values.settings !== null);
  showFaults({});
}

function open(values, title) {
  take(values);
  complain("");
  $("editor-title").textContent = title;
  $("f-id").readOnly = values.tag !== null;
  $("editor").showModal();
  $(values.tag === null ? "f-id" : "f-name").focus();
}

function close() {
  editing = null;
  theirs = null;
  ours = null;
  $("f-settings").value = ""; // secrets do not stay in the page
  $("differences").replaceChildren();
  $("editor").close();
}

async function edit(id) {
  const values = await load(id);
  if ($("editor").open) return; // something else was opened meanwhile
  open(values, `Edit ${values.name || values.id}`);
}

/** What the form says; settings that were not asked for are null. A text that was not touched is what it
 * was, whatever the form made of it. */
function written() {
  const text = (name) => ($(`f-${name}`).value === held[name] ? editing[name] : $(`f-${name}`).value);
  return {
    id: $("f-id").value,
    name: text("name"),
    description: text("description"),
    status: $("f-status").checked,
    settings: editing.settings === null ? null : $("f-settings").value.trim() || "{}",
  };
}

const settingsDiffer = (one, other) =>
  one.settings !== null && other.settings !== null && indent(one.settings) !== indent(other.settings);

/** The names of what differs between two of them. */
function differing(one, other) {
  return [...FIELDS.filter((name) => one[name] !== other[name]), ...(settingsDiffer(one, other) ? ["settings"] : [])];
}

/** Only settings that were changed are sent: others stay byte for byte. */
function send(values) {
  const path = pathOf(values.id);
  if (editing.tag === null) return ask("POST", "", { body: bodyOf(values) });
  if (settingsDiffer(values, editing)) return ask("PUT", path, { body: bodyOf(values), tag: editing.tag });
  const { name, description, status } = values;
  return ask("PATCH", path, { body: JSON.stringify({ name, description, status }), tag: editing.tag, type: MERGE_PATCH });
}

async function save() {
  const values = written();
  const fault = values.settings === null ? "" : faultOfSettings(values.settings);
  complain("");
  showFaults(fault ? { settings: fault } : {});
  if (!fault) await submit(values);
}

async function submit(values) {
  const mine = editing;
  try {
    await send(values);
  } catch (trouble) {
    if (editing !== mine) { // it was cancelled meanwhile
      say(`${values.name || values.id} was not saved: ${trouble.message}`);
    } else if (trouble.status === 412) {
      await showConflict(values);
    } else {
      complain(trouble.message);
      showFaults(trouble.faults ?? {});
    }
    return;
  }
  if (editing === mine) close();
  say(`${values.name || values.id} is saved.`);
  await refresh();
}

/** Says early that somebody else has changed what is edited. */
function tellOfChange() {
  const item = editing?.tag && list.items.find(({ id }) => id === editing.id);
  if (item && item.etag !== editing.tag && !$("conflict").open)
    complain("Somebody else has changed this integration meanwhile. You can go on; when you save, you see what differs.");
}

$("new").addEventListener("click", () =>
  open({ id: "", name: "", description: "", status: false, settings: "{}", tag: null }, "New integration"));
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt($("save"), save);
});
$("cancel").addEventListener("click", close);
/** Escape, or a step back: not over what was typed. */
function leave(event) {
  event.preventDefault();
  if (differing(written(), editing).length === 0) close();
  else complain("You have changed something: save it, or cancel.");
}
$("editor").addEventListener("keydown", (event) => { if (event.key === "Escape") leave(event); });
$("editor").addEventListener("cancel", leave);
$("editor").addEventListener("close", () => { if (editing) $("editor").showModal(); });
$("show").addEventListener("click", () => attempt($("show"), async () => {
  const mine = editing;
  try {
    if (mine.settings === null) {
      const { settings } = await loadSettings(mine.id);
      if (editing !== mine) return; // another one is in the form now
      mine.settings = settings;
      $("f-settings").value = indent(settings);
    }
    showSettings(true);
    $("f-settings").focus();
  } catch (trouble) {
    if (editing === mine) complain(trouble.message);
  }
}));
$("hide").addEventListener("click", () => {
  showSettings(false);
  $("show").focus();
});
$("f-settings").addEventListener("input", () => {
  const fault = faultOfSettings($("f-settings").value.trim() || "{}");
  $("e-settings").textContent = fault;
  $("f-settings").setAttribute("aria-invalid", String(Boolean(fault)));
});

// ---- two people at once ----

let theirs = null;
let ours = null;

function cell(text) {
  const data = document.createElement("td");
  data.textContent = text;
  return data;
}

function describe(values, name) {
  if (name === "status") return values.status ? "on" : "off";
  return name === "settings" ? indent(values.settings) : values[name];
}

async function showConflict(values) {
  const mine = editing;
  let found;
  try {
    found = await (values.settings === null ? load : loadWhole)(values.id);
  } catch (trouble) {
    if (editing === mine) complain(trouble.status === 404
      ? "Somebody has deleted this integration. To have it again, copy what you need, and create a new one."
      : trouble.message);
    return;
  }
  if (editing !== mine) return;
  theirs = found;
  ours = values;
  const names = differing(theirs, ours);
  if (names.length === 0) { // what differs was not asked for here, or they wrote the same
    editing = theirs;
    await submit(ours);
    return;
  }
  $("differences").replaceChildren(...names.map((name) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head, cell(describe(theirs, name)), cell(describe(ours, name)));
    return row;
  }));
  $("conflict").showModal();
  $("keep-editing").focus();
}

$("keep-editing").addEventListener("click", () => {
  $("conflict").close();
  complain("This is not saved yet.");
});
$("take-theirs").addEventListener("click", () => {
  $("conflict").close();
  take(theirs);
  complain("This is what they saved.");
});
$("save-mine").addEventListener("click", () => {
  $("conflict").close();
  editing = theirs;
  attempt($("save"), () => submit(ours));
});

// ---- starting ----

$("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.reload(); // nothing that it let be seen stays
});
$("key-cancel").addEventListener("click", () => $("key").close());
showWhetherKeyed();

let typing = 0;
$("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(askAnew, 200);
});
$("status").addEventListener("change", askAnew);
$("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  askAnew();
});
$("more").addEventListener("click", () => attempt($("more"), async () => {
  list.pages++;
  list.tag = null;
  await refresh();
}));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
