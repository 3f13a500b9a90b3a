// All that a line says: its fields, what is above and below it, its JSON, and commands that show it.

import { hueOf } from "./chart.js";
import { make } from "./elements.js";
import { clockOf, countOf, durationOf, shown, timeOf, zone } from "./format.js";
import { exactOf, jsonOf, memberOf, textOf } from "./exact.js";
import { LEVEL_NAMES, LOG, NO_TIME, OPEN, SPAN, levelOf } from "./model.js";

/** @typedef {import("./model.js").Story} DrawerStory */
/** @typedef {import("./exact.js").Exact} ExactValue */

const MOST_SHOWN = 4000; // characters of one value, before somebody asks for all
const MOST_FIELDS = 400; // keys of one object, before somebody asks for more
const MOST_LINKS = 50;
const MOST_DEPTH = 12;
const LINK = /^https?:\/\/[^\s"'<>\\]+$/;
const HEAD_KEYS = new Set(["type", "timestamp", "level", "message", "name", "exception", "stack"]);

/**
 * @typedef {object} DrawerActions
 * @property {(node: number) => void} go shows another row
 * @property {(trace: string) => void} pickTrace
 * @property {() => void} close
 * @property {(text: string) => void} announce
 * @property {(place: {time: string, digest: string}) => Promise<string>} rawLine
 */

export class Drawer {
  /** @param {DrawerStory} story @param {string} id of the session @param {DrawerActions} actions */
  constructor(story, id, actions) {
    this.story = story;
    this.id = id;
    this.actions = actions;
    this.node = 0;
    this.shownAs = "";
    this.body = make("div", { class: "drawer-body", tabindex: 0, role: "region", "aria-label": "Details" });
    this.title = make("h2", { class: "drawer-title", id: "drawer-title", tabindex: -1 });
    this.element = make(
      "section",
      { class: "drawer", "aria-labelledby": "drawer-title", hidden: true },
      make(
        "header",
        { class: "drawer-head" },
        this.title,
        make("button", { type: "button", class: "quiet icon", "aria-label": "Close the details", title: "Close (Esc)", onclick: () => actions.close() }, "×"),
      ),
      this.body,
    );
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** Show a node; 0 shows none.
   * @param {number} node */
  async show(node) {
    const isOther = node !== this.node;
    this.node = node;
    this.element.hidden = !node;
    if (!node) return;
    if (isOther) this.body.scrollTop = 0;
    const { story } = this;
    const raw = story.raw[node];
    this.shownAs = this.#state();
    if (typeof raw === "object") {
      this.title.textContent = "…";
      this.body.replaceChildren(make("p", { class: "drawer-wait" }, `Loading a line of ${countOf(raw.bytes)} bytes`));
      try {
        const text = await this.actions.rawLine(raw);
        if (this.node === node) this.#write(node, text);
      } catch (error) {
        if (this.node === node) this.body.replaceChildren(make("p", { class: "drawer-wait" }, `The line cannot be read: ${String(error)}`));
      }
    } else {
      this.#write(node, raw);
    }
  }

  /** Show what has changed about the node that is shown. */
  refresh() {
    if (this.node && this.#state() !== this.shownAs) this.show(this.node);
  }

  /** Write times anew, in another zone. */
  rewrite() {
    if (this.node) this.show(this.node);
  }

  #state() {
    const { story, node } = this;
    return [node, story.kind[node], story.parent[node], story.first[node], story.last[node]].join();
  }

  /** @param {number} node @param {string | undefined} raw */
  #write(node, raw) {
    const { story } = this;
    let row;
    try {
      row = raw === undefined ? undefined : exactOf(raw);
    } catch {
      row = undefined; // then it is shown as it is
    }
    const kind = story.kind[node];
    const level = levelOf(story.severity[node]);
    const what = kind === LOG ? (level ? capital(LEVEL_NAMES[level]) : "Log line") : kind === SPAN ? "Span" : "Open span";
    this.title.replaceChildren(
      make("span", { class: `drawer-kind at-${LEVEL_NAMES[level]}` }, what),
      make("span", { class: "drawer-name" }, shown(story.isGuessed(node) ? story.spans.texts[story.span[node]] : story.names.texts[story.name[node]]) || " "),
    );
    /** @type {HTMLElement[]} */
    const parts = [this.#when(node)];
    const message = memberOf(row, "message") ?? memberOf(row, "event") ?? memberOf(row, "msg") ?? memberOf(row, "status_message");
    if (message && textOf(message)) parts.push(make("div", { class: "drawer-message" }, this.#long(textOf(message))));
    if (story.isGuessed(node)) {
      parts.push(make("p", { class: "drawer-note" }, "The line of this span is written when it ends. Until then, it is known by the lines in it."));
    }
    const exception = memberOf(row, "exception");
    if (exception) parts.push(this.#exception(exception));
    const stack = memberOf(row, "stack");
    if (stack) parts.push(folded("Stack", make("pre", { class: "trace", tabindex: 0 }, this.#long(textOf(stack)))));
    parts.push(this.#around(node));
    if (row?.kind === "object") {
      const members = row.members.filter(([key]) => !HEAD_KEYS.has(key));
      if (members.length) parts.push(make("h3", {}, "Fields"), this.#fields(members, 0));
    }
    parts.push(this.#commands(node, raw));
    if (raw !== undefined) {
      const text = row ? jsonOf(row, "  ") : raw;
      parts.push(folded("JSON", this.#copied(raw, "Copy the line"), make("pre", { class: "raw", tabindex: 0 }, this.#long(text))));
    }
    this.body.replaceChildren(...parts);
  }

  /** @param {number} node */
  #when(node) {
    const { story } = this;
    const start = story.start[node];
    const zoneName = zone() === "UTC" ? "UTC" : "local time";
    const rows = make("dl", { class: "drawer-when" });
    const put = (/** @type {string} */ name, /** @type {string} */ value) =>
      rows.append(make("dt", {}, name), make("dd", {}, value));
    if (start === NO_TIME) put("Time", "none");
    else {
      put(story.kind[node] === LOG ? "Time" : "Start", `${timeOf(start, { digits: 6 })} ${zoneName}`);
      if (story.kind[node] === SPAN) put("End", `${timeOf(story.end[node], { digits: 6 })} ${zoneName}`);
      if (story.kind[node] !== LOG) put(story.kind[node] === SPAN ? "Took" : "Known for", durationOf(story.end[node] - start));
      put("After start", durationOf(start - story.from));
    }
    const service = story.services.texts[story.service[node]];
    if (service) rows.append(make("dt", {}, "Service"), make("dd", {}, make("span", { class: `swatch of-${hueOf(story.service[node])}` }), ` ${shown(service)}`));
    if (story.borrowed[node]) put("", "the time of the line before it: it has none");
    return rows;
  }

  /** @param {ExactValue} exception */
  #exception(exception) {
    const kind = textOf(memberOf(exception, "type"));
    const said = textOf(memberOf(exception, "message"));
    const trace = exception.kind === "string" ? exception.text : textOf(memberOf(exception, "stacktrace"));
    const last = trace.trimEnd().split("\n").at(-1) ?? "";
    const head = kind ? (said ? `${kind}: ${said}` : kind) : last || "Exception";
    const fold = folded("", make("pre", { class: "trace", tabindex: 0 }, this.#long(trace)));
    fold.classList.add("exception");
    /** @type {HTMLElement} */ (fold.firstChild).textContent = shown(head.slice(0, 500));
    return fold;
  }

  /** Links to what is above, below and beside.
   * @param {number} node */
  #around(node) {
    const { story, actions } = this;
    const box = make("div", { class: "drawer-around", role: "navigation", "aria-label": "Around this line" });
    const parent = story.above(node);
    if (parent) box.append(make("h3", {}, story.kind[node] === LOG ? "In the span" : "Parent"), this.#link(parent));
    if (story.first[node]) {
      const { rows, errors } = story.below(node);
      let children = 0;
      const list = make("ul");
      for (let child = story.first[node]; child; child = story.next[child]) {
        if (children++ < MOST_LINKS) list.append(make("li", {}, this.#link(child)));
      }
      if (children > MOST_LINKS) list.append(make("li", {}, `and ${countOf(children - MOST_LINKS)} more`));
      const count = `${countOf(children)}${rows > children ? `, ${countOf(rows)} with theirs` : ""}${errors ? `, ${countOf(errors)} errors` : ""}`;
      const fold = folded(`Children: ${count}`, list);
      fold.open = children <= 8;
      box.append(fold);
    }
    const trace = story.traces.texts[story.trace[node]];
    if (trace) {
      box.append(
        make("h3", {}, "Trace"),
        make("button", { type: "button", class: "link", title: "Show this trace alone", onclick: () => actions.pickTrace(trace) }, make("code", {}, shown(trace))),
      );
    }
    return box;
  }

  /** @param {number} node */
  #link(node) {
    const { story } = this;
    const start = story.start[node];
    const name = story.isGuessed(node) ? `span ${story.spans.texts[story.span[node]]}` : story.names.texts[story.name[node]];
    const text = story.kind[node] === LOG ? gistOf(story.raw[node]) : start === NO_TIME ? "" : durationOf(story.end[node] - start);
    const level = LEVEL_NAMES[levelOf(story.severity[node])];
    return make(
      "button",
      { type: "button", class: `link drawer-link at-${level}`, onclick: () => this.actions.go(node) },
      make("span", { class: "drawer-time" }, start === NO_TIME ? "" : clockOf(start)),
      make("b", {}, shown(name) || "(no name)"),
      ` ${shown(text.slice(0, 120))}`,
    );
  }

  /** @param {[string, ExactValue][]} members @param {number} depth */
  #fields(members, depth) {
    const list = make("dl", { class: "fields" });
    /** @param {number} start */
    const put = (start) => {
      for (const [key, value] of members.slice(start, start + MOST_FIELDS)) {
        const inner = this.#value(value, depth);
        list.append(make("dt", {}, shown(key) || '""'), make("dd", { class: inner instanceof HTMLDListElement ? "nested" : null }, inner));
      }
      const left = members.length - start - MOST_FIELDS;
      if (left <= 0) return;
      const more = make("button", { type: "button", class: "quiet more" }, `Show ${countOf(Math.min(left, MOST_FIELDS))} of ${countOf(left)} more`);
      const place = make("dd", {}, more);
      const before = make("dt", {}, "…");
      more.onclick = () => {
        before.remove();
        place.remove();
        put(start + MOST_FIELDS);
      };
      list.append(before, place);
    };
    put(0);
    return list;
  }

  /** @param {ExactValue} value @param {number} depth
   * @returns {Node} */
  #value(value, depth) {
    if (value.kind === "string") {
      if (LINK.test(value.text) && shown(value.text) === value.text && value.text.length < 2000) {
        return make("a", { href: value.text, target: "_blank", rel: "noreferrer noopener" }, value.text);
      }
      return make("span", { class: "v-string" }, value.text ? this.#long(value.text) : '""');
    }
    if (value.kind === "plain") return make("span", { class: "v-plain" }, value.text.slice(0, MOST_SHOWN));
    const isEmpty = value.kind === "object" ? !value.members.length : !value.items.length;
    if (isEmpty) return make("span", { class: "v-plain" }, jsonOf(value));
    if (depth >= MOST_DEPTH) return make("span", { class: "v-plain" }, this.#long(jsonOf(value)));
    const members = value.kind === "object" ? value.members : value.items.map((item, at) => /** @type {[string, ExactValue]} */ ([String(at), item]));
    if (value.kind === "array" && value.items.length <= 8 && value.items.every((item) => item.kind === "plain")) {
      return make("span", { class: "v-plain" }, jsonOf(value));
    }
    const fields = this.#fields(members, depth + 1);
    if (members.length <= 30 && depth < 4) return fields;
    return folded(`${countOf(members.length)} ${value.kind === "object" ? "keys" : "items"}`, fields);
  }

  /** A text; of a long one the beginning, and the rest on demand.
   * @param {string} text
   * @returns {DocumentFragment} */
  #long(text) {
    const holder = document.createDocumentFragment();
    if (text.length <= MOST_SHOWN) {
      holder.append(shownLines(text));
      return holder;
    }
    const more = make(
      "button",
      {
        type: "button",
        class: "quiet more",
        onclick: () => {
          // In pieces, which a browser lays out faster than one text of megabytes.
          const pieces = [];
          for (let at = MOST_SHOWN; at < text.length; at += 50_000) pieces.push(document.createTextNode(shownLines(text.slice(at, at + 50_000))));
          more.replaceWith(...pieces);
        },
      },
      `Show all ${countOf(text.length)} characters`,
    );
    holder.append(shownLines(text.slice(0, MOST_SHOWN)), more);
    return holder;
  }

  /** @param {number} node @param {string | undefined} raw */
  #commands(node, raw) {
    const { story, id } = this;
    const box = make("div", { class: "drawer-commands" }, make("h3", {}, "As a command"));
    for (const command of commandsFor(id, story, node)) {
      box.append(make("div", { class: "command" }, make("code", {}, shown(command)), this.#copied(command, "Copy")));
    }
    if (raw === undefined && story.kind[node] !== OPEN) box.hidden = true;
    return box;
  }

  /** @param {string} text @param {string} label */
  #copied(text, label) {
    const button = make("button", { type: "button", class: "quiet copy" }, label);
    button.addEventListener("click", async () => {
      const done = await copyText(text);
      button.textContent = done ? "Copied" : "Not allowed";
      this.actions.announce(done ? "Copied" : "The browser does not allow copying");
      setTimeout(() => (button.textContent = label), 1500);
    });
    return button;
  }
}

/** The commands that show a line.
 * @param {string} id @param {DrawerStory} story @param {number} node
 * @returns {string[]} */
export function commandsFor(id, story, node) {
  const session = id.startsWith("-") ? `-- ${quotedForShell(id)}` : quotedForShell(id);
  const span = story.spans.texts[story.span[node]];
  const isPlain = /^[0-9a-f]{4,32}$/.test(span);
  const commands = [];
  if (isPlain) commands.push(`tracectrl-logs show ${id.startsWith("-") ? "" : `${session} `}--span ${span} --full${id.startsWith("-") ? ` ${session}` : ""}`);
  else commands.push(`tracectrl-logs show ${id.startsWith("-") ? `--full ${session}` : `${session} --full`}`);
  const raw = story.raw[node];
  let key = story.kind[node] === LOG ? "timestamp" : "span_id";
  let value = span;
  if (story.kind[node] === LOG) {
    /** @type {ExactValue | undefined} */
    let stamp;
    try {
      const row = typeof raw === "string" ? exactOf(raw) : undefined;
      key = ["timestamp", "time", "@timestamp", "asctime", "ts"].find((name) => memberOf(row, name)) ?? key;
      stamp = memberOf(row, key);
    } catch {
      stamp = undefined;
    }
    value = typeof raw === "object" ? raw.time : textOf(stamp);
    if (stamp?.kind === "plain") return [...commands, jqCommand(session, `select(.[${JSON.stringify(key)}] == ${stamp.text})`)];
  }
  if (value) commands.push(jqCommand(session, `select(.[${JSON.stringify(key)}] == ${JSON.stringify(value)})`));
  return commands;
}

/** @param {string} session @param {string} filter */
function jqCommand(session, filter) {
  return `tracectrl-logs show --json ${session} | jq ${quotedForShell(filter)}`;
}

/** A text as one word of a POSIX shell.
 * @param {string} text */
export function quotedForShell(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (shown(text) === text) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = Array.from(new TextEncoder().encode(text), (byte) =>
    byte < 32 || byte > 126 || byte === 39 || byte === 92 ? `\\x${byte.toString(16).padStart(2, "0")}` : String.fromCharCode(byte),
  );
  return `$'${escaped.join("")}'`;
}

/** Put a text into the clipboard; tell whether that was allowed.
 * @param {string} text */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** What a line of JSON says as its message, as far as that is quick to tell.
 * @param {string | {bytes: number} | undefined} raw */
function gistOf(raw) {
  if (typeof raw !== "string") return raw ? `${countOf(raw.bytes)} bytes` : "";
  const found = /"(?:message|event|msg)"\s*:\s*("(?:[^"\\]|\\.){0,200})/.exec(raw);
  if (!found) return "";
  try {
    return JSON.parse(`${found[1]}"`);
  } catch {
    return found[1].slice(1);
  }
}

/** A text on its lines, with everything else that is not seen as escapes.
 * @param {string} text */
function shownLines(text) {
  return text.split(/(\n|\t)/).map((part, at) => (at % 2 ? part : shown(part))).join("");
}

/** @param {string} word */
function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

/** @param {string} title @param {...Node} content */
function folded(title, ...content) {
  return make("details", {}, make("summary", {}, title), ...content);
}
