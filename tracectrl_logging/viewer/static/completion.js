// An input that offers how to go on: a combobox with a list, by the ARIA practices' pattern.

import { make } from "./elements.js";
import { shown } from "./format.js";

/** @typedef {{text: string, about?: string, isWhole?: boolean, pick?: () => void}} Offer
 *   `isWhole`: taking it is entering it; else one writes on behind it; `pick` is called in place of both */

let listCount = 0;

/** Completes what is written in an input; Enter gives it to `enter`. */
export class Completion {
  /**
   * @param {HTMLInputElement} input
   * @param {(text: string) => Promise<Offer[]> | Offer[]} offers
   * @param {(text: string) => void} enter
   */
  constructor(input, offers, enter) {
    this.input = input;
    this.offersFor = offers;
    this.enter = enter;
    this.active = -1;
    this.asked = 0;
    /** @type {Offer[]} */
    this.offers = [];
    listCount += 1;
    this.list = make("ul", { class: "offers", role: "listbox", id: `offers-${listCount}`, hidden: true, "aria-label": "Completions" });
    for (const [name, value] of Object.entries({
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": this.list.id,
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
    })) input.setAttribute(name, value);
    input.after(this.list);
    input.addEventListener("input", () => this.ask());
    input.addEventListener("focus", () => this.ask());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.press(event));
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // the input keeps the focus
    this.list.addEventListener("click", (event) => {
      const item = /** @type {HTMLElement} */ (event.target).closest("li");
      if (item) this.take(this.offers[[...this.list.children].indexOf(item)]);
    });
  }

  async ask() {
    this.asked += 1;
    const number = this.asked;
    const offers = await this.offersFor(this.input.value);
    if (number !== this.asked || document.activeElement !== this.input) return;
    this.offers = offers;
    this.active = -1;
    this.list.replaceChildren(
      ...offers.map(({ text, about }, index) =>
        make("li", { role: "option", id: `${this.list.id}-${index}`, "aria-selected": "false" }, make("code", {}, shown(text)), about ? make("span", {}, shown(about)) : null),
      ),
    );
    this.showList(offers.length > 0);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.isComposing) return;
    const isOpen = !this.list.hidden;
    const count = this.offers.length;
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && isOpen) {
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.move(this.active < 0 && step < 0 ? count - 1 : (this.active + step + count) % count);
    } else if (event.key === "Tab" && !event.shiftKey && isOpen && this.input.value && (this.active >= 0 || count === 1)) {
      this.take(this.offers[Math.max(this.active, 0)]);
    } else if (event.key === "Enter") {
      if (isOpen && this.active >= 0) this.take(this.offers[this.active]);
      else if (this.input.value.trim()) this.done(() => this.enter(this.input.value.trim()));
    } else if (event.key === "Escape" && isOpen) {
      this.close();
    } else if (event.key === "Backspace" && !this.input.value) {
      this.enter("");
      return;
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} index */
  move(index) {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = index;
    const item = this.list.children[index];
    item?.setAttribute("aria-selected", "true");
    item?.scrollIntoView({ block: "nearest" });
    if (item) this.input.setAttribute("aria-activedescendant", item.id);
  }

  /** @param {Offer} offer */
  take(offer) {
    if (offer.pick) this.done(offer.pick);
    else if (offer.isWhole) this.done(() => this.enter(offer.text));
    else {
      this.input.value = offer.text;
      this.ask();
    }
  }

  /** @param {() => void} action */
  done(action) {
    this.close();
    action();
  }

  close() {
    this.asked += 1; // what is still to come is not wanted
    this.showList(false);
  }

  /** @param {boolean} isOpen */
  showList(isOpen) {
    this.list.hidden = !isOpen;
    this.input.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) this.input.removeAttribute("aria-activedescendant");
  }
}

const WRITTEN_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const AGES = ["-15m", "-1h", "-3h", "-1d", "-7d"];

/** @type {[text: string, about: string][]} */
const CONDITIONS = [
  ["level>=", "of at least this level"],
  ["service=", "of this service"],
  ["logger=", "of this logger"],
  ["message~", "whose message has this pattern"],
  ["exception.type=", "with this exception"],
  ["duration>", "that took longer: 1s, 250ms, 5m"],
  ["name=", "spans of this name"],
  ["status=ERROR", "spans in error"],
];

/**
 * Returns what may be written behind `text`, a condition that is begun.
 * @param {string} text
 * @param {{services: Iterable<string>, more?: [text: string, about: string][], values?: Record<string, string[]>}} known
 * @returns {Offer[]}
 */
export function conditionOffers(text, { services, more = [], values = {} }) {
  const found = /^\s*([^=!<>~\s]+?)\s*(==|!=|>=|<=|!~|=|>|<|~)(.*)$/s.exec(text);
  if (found) {
    const [, key, sign, begun] = found;
    const named = key === "level" ? WRITTEN_LEVELS : key === "service" ? [...services] : key === "since" || key === "until" ? AGES : (values[key] ?? []);
    return named
      .filter((value) => value.toLowerCase().startsWith(begun.toLowerCase()) && value !== begun)
      .map((value) => ({ text: `${key}${sign}${value}`, isWhole: true }));
  }
  const begun = text.trim().toLowerCase();
  return [...more, ...CONDITIONS]
    .filter(([offer]) => offer.toLowerCase().startsWith(begun))
    .map(([offer, about]) => ({ text: offer, about, isWhole: !/[=<>~]$/.test(offer) }));
}
