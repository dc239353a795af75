// SPDX-License-Identifier: MIT
// What an integration was: who changed what when, member by member, and making it again what it was. Of settings it
// shows names alone, never a value.

import { attempt } from "./editor.js";
import { ask, jsonOf, nextOf, pathOf, tagOf, Trouble } from "./service.js";
import { make } from "./settings.js";

const PAGE = 20;
const WORDS = { create: "created it", replace: "changed it", remove: "deleted it" };

const $ = (id) => document.getElementById(id);

// Whose history is open, with its versions so far, the tag that it has now, and the link to more of them.
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

/** Makes it again what it was, if it still is what is shown. */
async function restore({ revision, at }) {
  const { id, name, tag } = past;
  try {
    await ask("POST", `${pathOf(id)}/restore`, { body: JSON.stringify({ revision }), tag });
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

/** Opens the history of an integration of the list. `say` tells the person something, `reread` shows the list anew. */
export async function openHistory({ id, name }, say, reread) {
  tell = say;
  refresh = reread;
  const now = await ask("GET", `${pathOf(id)}?fields=id`);
  past = { id, name: name || id, versions: [], tag: tagOf(now), next: null };
  await readPage();
  show();
  $("past-trouble").hidden = true;
  $("past-title").textContent = `What ${past.name} was`;
  tell("");
  $("past").showModal();
}

$("past-close").addEventListener("click", () => $("past").close());
$("older").addEventListener("click", () => attempt($("older"), async () => {
  await readPage();
  show();
}));
