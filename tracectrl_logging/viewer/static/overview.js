// The map of the whole session above the rows: one drags over it to see less of the time.

import { make } from "./elements.js";
import { paintMap, paperOf } from "./chart.js";

/** @typedef {import("./axis.js").Axis} MapAxis */
/** @typedef {import("./model.js").Story} MapStory */

const LEAST_DRAG_PX = 4;

/**
 * @typedef {object} MapActions
 * @property {(range: [number, number] | null) => void} zoom from and until when, in microseconds
 * @property {(time: number) => void} go
 */

export class OverviewMap {
  /** @param {MapStory} story @param {MapActions} actions */
  constructor(story, actions) {
    this.story = story;
    this.actions = actions;
    /** @type {MapAxis | null} */
    this.axis = null;
    this.from = -1; // where a drag began, as a part of the width
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.before = make("div", { class: "map-shade" });
    this.after = make("div", { class: "map-shade" });
    this.window = make("div", { class: "map-window", hidden: true });
    this.seen = make("div", { class: "map-seen", hidden: true });
    this.element = make(
      "div",
      { class: "map", role: "img", "aria-label": "The whole session over time. Keys: + and - change how much of the time is seen, 0 shows all." },
      this.canvas, this.before, this.after, this.window, this.seen,
    );
    this.element.addEventListener("pointerdown", (event) => this.#down(event));
    this.element.addEventListener("pointermove", (event) => this.#move(event));
    this.element.addEventListener("pointerup", (event) => this.#up(event));
    this.element.addEventListener("pointercancel", () => (this.from = -1));
    this.element.addEventListener("dblclick", () => actions.zoom(null));
  }

  /** @param {MapAxis} axis @param {import("./chart.js").Palette} palette @param {number} now */
  paint(axis, palette, now) {
    const { clientWidth, clientHeight } = this.element;
    if (!clientWidth || !clientHeight) return;
    const paper = paperOf(this.canvas, clientWidth, clientHeight);
    paintMap(paper, axis, this.story, clientWidth, clientHeight, palette, now);
  }

  /** Show which part of the axis is looked at, and where the rows in sight are.
   * @param {MapAxis} axis @param {[number, number] | null} zoom @param {[number, number] | null} seen */
  frame(axis, zoom, seen) {
    this.axis = axis;
    if (this.from >= 0) return;
    this.#shade(zoom);
    place(this.seen, seen);
  }

  /** @param {[number, number] | null} range */
  #shade(range) {
    place(this.window, range);
    place(this.before, range && [0, range[0]]);
    place(this.after, range && [range[1], 1]);
  }

  /** @param {PointerEvent} event */
  #share(event) {
    const box = this.element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.from = this.#share(event);
    this.fromX = event.clientX;
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (this.from < 0 || Math.abs(event.clientX - (this.fromX ?? 0)) < LEAST_DRAG_PX) return;
    const to = this.#share(event);
    this.#shade([Math.min(this.from, to), Math.max(this.from, to)]);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (this.from < 0 || !this.axis) return;
    const [from, to] = [this.from, this.#share(event)];
    this.from = -1;
    if (Math.abs(event.clientX - (this.fromX ?? 0)) < LEAST_DRAG_PX) this.actions.go(this.axis.timeAt(from));
    else this.actions.zoom([this.axis.timeAt(Math.min(from, to)), this.axis.timeAt(Math.max(from, to))]);
  }
}

/** Place an element over a part of the width; null hides it.
 * @param {HTMLElement} element @param {[number, number] | null} range */
function place(element, range) {
  element.hidden = !range;
  if (!range) return;
  element.style.left = `${range[0] * 100}%`;
  element.style.width = `${Math.max(0, range[1] - range[0]) * 100}%`;
}
