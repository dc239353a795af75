// SPDX-License-Identifier: MIT
// What an integration was: who changed what when, member by member, and making it again what it was. Of settings it
// shows names alone, never a value.

import { attempt, bodyOf } from "./editor.js";
import { ask, jsonOf, nextOf, pathOf, tagOf, Trouble } from "./service.js";
import { make } from "./settings.js";

const PAGE = 20;
const DELETED = 50; // of those deleted last, at most
const WORDS = { create: "created it", replace: "changed it", remove: "deleted it" };

const $ = (id) => document.getElementById(id);

// Whose history is open, with its versions so far, the tag that it has now (null: it is deleted), and the link to more.
let past = null;
let tell = null; // says something to the person
let refresh = null; // reads the list

async function readPage() {
  const parameters = new URLSearchParams({ limit: PAGE });
  if (past.next) parameters.set("after", past.next);
  const response = await ask("GET", `${pathOf(past.id)}/history?${parameters}`);
  past.versions.push(...(await jsonOf(response)));
  past.next = nextOf(response);
}

const shown = (value) => (typeof value === "boolean" ? (value ? "on" : "off") : `“${value}”`);

/** What became of a member, in words; `before` and `after` are integrations, or undefined. */
function describe(member, before, after) {
  const [outer, ...inner] = member.split(".");
  if (outer !== "settings") return `${outer}: ${shown(before[outer])} → ${shown(after[outer])}`;
  const name = inner.join(".");
  const word = !Object.hasOwn(before.settings, name) ? "set" : Object.hasOwn(after.settings, name) ? "replaced" : "removed";
  return `${name}: ${word}`;
}

function differences(version, before) {
  if (!before?.document || !version.document) return [];
  return version.members.map((member) => describe(member, before.document, version.document));
}

function rowOf(version, before, isNow) {
  const when = new Date(version.at).toLocaleString();
  const row = make("li", {},
    make("p", {},
      make("strong", { className: "who", textContent: `${version.by ?? "Somebody"} ${WORDS[version.operation]}` }), " ",
      make("time", { dateTime: version.at, textContent: when }), isNow ? " (this is how it is now)" : ""),
    make("ul", {}, ...differences(version, before).map((textContent) => make("li", { textContent }))));
  if (isNow || !version.document) return row;
  const control = make("button", { type: "button", textContent: "Restore", ariaLabel: `Restore what it was on ${when}` });
  control.addEventListener("click", () => attempt(control, () => restore(version)));
  row.append(control);
  return row;
}

function show() {
  $("versions").replaceChildren(...past.versions.map((version, place) =>
    rowOf(version, past.versions[place + 1], place === 0)));
  $("older").hidden = !past.next;
}

/** Makes an integration again what it was after a revision, if it still has this tag; null: if there is none. */
const restoreTo = (id, revision, tag) =>
  ask("POST", `${pathOf(id)}/restore`, { body: JSON.stringify({ revision }), tag, known: tag ? null : "*" });

/** The same, of what is shown. */
async function restore({ revision, at }) {
  const { id, name, tag } = past;
  try {
    await restoreTo(id, revision, tag);
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    $("past-trouble").textContent = trouble.message;
    $("past-trouble").hidden = false;
    return;
  }
  $("past").close();
  tell(`${name} is again what it was on ${new Date(at).toLocaleString()}.`);
  await refresh();
}

function open(title, empty = "") {
  $("past-title").textContent = title;
  $("past-trouble").hidden = true;
  $("past-empty").textContent = empty;
  $("past-empty").hidden = !empty;
  tell("");
  if (!$("past").open) $("past").showModal();
}

async function openVersions(id, name, tag) {
  past = { id, name, versions: [], tag, next: null };
  await readPage();
  show();
  open(`What ${name} was`);
}

/** Opens the history of an integration of the list. `say` tells the person something, `reread` shows the list anew. */
export async function openHistory({ id, name }, say, reread) {
  tell = say;
  refresh = reread;
  await openVersions(id, name || id, tagOf(await ask("GET", `${pathOf(id)}?fields=id`)));
}

// ---- what was deleted ----

/** Brings back what was deleted: the service still has it, and what this page must not see of it; or else, what was seen. */
export async function bringBack(item) {
  const told = await ask("GET", `${pathOf(item.id)}/history?limit=2`).catch((trouble) => {
    if (trouble.status !== 404) throw trouble;
  });
  const [removal, last] = told ? await jsonOf(told) : [];
  if (removal && removal.operation !== "remove") throw new Trouble("Somebody has made it again already.");
  if (last?.document) await restoreTo(item.id, last.revision, null);
  else await ask("POST", "/integrations", { body: bodyOf(item) });
}

/** The last deletion of each integration that is not there, the latest first. */
async function readDeleted() {
  const last = new Map();
  for (let after = "", more = true; more;) {
    const page = await jsonOf(await ask("GET", `/changes?operation=remove&limit=1000&after=${encodeURIComponent(after)}`));
    for (const change of page.changes) {
      last.delete(change.id); // so that it comes last
      last.set(change.id, change);
    }
    ({ next: after, more } = page);
  }
  const latest = [...last.values()].reverse().slice(0, DELETED);
  if (latest.length === 0) return [];
  const parameters = new URLSearchParams([["fields", "id"], ...latest.map(({ id }) => ["id", id])]);
  const there = new Set((await jsonOf(await ask("GET", `/integrations?${parameters}`))).map(({ id }) => id));
  return latest.filter(({ id }) => !there.has(id));
}

function deletedRowOf({ id, by, at }) {
  const control = make("button", { type: "button", textContent: "History", ariaLabel: `History of ${id}` });
  control.addEventListener("click", () => attempt(control, () => openVersions(id, id, null)));
  return make("li", {},
    make("p", {}, make("code", { textContent: id }), " ",
      make("strong", { className: "who", textContent: `${by ?? "Somebody"} ${WORDS.remove}` }), " ",
      make("time", { dateTime: at, textContent: new Date(at).toLocaleString() })), control);
}

/** Opens what was deleted, from where each can be looked at and restored. */
export async function openDeleted(say, reread) {
  tell = say;
  refresh = reread;
  const deleted = await readDeleted();
  $("versions").replaceChildren(...deleted.map(deletedRowOf));
  $("older").hidden = true;
  open("Recently deleted", deleted.length === 0 ? "Nothing that is still known was deleted." : "");
}

$("past-close").addEventListener("click", () => $("past").close());
$("older").addEventListener("click", () => attempt($("older"), async () => {
  await readPage();
  show();
}));
