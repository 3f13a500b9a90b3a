// The list of sessions: live, filtered by the command's conditions, opened with one key.

import { sessionAddress, Params, addressOf } from "./address.js";
import { Completion, conditionOffers } from "./completion.js";
import { chip, make, moveFocus } from "./elements.js";
import { plural } from "./format.js";
import { fragment } from "./source.js";
import { Sparks } from "./sparks.js";

const PAGE_SIZE = 200;
const MOST = 10_000;
const TICK_MS = 1000;
const HOLD_MS = 2000; // rows keep their places while somebody points at them

/** @type {[value: string, label: string][]} */
const SORTS = [["last", "Latest first"], ["errors", "Errors first"], ["duration", "Longest first"]];

/** @type {[text: string, about: string][]} */
const LIST_CONDITIONS = [
  ["errors", "with an error, of a line or a span"],
  ["since=", "going on since: -3h, 2026-11-21, 10:05"],
  ["until=", "going on until"],
  ["logs>", "by the number of log lines"],
  ["spans>", "by the number of spans"],
  ["errors>", "by the number of errors"],
  ["state=", "running, ended or crashed"],
];

/** @typedef {import("./source.js").ListRow} SessionItem */
/** @typedef {import("./source.js").Summary} SessionFigures */
/** @typedef {{row: SessionFigures, html: string, element: HTMLElement, link: HTMLAnchorElement}} Entry */

let lastOpened = ""; // who comes back finds its row again

/** The view. */
class SessionsList {
  /**
   * @param {HTMLElement} host
   * @param {Params} params
   * @param {import("./source.js").Source} source
   * @param {import("./main.js").Ui} ui
   */
  constructor(host, params, source, ui) {
    this.source = source;
    this.ui = ui;
    this.params = params;
    this.stop = new AbortController();
    this.stream = new AbortController();
    /** @type {Map<string, Entry>} */
    this.entries = new Map();
    /** @type {string[]} as the server ordered them, or as changes have since */
    this.order = [];
    this.isStale = false;
    this.heldUntil = 0;
    this.sparks = new Sparks(source, this.stop.signal);
    ui.title("Sessions");

    this.chips = make("span", { class: "chips" });
    this.input = make("input", { type: "text", "aria-label": "Filter the sessions", placeholder: "Filter: level>=WARNING, service=…, since=-3h" });
    this.onlyErrors = make("button", { type: "button", class: "toggle", onclick: () => this.toggleErrors(), title: "Sessions with errors alone (E)" }, "With errors");
    this.sort = make("select", { "aria-label": "Order", title: "Order; e puts errors first", onchange: () => this.change({ sort: this.sort.value === "last" ? null : this.sort.value }) },
      ...SORTS.map(([value, label]) => make("option", { value }, label)));
    this.rows = make("div", { role: "rowgroup", class: "entries", onpointermove: () => this.hold(), onclick: (/** @type {Event} */ event) => this.remember(event) });
    this.table = make("div", { role: "table", class: "sessions", "aria-label": "Sessions" }, headings(), this.rows);
    this.empty = make("p", { class: "empty", hidden: true });
    this.count = make("span", { class: "count" });
    this.more = make("button", { type: "button", hidden: true, onclick: () => this.showMore(), title: "More (m)" }, "Show more");
    host.append(
      make("h1", { class: "unseen" }, "Sessions"),
      make("div", { class: "bar" }, make("div", { class: "filter" }, this.chips, this.input), this.onlyErrors, this.sort),
      this.table,
      this.empty,
      make("div", { class: "after" }, this.count, this.more),
    );
    this.completion = new Completion(this.input, (text) => this.offers(text), (text) => this.enter(text));
    const timer = setInterval(() => this.tick(), TICK_MS);
    this.stop.signal.addEventListener("abort", () => clearInterval(timer));
    this.ask();
  }

  /** Asks for the sessions that the address means. */
  ask() {
    this.stream.abort();
    this.stream = new AbortController();
    this.stop.signal.addEventListener("abort", () => this.stream.abort(), { signal: this.stream.signal });
    this.showConditions();
    this.table.setAttribute("aria-busy", "true");
    const asked = this.params.copy();
    if (!asked.has("limit")) asked.set("limit", String(PAGE_SIZE));
    let isFirst = true;
    this.source.sessions(asked, {
      onList: (rows) => {
        this.replace(rows);
        if (isFirst || !this.isHeld()) this.arrange();
        if (isFirst) this.comeBack();
        isFirst = false;
      },
      onSession: (row) => this.put(row),
      onStatus: this.ui.status,
    }, this.stream.signal);
  }

  /** @param {Record<string, string | string[] | null>} changes of the conditions */
  change(changes) {
    for (const [name, value] of Object.entries({ limit: null, ...changes })) this.params.set(name, value);
    this.ui.set({ limit: null, ...changes });
    this.ask();
  }

  /** @param {Params} params */
  update(params) {
    this.params = params;
    this.ask();
  }

  close() {
    this.stop.abort();
  }

  // --- conditions ---

  showConditions() {
    const isSorted = this.params.get("sort") ?? "last";
    this.sort.value = SORTS.some(([value]) => value === isSorted) ? isSorted : "last";
    this.onlyErrors.setAttribute("aria-pressed", String(this.params.has("errors")));
    const texts = [
      ...["since", "until"].flatMap((name) => this.params.getAll(name).map((value) => ({ name, value, text: `${name}=${value}` }))),
      ...this.params.getAll("service").map((value) => ({ name: "service", value, text: `service=${value}` })),
      ...this.params.getAll("where").map((value) => ({ name: "where", value, text: value })),
    ];
    this.chips.replaceChildren(...texts.map(({ name, value, text }) => chip(this.ui.format.shown(text), () => this.removeCondition(name, value))));
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  removeCondition(name, value) {
    this.change({ [name]: this.params.getAll(name).filter((one) => one !== value) });
    this.input.focus();
  }

  /** @param {string} text a condition as the command takes it; `""` takes the last one away */
  enter(text) {
    this.input.value = "";
    if (!text) {
      const last = [...this.chips.querySelectorAll("button")].pop();
      last?.click();
      return;
    }
    const named = /^(since|until|service|sort)=(.*)$/s.exec(text);
    if (text === "errors") this.change({ errors: "1" });
    else if (named?.[1] === "service") this.change({ service: [...this.params.getAll("service"), named[2]] });
    else if (named) this.change({ [named[1]]: named[2] });
    else if (/[=<>~]/.test(text)) this.change({ where: [...this.params.getAll("where"), text] });
    else if (this.entries.has(text)) this.ui.go(sessionAddress(text));
    else this.ui.go(addressOf("/search", { q: text, literal: "1" }));
  }

  /**
   * @param {string} text
   * @returns {Promise<import("./completion.js").Offer[]>}
   */
  async offers(text) {
    const offers = conditionOffers(text, {
      services: new Set([...this.entries.values()].flatMap(({ row }) => row.services)),
      more: LIST_CONDITIONS,
      values: { sort: SORTS.map(([value]) => value) },
    });
    if (!text.trim() || /[=<>~]/.test(text)) return offers;
    const { ids } = await this.source.json("page/known", { prefix: text.trim() }, this.stop.signal).catch(() => ({ ids: [] }));
    return [
      ...offers,
      ...ids.slice(0, 8).map((/** @type {string} */ id) => ({ text: id, about: "open this session", pick: () => this.ui.go(sessionAddress(id)) })),
      { text, about: "search all lines for it", pick: () => this.ui.go(addressOf("/search", { q: text, literal: "1" })) },
    ];
  }

  toggleErrors() {
    this.change({ errors: this.params.has("errors") ? null : "1" });
  }

  showMore() {
    const now = Number(this.params.get("limit") ?? PAGE_SIZE);
    this.change({ limit: String(Math.min(MOST, now * 2)) });
  }

  // --- rows ---

  /** @param {SessionItem[]} items all there are */
  replace(items) {
    const ids = new Set(items.map(({ id }) => id));
    for (const [id, { element }] of this.entries) {
      if (ids.has(id)) continue;
      this.sparks.forget(sparkPlace(element));
      this.entries.delete(id);
      element.remove();
    }
    for (const item of items) this.render(item);
    this.order = [...ids];
    this.isStale = true;
  }

  /** @param {SessionItem} item one that is new or has changed */
  put(item) {
    const isNew = !this.entries.has(item.id);
    const { element } = this.render(item);
    if (isNew) element.classList.add("is-new");
    this.order = this.order.filter((id) => id !== item.id);
    const at = this.order.findIndex((id) => this.isBefore(item.row, /** @type {Entry} */ (this.entries.get(id)).row));
    this.order.splice(at < 0 ? this.order.length : at, 0, item.id);
    this.isStale = true;
    this.tick();
  }

  /**
   * @param {SessionFigures} one
   * @param {SessionFigures} other
   */
  isBefore(one, other) {
    const sort = this.params.get("sort");
    const by = sort === "errors" ? (/** @type {SessionFigures} */ row) => row.errors + row.error_spans : sort === "duration" ? (/** @type {SessionFigures} */ row) => row.duration_ns ?? -1 : () => 0;
    return by(one) !== by(other) ? by(one) > by(other) : (one.last_time ?? "") >= (other.last_time ?? "");
  }

  /**
   * Makes the row of `item`, in place of the one that it has.
   * @param {SessionItem} item
   * @returns {Entry}
   */
  render({ id, html, row }) {
    const known = this.entries.get(id);
    const errors = row.errors + row.error_spans;
    if (known?.html === html && known.row.state === row.state && known.row.duration_ns === row.duration_ns) return known;
    const element = /** @type {HTMLElement} */ (fragment(html).firstElementChild);
    const link = /** @type {HTMLAnchorElement} */ (element.querySelector("a.open"));
    const { countOf, durationOf, localise, shown } = this.ui.format;
    link.href = `#${sessionAddress(id)}`;
    element.classList.toggle("has-errors", errors > 0);
    fill(element, ".duration", row.duration_ns === null ? "" : durationOf(row.duration_ns / 1000));
    fill(element, ".logs", countOf(row.logs));
    fill(element, ".spans", countOf(row.spans));
    fill(element, ".errors", errors ? countOf(errors) : "");
    fill(element, ".services", row.services.map(shown).join(", "));
    localise(element);
    if (known) {
      const hadFocus = known.link === document.activeElement;
      const drawing = sparkPlace(known.element);
      sparkPlace(element).replaceWith(drawing); // it stays until it is drawn anew
      known.element.replaceWith(element);
      if (hadFocus) link.focus({ preventScroll: true });
    }
    const entry = { row, html, element, link };
    this.entries.set(id, entry);
    this.sparks.show(sparkPlace(element), id, `${row.last_time} ${row.logs} ${row.spans}`);
    showState(entry);
    return entry;
  }

  /** Puts the rows into their order, and says how many there are. */
  arrange() {
    this.isStale = false;
    this.table.removeAttribute("aria-busy");
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    let next = this.rows.firstElementChild;
    for (const id of this.order) {
      const { element } = /** @type {Entry} */ (this.entries.get(id));
      if (element === next) next = next.nextElementSibling;
      else this.rows.insertBefore(element, next);
    }
    if (focused && focused !== document.activeElement && this.rows.contains(focused)) focused.focus({ preventScroll: true });
    this.say();
  }

  say() {
    const [count, limit] = [this.order.length, Number(this.params.get("limit") ?? PAGE_SIZE)];
    const withErrors = [...this.entries.values()].filter(({ row }) => row.errors + row.error_spans > 0).length;
    const { countOf } = this.ui.format;
    const isCut = count >= limit;
    this.more.hidden = !isCut || limit >= MOST;
    this.table.hidden = count === 0;
    this.empty.hidden = count > 0;
    const text = count === 0 ? "" : `${isCut ? "The first " : ""}${plural(count, "session")}${withErrors ? `, ${countOf(withErrors)} with errors` : ""}`;
    if (this.count.textContent !== text) this.count.textContent = text;
    if (count) return;
    const isFiltered = ["since", "until", "errors", "service", "where"].some((name) => this.params.has(name));
    this.empty.replaceChildren(
      isFiltered ? "No session meets these conditions. " : "No sessions yet. They appear here as soon as something is logged.",
      ...(isFiltered ? [make("button", { type: "button", onclick: () => this.ui.go("/") }, "Show all")] : []),
    );
  }

  hold() {
    this.heldUntil = performance.now() + HOLD_MS;
  }

  isHeld() {
    return performance.now() < this.heldUntil && this.rows.matches(":hover");
  }

  tick() {
    if (this.isStale && !this.isHeld()) this.arrange();
  }

  /** @param {Event} event a click on a row */
  remember({ target }) {
    for (const [id, { element }] of this.entries) if (element.contains(/** @type {Node} */ (target))) lastOpened = id;
  }

  /** Goes to the row that was opened last, unless somebody is somewhere already. */
  comeBack() {
    const entry = this.entries.get(lastOpened);
    lastOpened = "";
    if (!entry || document.activeElement?.closest("input, textarea, select")) return;
    entry.link.focus({ preventScroll: true });
    entry.element.scrollIntoView({ block: "nearest" });
  }

  // --- keys ---

  /** @param {number} step */
  move(step) {
    const link = moveFocus(this.order.map((id) => /** @type {Entry} */ (this.entries.get(id)).link), step);
    link?.closest(".session")?.scrollIntoView({ block: "nearest" });
  }

  /** @returns {import("./main.js").Keys} */
  get keys() {
    const [down, up] = [() => this.move(1), () => this.move(-1)];
    return {
      j: ["Next session", down],
      ArrowDown: ["Next session", down],
      k: ["Previous session", up],
      ArrowUp: ["Previous session", up],
      Enter: ["Open the session", () => this.move(1)],
      "/": ["Filter", () => this.input.focus()],
      e: ["Errors first, or the latest", () => this.change({ sort: this.params.get("sort") === "errors" ? null : "errors" })],
      E: ["With errors alone, or all", () => this.toggleErrors()],
      m: ["Show more", () => this.more.hidden || this.showMore()],
    };
  }
}

/** @type {import("./main.js").MakeView} */
export const SessionsView = (host, params, source, ui) => {
  const list = new SessionsList(host, params, source, ui);
  return { close: () => list.close(), update: (changed) => list.update(changed), keys: list.keys };
};

function headings() {
  /** @type {[name: string, label: string][]} */
  const names = [["state", "State"], ["last", "Last"], ["id", "Session"], ["message", "First message"], ["services", "Services"], ["spark", "Activity"], ["duration number", "Duration"], ["logs number", "Logs"], ["spans number", "Spans"], ["errors number", "Errors"]];
  return make("div", { role: "rowgroup" }, make("div", { role: "row", class: "session head" },
    ...names.map(([name, label]) => make("span", { role: "columnheader", class: name }, name === "state" ? make("span", { class: "unseen" }, label) : label))));
}

/** @param {Entry} entry */
function showState({ row, element }) {
  const said = [row.state, row.errors + row.error_spans ? "has errors" : ""].filter(Boolean).join(", ");
  element.dataset["state"] = row.state ?? "";
  const place = /** @type {HTMLElement} */ (element.querySelector(".state"));
  place.replaceChildren(make("i", {}), make("span", { class: "unseen" }, said));
  place.title = said;
}

/**
 * @param {HTMLElement} element
 * @param {string} selector
 * @param {string} text
 */
function fill(element, selector, text) {
  const place = /** @type {HTMLElement} */ (element.querySelector(selector));
  place.textContent = text;
}

/** @param {HTMLElement} element */
function sparkPlace(element) {
  return /** @type {HTMLElement} */ (element.querySelector(".spark"));
}
