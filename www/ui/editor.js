// SPDX-License-Identifier: MIT
// The editor: choosing a provider, the form, and what happens when two people edit. What is saved is only
// what was changed here, guarded by the tag of what was shown, so nobody's change is lost in silence.

import { applied, changesBetween, faultOfObject, indent, membersOf, objectOf } from "./json.js";
import { ask, jsonOf, MERGE_PATCH, pathOf, tagOf, textOf, Trouble } from "./service.js";
import { SettingsForm } from "./settings.js";

const FIELDS = ["name", "description", "status"];
const MASK = /^"\[secret:[0-9a-f]{12}\]"$/;

const $ = (id) => document.getElementById(id);

// What was there when it was opened (its settings as texts by name), with its tag (null: it is new).
let editing = null;
let held = null; // what the form made of texts, as it was filled
let form = null; // of the settings
let warned = ""; // of which faults the person knows, and may save all the same
let idIsTyped = false; // and is not made from the name any more
let tell = null; // says something to the person
let refresh = null; // reads the list

// ---- what is stored ----

/** An integration, with its tag; `settings` are texts by name. */
export async function load(id) {
  const response = await ask("GET", pathOf(id));
  const members = membersOf(await textOf(response));
  const value = (name) => JSON.parse(members.get(name));
  return {
    id: value("id"), name: value("name"), description: value("description"), status: value("status"),
    settings: membersOf(members.get("settings")), tag: tagOf(response),
  };
}

/** The JSON of an integration. */
export function bodyOf({ id, name, description, status, settings }) {
  return `${JSON.stringify({ id, name, description, status }).slice(0, -1)},"settings":${objectOf(settings)}}`;
}

/** Whether some of it was not shown, so that it cannot be made again from this. */
export const isMasked = ({ settings }) => /\[secret:[0-9a-f]{12}\]/.test(objectOf(settings));

// ---- providers ----

const schemas = new Map();

/** The schema of an integration's settings, or null. */
async function schemaFor(id) {
  const [provider] = id.split(":", 1);
  if (!schemas.has(provider)) {
    try {
      schemas.set(provider, await jsonOf(await ask("GET", `/providers/${encodeURIComponent(provider)}`)));
    } catch (trouble) {
      if (trouble.status !== 404) throw trouble;
      schemas.set(provider, null);
    }
  }
  return schemas.get(provider);
}

/** The part of an id that a name becomes. */
const slugOf = (name) =>
  name.normalize("NFKD").toLowerCase().replace(/\p{M}/gu, "").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");

function makeId() {
  if (editing?.provider === undefined || idIsTyped) return;
  const { provider, isTaken, title } = editing;
  const slug = slugOf($("f-name").value);
  $("f-id").value = isTaken || slug !== slugOf(title) ? `${provider}:${slug}` : provider;
}

export async function create() {
  const providers = await jsonOf(await ask("GET", "/providers"));
  if ($("editor").open || $("choose").open) return; // something else was opened meanwhile
  $("providers").replaceChildren(...[
    ...providers,
    { name: "", title: "Something else", description: "Of which the service knows nothing: you write its settings as JSON." },
  ].map((provider) => {
    const title = Object.assign(document.createElement("strong"), { textContent: provider.title || provider.name });
    const about = Object.assign(document.createElement("span"), { textContent: provider.description });
    const button = Object.assign(document.createElement("button"), { type: "button", value: provider.name });
    button.append(title, about);
    button.addEventListener("click", () => attempt(button, () => begin(provider)));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  $("choose-trouble").hidden = true;
  $("choose").showModal();
}

/** Opens the form for a new integration of a provider. */
async function begin({ name: provider, title }) {
  const blank = { id: "", name: "", description: "", status: false, settings: new Map(), tag: null };
  let values = blank;
  let schema = null;
  try {
    if (provider) {
      schema = await schemaFor(provider);
      const there = await jsonOf(await ask("GET", `/integrations?fields=id&id=${encodeURIComponent(provider)}`));
      values = { ...blank, provider, title, isTaken: there.length > 0, name: there.length > 0 ? "" : title };
    }
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    $("choose-trouble").textContent = trouble.message;
    $("choose-trouble").hidden = false;
    return;
  }
  if (!$("choose").open) return; // it was cancelled meanwhile
  $("choose").close();
  open(values, schema, provider ? `New integration: ${title}` : "New integration");
}

// ---- the form ----

function fill(values) {
  $("f-id").value = values.id;
  $("f-name").value = values.name;
  $("f-description").value = values.description;
  $("f-status").checked = values.status;
  form.fill(values.settings);
  if (!$("shown-settings").hidden) $("f-settings").value = indent(objectOf(values.settings));
}

function showOthers() {
  const others = form.others();
  $("others").textContent = others.length === 0 ? ""
    : `${form.isEmpty ? "There are settings" : "There are other settings, too"}: ${others.join(", ")}.`;
  $("others").hidden = others.length === 0;
}

/** Shows the settings as JSON, or in the form. */
function showJson(visible) {
  $("shown-settings").hidden = !visible;
  $("hidden-settings").hidden = visible;
  $("hide").textContent = form.isEmpty ? "Hide" : "Back to the form";
  if (!visible) {
    $("f-settings").value = ""; // secrets do not stay in the page
    showOthers();
  }
}

const isJson = () => !$("shown-settings").hidden;
const jsonText = () => $("f-settings").value.trim() || "{}";

/** What is wrong with the JSON, if the settings are shown as that. */
const faultOfJson = () => (isJson() ? faultOfObject(jsonText()) : "");

/** Shows what is wrong, and goes to the first of it. */
function showFaults(faults) {
  const ofSettings = {};
  const rest = [];
  for (const [name, fault] of Object.entries(faults)) {
    if (!name.startsWith("settings.")) continue;
    const setting = name.slice("settings.".length);
    if (!isJson() && form.fields.some((field) => field.name === setting)) ofSettings[setting] = fault;
    else rest.push(`${setting}: ${fault}`);
  }
  const shown = { ...faults, settings: [faults.settings, ...rest].filter(Boolean).join("\n") };
  const members = ["name", "id", "description", "settings"];
  for (const member of members) {
    $(`e-${member}`).textContent = shown[member] ?? "";
    $(`f-${member}`).setAttribute("aria-invalid", String(Boolean(shown[member])));
  }
  const first = members.find((member) => shown[member]);
  const field = form.tell(ofSettings);
  if (first && (first !== "settings" || !field)) (first === "settings" && !isJson() ? $("show") : $(`f-${first}`)).focus();
  else field?.focus();
}

function complain(text) {
  $("form-trouble").textContent = text;
  $("form-trouble").hidden = !text;
  if (text) $("form-trouble").scrollIntoView({ block: "nearest" });
}

/** Puts what is there into the form, in the place of what was. */
function take(values) {
  editing = values;
  fill(values);
  held = { name: $("f-name").value, description: $("f-description").value };
  showFaults({});
  showOthers();
}

function open(values, schema, title) {
  form = new SettingsForm($("members"), schema);
  idIsTyped = false;
  warned = "";
  editing = values;
  showJson(false);
  take(values);
  makeId();
  if (form.isEmpty && values.tag === null) {
    $("f-settings").value = "{}";
    showJson(true);
  }
  complain("");
  $("editor-title").textContent = title;
  $("about").textContent = schema?.description ?? "";
  $("f-id").readOnly = values.tag !== null;
  $("editor").showModal();
  $(values.tag === null && values.provider === undefined ? "f-id" : "f-name").focus();
}

function close() {
  editing = null;
  theirs = null;
  ours = null;
  $("f-settings").value = ""; // secrets do not stay in the page
  $("members").replaceChildren();
  $("differences").replaceChildren();
  $("editor").close();
}

export async function edit(id) {
  const [values, schema] = await Promise.all([load(id), schemaFor(id)]);
  if ($("editor").open || $("choose").open) return; // something else was opened meanwhile
  open(values, schema, `Edit ${values.name || values.id}`);
}

/** What the form says. A text that was not touched is what it was, whatever the form made of it. */
function written() {
  const text = (name) => ($(`f-${name}`).value === held[name] ? editing[name] : $(`f-${name}`).value);
  return {
    id: $("f-id").value,
    name: text("name"),
    description: text("description"),
    status: $("f-status").checked,
    settings: isJson() ? membersOf(jsonText()) : form.read(),
  };
}

/** What of it is not as it was: members, and settings by name (null: removed). */
function changesOf(values) {
  return {
    members: Object.fromEntries(FIELDS.filter((name) => values[name] !== editing[name]).map((name) => [name, values[name]])),
    settings: changesBetween(editing.settings, values.settings),
  };
}

const isUnchanged = ({ members, settings }) => Object.keys(members).length === 0 && settings.size === 0;

// ---- saving ----

/** Makes the changes to what is stored now. A merge patch cannot say what becomes of an object. */
function send(values, changes, stored) {
  if (stored.tag === null) return ask("POST", "/integrations", { body: bodyOf(values) });
  const { members, settings } = changes;
  if ([...settings.values()].some((value) => value?.startsWith("{") || value === "null")) {
    const whole = { ...stored, ...members, settings: applied(settings, stored.settings) };
    return ask("PUT", pathOf(values.id), { body: bodyOf(whole), tag: stored.tag });
  }
  const patch = JSON.stringify(members).slice(0, -1);
  const part = settings.size === 0 ? "" : `${patch === "{" ? "" : ","}"settings":${objectOf(settings)}`;
  return ask("PATCH", pathOf(values.id), { body: `${patch}${part}}`, tag: stored.tag, type: MERGE_PATCH });
}

/** What is wrong as far as the page can tell. */
function faultsOf(values) {
  const faults = values.status && !isJson() ? form.check() : {};
  return Object.fromEntries(Object.entries(faults).map(([name, fault]) => [`settings.${name}`, fault]));
}

async function save() {
  const broken = faultOfJson();
  complain("");
  if (broken) {
    showFaults({ settings: broken });
    return;
  }
  const values = written();
  const faults = faultsOf(values);
  showFaults(faults);
  const told = JSON.stringify(faults);
  if (told !== "{}" && told !== warned) {
    warned = told;
    complain("Something is missing, or not right. To keep it like this, save again.");
    return;
  }
  const changes = changesOf(values);
  if (editing.tag !== null && isUnchanged(changes)) {
    close();
    tell("Nothing was changed.");
    return;
  }
  await submit(values, changes, editing);
}

async function submit(values, changes, stored) {
  const mine = editing;
  try {
    await send(values, changes, stored);
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    if (editing !== mine) { // it was cancelled meanwhile
      tell(`${values.name || values.id} was not saved: ${trouble.message}`);
    } else if (trouble.status === 412) {
      await showConflict(values, changes);
    } else {
      complain(trouble.message);
      showFaults(trouble.faults);
    }
    return;
  }
  tell(`${values.name || values.id} is saved.`);
  if (editing === mine && isTypedSince(values)) await keepOpen(values.id, mine);
  else if (editing === mine) close();
  await refresh();
}

/** Whether more was typed while it was being saved. */
function isTypedSince(values) {
  if (faultOfJson()) return true;
  const now = written();
  return FIELDS.some((name) => now[name] !== values[name]) || objectOf(now.settings) !== objectOf(values.settings);
}

/** Leaves the form as it is, over what is stored now. */
async function keepOpen(id, mine) {
  try {
    const stored = await load(id);
    if (editing !== mine) return;
    editing = stored;
    $("f-id").readOnly = true;
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
  }
  complain("What you had written is saved. What you have typed since is not.");
}

/** Says early that somebody else has changed what is edited. */
export function tellOfChange(items) {
  const item = editing?.tag && items.find(({ id }) => id === editing.id);
  if (item && item.etag !== editing.tag && !$("conflict").open)
    complain("Somebody else has changed this integration meanwhile. You can go on; when you save, you see what differs.");
}

/** Escape, or a step back: not over what was typed. */
function leave(event) {
  event.preventDefault();
  if (!faultOfJson() && isUnchanged(changesOf(written()))) close();
  else complain("You have changed something: save it, or cancel.");
}

// ---- two people at once ----

let theirs = null;
let ours = null;

function cell(text) {
  const data = document.createElement("td");
  data.textContent = text;
  return data;
}

/** What became of a setting, in words if it is secret. */
function describeSetting(name, value) {
  if (value === undefined) return "(not set)";
  if (!form.isSecret(name) && !MASK.test(value)) return value.startsWith('"') ? JSON.parse(value) : indent(value);
  return value === editing.settings.get(name) ? "as it was" : editing.settings.has(name) ? "a new value" : "set";
}

const UNTOUCHED = "(not changed by you: theirs stays)";

/** Rows of what differs: a title, what they made of it, and what is written here. */
function differences(values, changes) {
  const word = (name, value) => (name === "status" ? (value ? "on" : "off") : value);
  const rows = FIELDS.filter((name) => theirs[name] !== values[name])
    .map((name) => [name, word(name, theirs[name]), name in changes.members ? word(name, values[name]) : UNTOUCHED]);
  const names = new Set([...theirs.settings.keys(), ...values.settings.keys()]);
  for (const name of names) {
    const [their, our] = [theirs.settings.get(name), values.settings.get(name)];
    if (their !== our) rows.push([form.titleOf(name), describeSetting(name, their),
      changes.settings.has(name) ? describeSetting(name, our) : UNTOUCHED]);
  }
  return rows;
}

async function showConflict(values, changes) {
  const mine = editing;
  let found;
  try {
    found = await load(values.id);
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    if (editing === mine) complain(trouble.status === 404
      ? "Somebody has deleted this integration. To have it again, copy what you need, and create a new one."
      : trouble.message);
    return;
  }
  if (editing !== mine) return;
  theirs = found;
  ours = { values, changes };
  const rows = differences(values, changes);
  if (rows.length === 0) { // they wrote the same
    close();
    tell(`${values.name || values.id} is saved.`);
    await refresh();
    return;
  }
  $("differences").replaceChildren(...rows.map(([title, their, our]) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = title;
    row.append(head, cell(their), cell(our));
    return row;
  }));
  $("conflict").showModal();
  $("keep-editing").focus();
}

// ---- controls ----

/** Does what a control is for, once at a time; it keeps the focus. */
export async function attempt(control, action) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    tell(trouble.message);
  } finally {
    control.removeAttribute("aria-busy");
  }
}

/** Begins. `say` tells the person something, `reread` shows the list anew. */
export function start(say, reread) {
  tell = say;
  refresh = reread;
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt($("save"), save);
  });
  $("cancel").addEventListener("click", close);
  $("editor").addEventListener("keydown", (event) => { if (event.key === "Escape") leave(event); });
  $("editor").addEventListener("cancel", leave);
  $("editor").addEventListener("close", () => { if (editing) $("editor").showModal(); });
  $("choose-cancel").addEventListener("click", () => $("choose").close());
  $("f-name").addEventListener("input", makeId);
  $("f-id").addEventListener("input", () => { idIsTyped = true; });
  $("show").addEventListener("click", () => {
    $("f-settings").value = indent(objectOf(form.read()));
    showJson(true);
    $("f-settings").focus();
  });
  $("hide").addEventListener("click", () => {
    const fault = faultOfJson();
    $("e-settings").textContent = fault;
    if (fault) return;
    form.fill(membersOf(jsonText()));
    showJson(false);
    $("show").focus();
  });
  $("f-settings").addEventListener("input", () => {
    const fault = faultOfJson();
    $("e-settings").textContent = fault;
    $("f-settings").setAttribute("aria-invalid", String(Boolean(fault)));
  });
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
    attempt($("save"), () => submit(ours.values, ours.changes, theirs));
  });
}
