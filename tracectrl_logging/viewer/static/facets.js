// What the rows are picked by: level, kind, service, logger, trace; with how many there are of each.

import { make } from "./elements.js";
import { countOf, shown } from "./format.js";
import { hueOf } from "./chart.js";

/** @typedef {import("./model.js").Story} FacetStory */
/** @typedef {import("./model.js").Picked} FacetPicked */
/** @typedef {Record<string, string | string[] | null>} Changes as the address takes them */

const MOST_VALUES = 200;
const MOST_BEFORE_FILTER = 12;

/** The levels that can be picked: name in the address, least severity, first of `Story.levels` that count. */
export const LEVEL_CHOICES = [
  { value: "", label: "All", severity: 0, from: 0 },
  { value: "DEBUG", label: "Debug", severity: 5, from: 2 },
  { value: "INFO", label: "Info", severity: 9, from: 3 },
  { value: "WARNING", label: "Warning", severity: 13, from: 4 },
  { value: "ERROR", label: "Error", severity: 17, from: 5 },
  { value: "CRITICAL", label: "Critical", severity: 21, from: 6 },
];

const KIND_CHOICES = [
  { value: "", label: "All" },
  { value: "log", label: "Log lines" },
  { value: "span", label: "Spans" },
];

/** One value of a facet, and how often it is there. @typedef {{value: string, label: string, count: number, hue?: number}} FacetValue */

export class Facets {
  /** @param {FacetStory} story @param {(changes: Changes) => void} onPick */
  constructor(story, onPick) {
    this.story = story;
    this.onPick = onPick;
    this.element = make("aside", { class: "facets", "aria-label": "Filters", id: "facets" });
    this.levels = new FacetGroup("Level and above", "level", false, onPick);
    this.kinds = new FacetGroup("Kind", "kind", false, onPick);
    this.services = new FacetGroup("Service", "service", true, onPick);
    this.loggers = new FacetGroup("Logger", "logger", true, onPick);
    this.trace = make("div", { class: "facet-trace" });
    this.clear = make("button", { type: "button", class: "quiet facet-clear", onclick: () => onPick(NO_PICKS) }, "Clear filters");
    this.element.append(
      this.clear, this.trace, this.levels.element, this.kinds.element, this.services.element, this.loggers.element,
    );
  }

  /** Show what is there and what is picked. */
  update() {
    const { story } = this;
    const { picked } = story;
    const level = LEVEL_CHOICES.find((choice) => choice.severity === picked.severity)?.value ?? "";
    this.levels.show(
      LEVEL_CHOICES.map(({ value, label, from }) => ({
        value, label, count: story.levels.subarray(from).reduce((sum, count) => sum + count, 0),
      })),
      new Set([level]),
    );
    const counts = [story.logs + story.spanLines, story.logs, story.spanLines];
    this.kinds.show(KIND_CHOICES.map((choice, at) => ({ ...choice, count: counts[at] })), new Set([picked.kind]));
    this.services.show(valuesOf(story.services.texts, story.linesOfService, true), picked.services);
    this.loggers.show(valuesOf(story.names.texts, story.linesOfLogger, false), picked.loggers);
    this.trace.hidden = !picked.trace;
    if (picked.trace && this.trace.dataset["trace"] !== picked.trace) {
      this.trace.dataset["trace"] = picked.trace;
      this.trace.replaceChildren(
        "Trace ", make("code", {}, shown(picked.trace)),
        make("button", { type: "button", class: "quiet icon", "aria-label": "All traces", onclick: () => this.onPick({ trace: null }) }, "×"),
      );
    }
    if (!picked.trace) delete this.trace.dataset["trace"];
    this.clear.hidden = !isPicking(picked);
  }
}

/** Changes of the address that take all filters away. @type {Changes} */
export const NO_PICKS = { level: null, kind: null, service: null, logger: null, trace: null, only: null };

/** @param {FacetPicked} picked */
export function isPicking(picked) {
  return picked.severity > 0 || picked.kind !== "" || picked.trace !== "" || picked.hits ||
    picked.services.size > 0 || picked.loggers.size > 0;
}

/** @param {string[]} texts @param {number[]} counts @param {boolean} hasHue @returns {FacetValue[]} */
function valuesOf(texts, counts, hasHue) {
  /** @type {FacetValue[]} */
  const values = [];
  texts.forEach((text, number) => {
    const count = counts[number] ?? 0;
    if (!count || (!text && hasHue)) return;
    const value = { value: text, label: shown(text) || "(none)", count };
    values.push(hasHue ? { ...value, hue: hueOf(number) } : value);
  });
  return values.sort((a, b) => a.label.localeCompare(b.label));
}

/** Choices of one kind: of one, or of any number. */
class FacetGroup {
  /** @param {string} title @param {string} name in the address @param {boolean} isMany @param {(changes: Changes) => void} onPick */
  constructor(title, name, isMany, onPick) {
    this.name = name;
    this.isMany = isMany;
    this.onPick = onPick;
    /** @type {Map<string, {element: HTMLElement, input: HTMLInputElement, count: HTMLElement}>} */
    this.choices = new Map();
    this.list = make("div", { class: "facet-values" });
    this.filter = make("input", {
      type: "search", class: "facet-filter", placeholder: "Filter", "aria-label": `Filter: ${title}`, hidden: true,
      oninput: () => this.#sift(),
    });
    this.element = make("fieldset", { class: "facet" }, make("legend", {}, title), this.filter, this.list);
  }

  /** @param {FacetValue[]} values @param {Set<string>} picked */
  show(values, picked) {
    this.element.hidden = this.isMany && !values.length;
    this.filter.hidden = values.length <= MOST_BEFORE_FILTER;
    const all = values.slice(0, MOST_VALUES);
    for (const value of picked) {
      if (!all.some((it) => it.value === value)) all.push({ value, label: shown(value), count: 0 });
    }
    const isSame = all.length === this.choices.size && all.every(({ value }) => this.choices.has(value));
    if (!isSame) {
      const focused = [...this.choices].find(([, { input }]) => input === document.activeElement)?.[0];
      this.choices.clear();
      this.list.replaceChildren(...all.map((value) => this.#choice(value)));
      if (focused !== undefined) this.choices.get(focused)?.input.focus();
      this.#sift();
    }
    for (const { value, count } of all) {
      const choice = this.choices.get(value);
      if (!choice) continue;
      choice.input.checked = picked.has(value);
      const text = countOf(count);
      if (choice.count.textContent !== text) choice.count.textContent = text;
    }
  }

  /** @param {FacetValue} value */
  #choice({ value, label, hue }) {
    const input = make("input", {
      type: this.isMany ? "checkbox" : "radio", name: `facet-${this.name}`, onchange: () => this.#pick(value),
    });
    const count = make("span", { class: "facet-count" });
    const swatch = hue === undefined ? null : make("span", { class: `swatch of-${hue}`, "aria-hidden": "true" });
    const element = make("label", { title: label }, input, swatch, make("span", { class: "facet-label" }, label), " ", count);
    this.choices.set(value, { element, input, count });
    return element;
  }

  /** @param {string} value */
  #pick(value) {
    if (!this.isMany) {
      this.onPick({ [this.name]: value || null });
      return;
    }
    const values = [...this.choices].filter(([, { input }]) => input.checked).map(([it]) => it);
    this.onPick({ [this.name]: values.length ? values : null });
  }

  #sift() {
    const wanted = this.filter.value.toLowerCase();
    for (const [value, { element }] of this.choices) element.hidden = !value.toLowerCase().includes(wanted);
  }
}
