// Whose a session is, and the sessions around it: the one that began it, the one it goes on from, and those it began.

import { addressOf, sessionAddress } from "./address.js";
import { make } from "./elements.js";
import { shown } from "./format.js";

const PARENT = "tracectrl.session.parent_id";
const PREVIOUS = "session.previous_id";
const USER = "user.id";
const MOST_ROWS = 50; // that are looked at: it stands on each line, once the session knows it

export class Kin {
  /** @param {string} id of the session @param {boolean} live whether there are other sessions to go to */
  constructor(id, live) {
    this.live = live;
    this.left = MOST_ROWS;
    /** @type {Record<string, string>} */
    this.known = {};
    this.element = make("p", { class: "story-kin", hidden: true });
    const began = addressOf("/sessions", { where: `${PARENT}=${id}` });
    this.children = live ? make("a", { class: "story-children", href: `#${began}`, title: "The sessions that this one began" }, "Sub-sessions") : null;
  }

  /** Take note of what lines say of their session. @param {import("./source.js").SessionRow[]} rows */
  see(rows) {
    if (!this.left) return;
    for (const row of rows.slice(0, this.left)) {
      this.left--;
      const text = row[10];
      if (typeof text === "string") this.#read(text);
    }
    if (!Object.keys(this.known).length) return;
    this.element.hidden = false;
    this.element.replaceChildren(
      ...[this.#said("user", USER), this.#linked("began in", PARENT), this.#linked("goes on from", PREVIOUS)].filter((part) => part !== null),
    );
  }

  /** @param {string} text the JSON of a line */
  #read(text) {
    const line = JSON.parse(text);
    for (const key of [PARENT, PREVIOUS, USER]) {
      const value = line[key] ?? line.attributes?.[key];
      if (typeof value === "string" && value) this.known[key] ??= value;
    }
  }

  /** @param {string} what @param {string} key */
  #said(what, key) {
    const value = this.known[key];
    return value === undefined ? null : make("span", {}, `${what} `, make("b", {}, shown(value)));
  }

  /** @param {string} what @param {string} key of a session's ID */
  #linked(what, key) {
    const id = this.known[key];
    if (id === undefined || !this.live) return this.#said(what, key);
    return make("span", {}, `${what} `, make("a", { href: `#${sessionAddress(id)}` }, shown(id)));
  }
}
