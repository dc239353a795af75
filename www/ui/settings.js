// SPDX-License-Identifier: MIT
// The form of an integration's settings, made from its provider's schema (docs/providers.md). Secrets are
// not put into the page: a person sees whether one is set, and may set, replace or remove it.

const KINDS = { integer: /^-?\d+$/, number: /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/ };

/** Makes an element with these properties and children. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Whether a text fits a pattern; what a browser does not read as one is left to the service. */
function fits(pattern, text) {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true;
  }
}

/** Whether the form can hold a setting; others are for those who write JSON. */
const isPlain = (schema) => ["string", "integer", "number", "boolean"].includes(schema.type ?? (schema.enum && "string"));

/** A setting in the form. What it holds is JSON text, or undefined: it is not set. */
class Field {
  constructor(name, schema, needed, number) {
    Object.assign(this, { name, schema, needed, id: `s-${number}` });
    this.title = schema.title ?? name;
    this.help = make("p", { className: "help", id: `h-${this.id}`, textContent: schema.description ?? "" });
    this.trouble = make("p", { className: "fault", id: `e-${this.id}` });
    this.input = this.makeInput();
    this.input.setAttribute("aria-describedby", `${this.help.id} ${this.trouble.id}`);
    this.input.addEventListener("input", () => this.tell(""));
    if (needed) this.input.required = true;
    this.root = make("div", { className: "member" }, this.head(), ...this.body(), this.help, this.trouble);
  }

  head() {
    const label = make("label", { htmlFor: this.id, textContent: this.title });
    if (this.needed) label.append(make("span", { className: "needed", textContent: " needed" }));
    return label;
  }

  body() {
    return [this.input];
  }

  makeInput() {
    const { type, examples, enum: choices } = this.schema;
    if (choices || type === "boolean") {
      const options = choices ? choices.map((choice) => [JSON.stringify(choice), choice]) : [["true", "yes"], ["false", "no"]];
      return make("select", { id: this.id }, make("option", { value: "", textContent: "not set" }),
        ...options.map(([value, textContent]) => make("option", { value, textContent })));
    }
    return make("input", {
      id: this.id, type: "text", autocomplete: "off", spellcheck: false,
      inputMode: type === "string" ? "text" : "decimal", placeholder: examples ? String(examples[0]) : "",
    });
  }

  fill(stored) {
    this.stored = stored;
    const isText = stored?.startsWith('"') && this.input.tagName !== "SELECT";
    this.input.value = stored === undefined ? "" : isText ? JSON.parse(stored) : stored;
    this.shown = this.input.value; // what the control made of it
  }

  read() {
    const { value } = this.input;
    if (value === this.shown) return this.stored;
    if (value === "") return undefined;
    return this.input.tagName === "SELECT" || (this.schema.type !== "string" && KINDS[this.schema.type].test(value))
      ? value : JSON.stringify(value);
  }

  /** What is wrong with it, as far as a page can tell. */
  check() {
    const value = this.read();
    const { type, pattern, minLength = 0 } = this.schema;
    if (value === undefined || value === '""') return this.needed ? "This is needed while the integration is on." : "";
    if (value === this.stored) return "";
    if (type !== "string") return value.startsWith('"') && KINDS[type] ? "This is not a number." : "";
    const text = JSON.parse(value);
    if ([...text].length < minLength) return `This has at least ${minLength} characters.`;
    return pattern && !fits(pattern, text) ? "This does not look like what the provider gives out." : "";
  }

  tell(fault) {
    this.trouble.textContent = fault;
    this.input.setAttribute("aria-invalid", String(Boolean(fault)));
  }

  focus() {
    this.input.focus();
  }
}

/** A secret: what is set is not shown, and stays unless it is replaced or removed. */
class Secret extends Field {
  makeInput() {
    // Not of the type "password", into which browsers write what they keep for the site.
    return make("input", { id: this.id, type: "text", className: "concealed", autocomplete: "off", spellcheck: false });
  }

  body() {
    const button = (text, action) => make("button", {
      type: "button", textContent: text, "aria-label": `${text} ${this.title}`, onclick: action,
    });
    this.peek = button("Show", () => this.reveal(this.input.classList.contains("concealed")));
    this.keep = button("Keep what is set", () => this.become("set", this.replace));
    this.replace = button("Replace", () => this.become("typing", this.input));
    this.remove = button("Remove", () => this.become("removed", this.keep));
    this.state = make("span", { className: "state" });
    this.entry = make("div", { className: "entry" }, this.input, this.peek);
    return [make("div", { className: "secret" }, this.state, this.entry, this.replace, this.remove, this.keep)];
  }

  reveal(visible) {
    this.input.classList.toggle("concealed", !visible);
    this.peek.textContent = visible ? "Hide" : "Show";
    this.peek.setAttribute("aria-label", `${this.peek.textContent} ${this.title}`);
  }

  /** "empty": nothing is set; "set"; "typing": what is set is to be replaced; "removed". */
  become(mode, focused) {
    this.mode = mode;
    this.input.value = "";
    this.reveal(false);
    this.tell("");
    const isOpen = mode === "empty" || mode === "typing";
    this.entry.hidden = !isOpen;
    this.keep.hidden = mode === "empty" || mode === "set";
    this.replace.hidden = this.remove.hidden = mode !== "set";
    this.state.textContent = { set: "Set, and hidden.", removed: "Will be removed.", typing: "", empty: "" }[mode];
    this.state.hidden = isOpen;
    focused?.focus();
  }

  fill(stored) {
    this.stored = stored;
    this.become(stored === undefined || stored === '""' ? "empty" : "set");
  }

  read() {
    if (this.mode === "removed") return undefined;
    const isTyped = (this.mode === "empty" || this.mode === "typing") && this.input.value !== "";
    return isTyped ? JSON.stringify(this.input.value) : this.stored;
  }

  focus() {
    const shown = [this.input, this.replace, this.keep].find((element) => !element.closest("[hidden]"));
    shown?.focus();
  }
}

/** The form for a schema; settings that it does not describe stay as they are. */
export class SettingsForm {
  constructor(container, schema) {
    this.members = new Map();
    const required = new Set(schema?.required ?? []);
    this.fields = Object.entries(schema?.properties ?? {})
      .filter(([, property]) => isPlain(property))
      .map(([name, property], number) => new (schema.writeOnly || property.writeOnly ? Secret : Field)(name, property, required.has(name), number));
    container.replaceChildren(...this.fields.map((field) => field.root));
  }

  /** Takes settings over: texts by name. */
  fill(members) {
    this.members = members;
    for (const field of this.fields) field.fill(members.get(field.name));
  }

  /** The settings as the form says. */
  read() {
    const members = new Map(this.members);
    for (const field of this.fields) {
      const value = field.read();
      if (value === undefined) members.delete(field.name);
      else members.set(field.name, value);
    }
    return members;
  }

  /** The names of settings that it has no field for. */
  others() {
    const own = new Set(this.fields.map(({ name }) => name));
    return [...this.members.keys()].filter((name) => !own.has(name));
  }

  /** Shows what is wrong, by name; returns the first such field. */
  tell(faults) {
    for (const field of this.fields) field.tell(faults[field.name] ?? "");
    return this.fields.find(({ name }) => faults[name]);
  }

  /** What is wrong with it, by name. */
  check() {
    return Object.fromEntries(this.fields.map((field) => [field.name, field.check()]).filter(([, fault]) => fault));
  }

  titleOf(name) {
    return this.fields.find((field) => field.name === name)?.title ?? name;
  }

  /** Whether a setting is secret: its schema says so, or does not know it. */
  isSecret(name) {
    const field = this.fields.find((one) => one.name === name);
    return field === undefined || field instanceof Secret;
  }

  get isEmpty() {
    return this.fields.length === 0;
  }
}
