// SPDX-License-Identifier: MIT
// The admin page: the list. It keeps nothing in the browser but a key, for this tab only, and shows secrets only when asked. What it
// changes is guarded by the ETag of what it has shown, so nobody's change is lost in silence (docs/api.md).

import { attempt, create, edit, isMasked, load, start, tellOfChange } from "./editor.js";
import { ask, jsonOf, MERGE_PATCH, nextOf, pathOf, tagOf, Trouble, UNREACHABLE } from "./service.js";

const POLL_MS = 3000;
const PAGE = 100;
const TRIES = 5; // of what somebody else's changes interrupt

const $ = (id) => document.getElementById(id);

// ---- the list ----

const list = { items: [], tag: null, pages: 1, timer: 0, run: 0 };

function query(after) {
  const parameters = new URLSearchParams({ limit: PAGE, fields: "id,name,description,status,etag" });
  if ($("q").value.trim()) parameters.set("q", $("q").value.trim());
  if ($("status").value) parameters.set("status", $("status").value);
  if (after) parameters.set("after", after);
  return "?" + parameters;
}

/** Reads the pages that are shown; null: there is nothing new. */
async function readList() {
  const first = await ask("GET", "/integrations" + query(), { known: list.tag });
  if (first.status === 304) return null;
  const items = await jsonOf(first);
  let next = nextOf(first);
  for (let page = 1; page < list.pages && next; page++) {
    const response = await ask("GET", "/integrations" + query(next));
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
  control.disabled = document.body.classList.contains("read-only");
  control.setAttribute("aria-label", `${item.name || item.id}: ${item.status ? "on" : "off"}`);
  row.querySelector(".word").textContent = item.status ? "on" : "off";
  row.querySelector(".edit").setAttribute("aria-label", `Edit ${item.name || item.id}`);
  row.querySelector(".past").setAttribute("aria-label", `History of ${item.name || item.id}`);
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
  $("empty").textContent = filtered ? "Nothing matches." : "There are no integrations yet.";
  $("empty").hidden = shown.length > 0;
  $("more").hidden = !list.next;
  tellOfChange(list.items);
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
  const before = await load(item.id);
  if (before.tag !== item.etag) {
    await refresh();
    throw new Trouble(`${item.name || item.id} has just been changed by somebody else. Look at it, then delete it if you still want to.`);
  }
  const name = item.name || item.id;
  if (isMasked(before) && !(await confirm(`Delete ${name}?`))) return;
  await ask("DELETE", pathOf(item.id), { tag: before.tag });
  say(`${name} is deleted.`, { name, before });
  await refresh();
}

/** Few people need it. */
const loadHistory = () => import("./history.js").catch(() => { throw new Trouble(UNREACHABLE); });

/** Asks yes or no. */
function confirm(question) {
  const dialog = $("confirm");
  $("confirm-title").textContent = question;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => { dialog.onclose = () => resolve(dialog.returnValue === "yes"); });
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
      if (!$("undo").hidden) $("undo").focus();
    } else if (control.classList.contains("past")) {
      await (await loadHistory()).openHistory(item, say, refresh);
    } else {
      await edit(item.id);
    }
  });
});

$("undo").addEventListener("click", () => attempt($("undo"), async () => {
  const { name, before } = undo;
  await (await loadHistory()).bringBack(before);
  say(`${name} is back.`, null);
  await refresh();
}));

// ---- starting ----

start(say, refresh);
$("deleted").addEventListener("click", () => attempt($("deleted"), async () => {
  await (await loadHistory()).openDeleted(say, refresh);
}));
$("new").addEventListener("click", () => attempt($("new"), create));

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
