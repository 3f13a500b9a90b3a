// The search over all sessions: what `tracectrl-logs grep` finds, as it is found.

import { Params, sessionAddress } from "./address.js";
import { Completion, conditionOffers } from "./completion.js";
import { chip, make, moveFocus } from "./elements.js";
import { plural } from "./format.js";
import { fragment } from "./source.js";

const FIRST_LIMIT = 200;
const MOST_HITS = 10_000;
const SEARCH_LEVELS = ["", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const MOST_MARKED = 500; // rows whose matches are looked for

/** The view. */
class Search {
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
    this.running = new AbortController();
    /** @type {HTMLAnchorElement[]} */
    this.links = [];
    /** @type {{id: string, list: HTMLElement} | null} the session that the last hit is of */
    this.group = null;
    ui.title("Search");

    this.query = make("input", { type: "search", class: "wide", "aria-label": "Search all log lines", placeholder: "Search all log lines", autocomplete: "off", spellcheck: "false" });
    this.isPattern = checkbox("Regular expression", "Python's re; else plain text");
    this.ignoresCase = checkbox("Ignore case", "Letters match in either case");
    this.level = make("select", { "aria-label": "Level at least", title: "Level at least (l)", onchange: () => this.submit() },
      ...SEARCH_LEVELS.map((value) => make("option", { value }, value || "Any level")));
    this.chips = make("span", { class: "chips" });
    this.condition = make("input", { type: "text", "aria-label": "Conditions", placeholder: "Conditions: tool=search, since=-3h" });
    const form = make("form", { class: "bar search", role: "search", onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.query,
      make("button", { type: "submit", class: "main" }, "Search"),
      this.level, this.isPattern.label, this.ignoresCase.label,
      make("div", { class: "filter" }, this.chips, this.condition));
    for (const box of [this.isPattern.box, this.ignoresCase.box]) box.addEventListener("change", () => this.query.value && this.submit());
    this.problem = make("p", { class: "problem", role: "alert", hidden: true });
    this.hits = make("div", { class: "hits" });
    this.said = make("p", { class: "count", role: "status" });
    this.more = make("button", { type: "button", hidden: true, onclick: () => this.showMore(), title: "More (m)" }, "Show more");
    host.append(make("h1", { class: "unseen" }, "Search"), form, this.problem, make("div", { class: "after" }, this.said), this.hits, make("div", { class: "after" }, this.more));
    this.completion = new Completion(this.condition, (text) => this.offers(text), (text) => this.enter(text));
    this.update(params);
    if (!params.get("q")) this.query.focus();
  }

  /** @param {Params} params */
  update(params) {
    this.params = params;
    this.query.value = params.get("q") ?? "";
    this.isPattern.box.checked = params.has("q") && !params.has("literal");
    this.ignoresCase.box.checked = params.has("ignore_case");
    this.level.value = SEARCH_LEVELS.includes(params.get("level") ?? "") ? (params.get("level") ?? "") : "";
    const conditions = ["since", "until", "logger", "where"].flatMap((name) => params.getAll(name).map((value) => ({ name, value })));
    this.chips.replaceChildren(...conditions.map(({ name, value }) => {
      const text = this.ui.format.shown(name === "where" ? value : `${name}=${value}`);
      return chip(text, () => this.change({ [name]: params.getAll(name).filter((one) => one !== value) }));
    }));
    this.run();
  }

  submit() {
    this.change({
      q: this.query.value || null,
      literal: this.isPattern.box.checked ? null : "1",
      ignore_case: this.ignoresCase.box.checked ? "1" : null,
      level: this.level.value || null,
      limit: null,
    });
  }

  /** @param {Record<string, string | string[] | null>} changes */
  change(changes) {
    for (const [name, value] of Object.entries(changes)) this.params.set(name, value);
    this.ui.set(changes);
    this.update(this.params);
  }

  /** @param {string} text */
  enter(text) {
    this.condition.value = "";
    if (!text) {
      [...this.chips.querySelectorAll("button")].pop()?.click();
      return;
    }
    const named = /^(since|until|logger)=(.*)$/s.exec(text);
    if (named) this.change({ [named[1]]: named[2] });
    else this.change({ where: [...this.params.getAll("where"), text] });
    this.condition.focus();
  }

  /** @param {string} text */
  offers(text) {
    return conditionOffers(text, {
      services: [],
      more: [["since=", "written since: -3h, 2026-11-21, 10:05"], ["until=", "written until"]],
    });
  }

  showMore() {
    const limit = Math.min(MOST_HITS, 2 * Number(this.params.get("limit") ?? FIRST_LIMIT));
    this.change({ limit: String(limit) });
  }

  close() {
    this.running.abort();
    highlights()?.delete("found");
  }

  /** Searches for what the params say. */
  async run() {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.links = [];
    this.hits.replaceChildren();
    this.more.hidden = true;
    this.problem.hidden = true;
    this.said.textContent = "";
    this.group = null;
    const mark = this.marking();
    if (!this.params.get("q")) return;
    const asked = this.params.copy();
    if (!asked.has("limit")) asked.set("limit", String(FIRST_LIMIT));
    this.said.textContent = "Searching …";
    const sessions = new Set();
    const summary = () => `${plural(this.links.length, "line")} in ${plural(sessions.size, "session")}`;
    try {
      await this.source.search(asked, {
        onHits: (hits) => {
          const first = this.links.length;
          for (const hit of hits) {
            sessions.add(hit.id);
            this.add(hit);
          }
          this.links.slice(first, MOST_MARKED).forEach(mark);
          this.said.textContent = `${summary()} …`;
        },
        onEnd: (more) => {
          this.said.textContent = this.links.length ? `${more ? "The first " : ""}${summary()}` : "No line matches.";
          this.more.hidden = !more;
        },
      }, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.said.textContent = "";
      this.problem.textContent = this.ui.format.shown(/** @type {Error} */ (error).message);
      this.problem.hidden = false;
    }
  }

  /** @param {import("./source.js").Hit} hit */
  add(hit) {
    const { shown, timeOf } = this.ui.format;
    if (this.group?.id !== hit.id) {
      const list = make("ul", { role: "list" });
      this.hits.append(make("section", {}, make("h2", {}, make("a", { href: `#${sessionAddress(hit.id)}` }, shown(hit.id))), list));
      this.group = { id: hit.id, list };
    }
    const row = make("li", { class: `hit severity-${Math.ceil(hit.severity / 4)}` }, fragment(hit.html));
    const link = /** @type {HTMLAnchorElement} */ (row.querySelector("a.open"));
    link.href = `#${sessionAddress(hit.id, { line: `${hit.span_id}@${hit.time ?? ""}` })}`;
    const time = row.querySelector("time");
    if (time && hit.time !== null) {
      time.setAttribute("datetime", `${new Date(Math.floor(hit.time / 1000)).toISOString().slice(0, 19)}.${String(((hit.time % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, "0")}Z`);
      time.textContent = timeOf(hit.time);
    }
    this.links.push(link);
    this.group.list.append(row);
  }

  /**
   * Returns what marks that which matches in a link, as far as the browser's regular expressions are Python's.
   * @returns {(link: HTMLElement) => void}
   */
  marking() {
    const registry = highlights();
    const [text, isLiteral] = [this.params.get("q") ?? "", this.params.has("literal")];
    registry?.delete("found");
    if (!registry) return () => {};
    /** @type {RegExp} */
    let pattern;
    try {
      pattern = new RegExp(isLiteral ? text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : text, this.params.has("ignore_case") ? "gi" : "g");
    } catch {
      return () => {};
    }
    const found = new (/** @type {any} */ (window).Highlight)();
    registry.set("found", found);
    return (link) => {
      const walker = document.createTreeWalker(link, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (const match of (node.textContent ?? "").matchAll(pattern)) {
          if (!match[0]) break;
          const range = new StaticRange({ startContainer: node, startOffset: match.index, endContainer: node, endOffset: match.index + match[0].length });
          found.add(range);
        }
      }
    };
  }

  /** @param {number} step */
  move(step) {
    moveFocus(this.links, step)?.scrollIntoView({ block: "nearest" });
  }

  nextLevel() {
    this.level.selectedIndex = (this.level.selectedIndex + 1) % SEARCH_LEVELS.length;
    this.ui.announce(`Level: ${this.level.value || "any"}`);
    this.submit();
  }
}

/** @type {import("./main.js").MakeView} */
export const SearchView = (host, params, source, ui) => {
  const search = new Search(host, params, source, ui);
  const [down, up] = [() => search.move(1), () => search.move(-1)];
  return {
    close: () => search.close(),
    update: (changed) => search.update(changed),
    keys: {
      "/": ["Search for", () => search.query.select()],
      j: ["Next line", down],
      ArrowDown: ["Next line", down],
      k: ["Previous line", up],
      ArrowUp: ["Previous line", up],
      Enter: ["Open the line in its session", down],
      l: ["Next level", () => search.nextLevel()],
      m: ["Show more", () => search.more.hidden || search.showMore()],
    },
  };
};

/**
 * @param {string} text
 * @param {string} title
 */
function checkbox(text, title) {
  const box = make("input", { type: "checkbox" });
  return { box, label: make("label", { class: "check", title }, box, text) };
}

/** @returns {Map<string, unknown> | undefined} the browser's marks in texts, where it has them */
function highlights() {
  return /** @type {any} */ (CSS).highlights;
}
