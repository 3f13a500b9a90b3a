// The page: its start, which view is shown, colours, time zone, keys and help.

import { addressOf, decodeText, Params } from "./address.js";
import { byId, make } from "./elements.js";
import { keep, kept, localise, onZone, restoreZone, setZone, timeOf, clockOf, durationOf, countOf, shown, zone } from "./format.js";
import { SearchView } from "./search.js";
import { SessionView } from "./session.js";
import { SessionsView } from "./sessions.js";
import { openSource } from "./source.js";
import { SqlView } from "./sql.js";

const THEME_KEY = "tracectrl.theme";
const THEMES = ["auto", "light", "dark"];
const SEQUENCE_MS = 1500;

/** @typedef {import("./source.js").Source} PageSource */
/** @typedef {Record<string, [label: string, action: (event: KeyboardEvent) => void]>} Keys */
/** @typedef {{close: () => void, update?: (params: Params) => void, keys?: Keys}} View */
/** @typedef {typeof format} Format */

/**
 * What a view asks of the page around it.
 * @typedef {object} Ui
 * @property {(address: string, options?: {replace?: boolean}) => void} go shows another address
 * @property {(changes: Record<string, string | string[] | null>, options?: {replace?: boolean}) => void} set
 *   changes params of the present address, without a call of the view's `update`
 * @property {Format} format
 * @property {(text: string) => void} announce says it to who does not see the page
 * @property {(text: string) => void} status "live", "disconnected", what is wrong, or "" for none
 * @property {(text: string) => void} title names the tab
 */

/** @typedef {(host: HTMLElement, params: Params, source: PageSource, ui: Ui) => View} MakeView */

/** @type {Record<string, MakeView>} */
const VIEWS = { sessions: SessionsView, session: SessionView, search: SearchView, sql: SqlView };

const format = { timeOf, clockOf, durationOf, countOf, shown, localise };

/** The page around the views. */
class Page {
  /** @param {PageSource} source */
  constructor(source) {
    this.source = source;
    /** @type {View | null} */
    this.view = null;
    this.place = "";
    this.params = new Params();
    this.prefix = { key: "", at: 0 };
    this.said = ""; // of the connection
    /** @type {Ui} */
    this.ui = {
      go: (address, options) => this.go(address, options),
      set: (changes, options) => this.set(changes, options),
      format,
      announce: (text) => this.announce(text),
      status: (text) => this.status(text),
      title: (text) => this.title(text),
    };
    /** @type {Keys} */
    this.keys = {
      "?": ["These keys", () => this.help()],
      t: ["Light, dark, or as the system", () => this.nextTheme()],
      z: ["Times in UTC or local", () => setZone(zone() === "UTC" ? "local" : "UTC")],
    };
    if (source.live) {
      Object.assign(this.keys, {
        "g l": ["Go to the list of sessions", () => this.go("/")],
        "g s": ["Go to the search", () => this.go("/search")],
        "g q": ["Go to SQL", () => this.go("/sql")],
      });
    }
  }

  start() {
    this.showTheme(kept(THEME_KEY) ?? "auto");
    restoreZone();
    this.showZone();
    onZone(() => {
      this.showZone();
      localise(document);
    });
    byId("nav").hidden = !this.source.live;
    byId("zone").addEventListener("click", () => this.keys.z[1](new KeyboardEvent("keydown")));
    byId("theme").addEventListener("click", () => this.nextTheme());
    byId("help").addEventListener("click", () => this.help());
    byId("skip").addEventListener("click", () => byId("view").focus());
    document.addEventListener("keydown", (event) => this.press(event));
    window.addEventListener("popstate", () => this.show());
    this.show();
  }

  /** Shows what the address says. */
  show() {
    const given = location.hash.slice(1);
    const left = this.source.take(given);
    if (left !== given) history.replaceState(null, "", `#${left || "/"}`);
    const { name, params, place } = this.routeOf(left);
    this.params = params;
    if (this.view?.update && place === this.place) {
      this.view.update(params.copy());
      return;
    }
    this.view?.close();
    this.place = place;
    this.status("");
    const host = byId("view");
    host.replaceChildren();
    host.className = `view-${name}`;
    window.scrollTo(0, 0);
    for (const link of byId("nav").querySelectorAll("a")) {
      if (link.dataset["view"] === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.view = VIEWS[name](host, params.copy(), this.source, this.ui);
  }

  /**
   * @param {string} fragment
   * @returns {{name: string, params: Params, place: string}}
   */
  routeOf(fragment) {
    const at = fragment.indexOf("?");
    const path = at < 0 ? fragment : fragment.slice(0, at);
    const params = new Params(at < 0 ? "" : fragment.slice(at + 1));
    const [, first = "", second = ""] = path.split("/");
    if (first === "session" || !this.source.live) {
      params.set("id", second ? decodeText(second) : (this.source.id ?? ""));
      return { name: "session", params, place: `session/${second}` };
    }
    const name = first === "search" || first === "sql" ? first : "sessions";
    return { name, params, place: name };
  }

  /**
   * @param {string} address
   * @param {{replace?: boolean}} [options]
   */
  go(address, { replace = false } = {}) {
    if (replace) history.replaceState(null, "", `#${address}`);
    else history.pushState(null, "", `#${address}`);
    this.show();
  }

  /**
   * @param {Record<string, string | string[] | null>} changes
   * @param {{replace?: boolean}} [options]
   */
  set(changes, { replace = false } = {}) {
    for (const [name, value] of Object.entries(changes)) this.params.set(name, value);
    const shownParams = this.params.copy();
    if (this.place.startsWith("session/")) shownParams.delete("id");
    const path = this.place === "sessions" ? "/" : `/${this.place}`;
    const address = `#${addressOf(path, shownParams)}`;
    if (address === location.hash) return;
    if (replace) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("dialog[open]")) return; // the focus leaves one that was closed a moment later
    if (target.matches("input, textarea, select, [contenteditable]")) {
      if (event.key === "Escape") {
        event.preventDefault(); // which would empty a field of the type search
        target.blur();
      }
      return;
    }
    const all = { ...this.keys, ...this.view?.keys };
    const sequence = `${this.prefix.key} ${event.key}`;
    const isSequence = event.timeStamp - this.prefix.at < SEQUENCE_MS && sequence in all;
    const bound = all[isSequence ? sequence : event.key];
    this.prefix = { key: event.key, at: event.timeStamp };
    if (!bound || (event.key === "Enter" && target.matches("a, button, summary"))) return;
    event.preventDefault();
    bound[1](event);
  }

  help() {
    const dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
    const section = (/** @type {string} */ title, /** @type {Keys} */ keys) =>
      make(
        "section",
        {},
        make("h3", {}, title),
        make("dl", {}, ...Object.entries(grouped(keys)).flatMap(([label, names]) => [
          make("dt", {}, ...names.flatMap((name) => name.split(/ (?=.)/).map((key) => make("kbd", {}, KEY_NAMES[key] ?? key)))),
          make("dd", {}, label),
        ])),
      );
    dialog.replaceChildren(
      make("header", {}, make("h2", { id: "keys-title" }, "Keys"), make("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
      section("This view", this.view?.keys ?? {}),
      section("Everywhere", this.keys),
    );
    dialog.onclick = (event) => event.target === dialog && dialog.close();
    dialog.showModal();
  }

  nextTheme() {
    const now = document.documentElement.dataset["theme"] ?? "auto";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    keep(THEME_KEY, next);
    this.showTheme(next);
    this.announce(`Colours: ${next}`);
  }

  /** @param {string} name */
  showTheme(name) {
    const theme = THEMES.includes(name) ? name : "auto";
    document.documentElement.dataset["theme"] = theme;
    byId("theme").title = `Colours: ${theme} (t)`;
  }

  showZone() {
    const name = zone() === "UTC" ? "UTC" : "Local";
    byId("zone").textContent = name;
    byId("zone").title = `Times in ${name === "UTC" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone} (z)`;
    byId("zone").setAttribute("aria-label", `Time zone: ${name}`);
  }

  /** @param {string} text */
  announce(text) {
    byId("announcement").textContent = text;
  }

  /** @param {string} text */
  status(text) {
    if (text === this.said) return;
    this.said = text;
    const isShort = text === "live" || text === "disconnected" || text === "";
    const [pill, notice] = [byId("status"), byId("notice")];
    pill.textContent = pill.dataset["is"] = isShort ? text : "stopped";
    pill.hidden = !text;
    notice.textContent = isShort ? "" : shown(text);
    notice.hidden = isShort;
  }

  /** @param {string} text */
  title(text) {
    document.title = text ? `${shown(text)} · tracectrl` : "tracectrl";
  }
}

/** @type {Record<string, string>} */
const KEY_NAMES = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };

/**
 * @param {Keys} keys
 * @returns {Record<string, string[]>} the keys by what they do
 */
function grouped(keys) {
  /** @type {Record<string, string[]>} */
  const groups = {};
  for (const [key, [label]] of Object.entries(keys)) (groups[label] ??= []).push(key);
  return groups;
}

new Page(openSource()).start();
