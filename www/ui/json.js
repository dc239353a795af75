// SPDX-License-Identifier: MIT
// JSON as text: what is not changed stays as it is, every digit of a number included.

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gsu;

/** Without white space. */
export const compact = (text) => [...text.matchAll(TOKENS)].map(([token]) => token).join("");

/** Indented. */
export function indent(text) {
  const parts = [];
  let depth = 0;
  let opened = false; // the last token was an opening bracket
  const line = () => "\n" + "  ".repeat(depth);
  for (const [token] of text.matchAll(TOKENS)) {
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

/** The members of an object by name, each as compact text; the last of a name counts. */
export function membersOf(text) {
  const members = new Map();
  let depth = 0;
  let name = null;
  let parts = [];
  for (const [token] of text.matchAll(TOKENS)) {
    const closes = token === "}" || token === "]";
    if (closes) depth--;
    if (depth === 0 || (depth === 1 && token === ",")) {
      if (name !== null) members.set(name, parts.join(""));
      name = null;
      parts = [];
    } else if (depth === 1 && name === null) {
      name = JSON.parse(token);
    } else if (depth > 1 || token !== ":") {
      parts.push(token);
    }
    if (token === "{" || token === "[") depth++;
  }
  return members;
}

/** The text of an object with these members. */
export const objectOf = (members) =>
  `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;

/** What makes `before` into `after`: the new texts by name, null for what is gone. */
export function changesBetween(before, after) {
  const changes = new Map();
  for (const [name, value] of after) if (before.get(name) !== value) changes.set(name, value);
  for (const name of before.keys()) if (!after.has(name)) changes.set(name, null);
  return changes;
}

export function applied(changes, members) {
  const result = new Map(members);
  for (const [name, value] of changes) {
    if (value === null) result.delete(name);
    else result.set(name, value);
  }
  return result;
}

/** What is wrong with a text that should be an object; empty: nothing. */
export function faultOfObject(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? "" : "Settings are an object: { … }";
}
