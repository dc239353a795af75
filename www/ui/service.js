// SPDX-License-Identifier: MIT
// Asking the service, with a key where it needs one. The key is kept for this tab only.

const ROOT = "..";
export const MERGE_PATCH = "application/merge-patch+json";
export const UNREACHABLE = "The service cannot be reached. Nothing is lost; try again.";

const $ = (id) => document.getElementById(id);

/** What went wrong, in words; `faults` are the contract's, by member. */
export class Trouble extends Error {
  constructor(message, { status = 0, faults = {}, tag = null } = {}) {
    super(message);
    Object.assign(this, { status, faults, tag });
  }
}

function explain(status, detail) {
  const words = {
    400: detail === "integration id already exists" ? "There is an integration with this id already." : detail,
    401: "You are not let in: sign in, and try again.",
    403: detail.startsWith("the key ") ? `Your ${detail.slice(4)}.` : "You are not let in.",
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

/** What is wrong, by member; of settings as "settings.NAME", too. */
function faultsOf(detail) {
  const faults = {};
  for (const { loc, msg } of Array.isArray(detail) ? detail : []) {
    const member = typeof loc[1] !== "string" ? "settings"
      : loc[1] === "settings" && typeof loc[2] === "string" ? `settings.${loc[2]}` : loc[1];
    faults[member] = (faults[member] ? faults[member] + "\n" : "") + msg;
  }
  return faults;
}

/** The text of an answer, whose end may be lost on the way. */
export const textOf = (response) => response.text().catch(() => { throw new Trouble(UNREACHABLE); });
export const jsonOf = async (response) => JSON.parse(await textOf(response));

// ---- the key ----

const KEY = "integration-service key"; // in sessionStorage: for this tab, until it is closed
const DECLINED = "This service asks for a key. Reload the page to give one.";
let key = null; // the promise of one, while the dialog is open
let declined = false;

/** What the key may do, as the last answer said: a set of scopes; null: none is needed. */
export let scopes = null;

const MAY = {
  "write,secrets": "Your key may see and change everything.",
  "write": "Your key may change everything; secrets stay hidden.",
  "secrets": "Your key may see everything, and change nothing.",
  "": "Your key may look, and change nothing; secrets stay hidden.",
};

/** Tells what the key may do, where people and the style sheet see it. */
function showWhatIsAllowed() {
  const held = sessionStorage.getItem(KEY) !== null;
  const allowed = (scope) => scopes === null || scopes.has(scope);
  $("forget").hidden = !held;
  $("allowed").textContent = held && scopes !== null
    ? MAY[["write", "secrets"].filter((scope) => scopes.has(scope)).join()] : "";
  document.body.classList.toggle("read-only", !allowed("write"));
}

function takeScopes(response) {
  const told = response.headers.get("X-Key-Scopes");
  if (response.ok || response.status === 304) scopes = told === null ? null : new Set(told.split(","));
  showWhatIsAllowed();
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
      response = await fetch(ROOT + path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(30000) });
    } catch {
      throw new Trouble(UNREACHABLE);
    }
    if (!wantsKey(response)) {
      takeScopes(response);
      return response;
    }
    if (sessionStorage.getItem(KEY) !== used) continue; // another was typed meanwhile
    const { detail } = await response.json().catch(() => ({ detail: "" }));
    await askForKey(used === null ? "" : `Not let in: ${detail}.`);
  }
}

/** Asks the service; the answer is a success, or 304. */
export async function ask(method, path, { body, tag, known, type = "application/json" } = {}) {
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
export function tagOf(response) {
  const version = /^(?:W\/)?"(\d+-\d+|[0-9a-f]{64})(?:-[a-z]+)?"$/.exec(response.headers.get("ETag") ?? "")?.[1];
  return version === undefined ? null : `"${version}"`;
}

/** Where the next page begins; undefined: this is the last. */
export const nextOf = (response) => /[?&]after=([0-9a-f]+)>; rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];

export const pathOf = (id) => "/integrations/" + encodeURIComponent(id);

$("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.reload(); // nothing that it let be seen stays
});
$("key-cancel").addEventListener("click", () => $("key").close());
showWhatIsAllowed();
