// The rows that are seen: a treegrid of which only those in sight are in the page.
//
// What scrolls is an empty space as high as all rows; a window sticks to its top, and shows the rows
// of that place together with their bars. So both move in the same frame.

import { fragment } from "./source.js";
import { make } from "./elements.js";
import { clockOf, countOf, durationOf, plural, shown } from "./format.js";
import { hueOf, paintGround, paintRow, paintTicks, paperOf } from "./chart.js";
import { markText } from "./find.js";
import { LEVEL_NAMES, NO_TIME, OPEN, SPAN, levelOf } from "./model.js";

/** @typedef {import("./chart.js").Palette} RowPalette */
/** @typedef {import("./axis.js").Lens} RowLens */
/** @typedef {import("./model.js").Story} RowStory */

const MOST_HEIGHT = 8_000_000; // of an element, in pixels, that all browsers can scroll
const MOST_INDENT = 16;
const PAUSE_SHARE = 0.02; // of the whole time: a longer one between two rows is told

/**
 * @typedef {object} RowActions
 * @property {(node: number) => void} select
 * @property {(node: number) => void} open shows the row's details
 * @property {(node: number) => void} toggle collapses or opens a span
 */

export class Rows {
  /** @param {RowStory} story @param {RowActions} actions */
  constructor(story, actions) {
    this.story = story;
    this.actions = actions;
    this.rowHeight = 22;
    this.headHeight = 26;
    this.selected = 0;
    this.live = false;
    this.text = ""; // that is marked
    this.top = 0; // pixels from the top of all rows to the first that is seen
    this.height = 0; // of what is seen, in pixels
    this.chartLeft = 0;
    this.chartWidth = 0;
    this.isNarrow = false;
    this.revision = 0; // another where the contents of all rows are to be made anew
    /** @type {Map<number, {element: HTMLElement, revision: number, state: string}>} */
    this.seen = new Map();
    /** @type {HTMLElement[]} */
    this.spare = [];

    this.canvas = make("canvas", { class: "bars", "aria-hidden": "true" });
    this.ticks = make("canvas", { class: "ticks", "aria-hidden": "true" });
    this.layer = make("div", { class: "layer", role: "rowgroup" });
    this.head = make(
      "div",
      { class: "rows-head", role: "rowgroup" },
      make(
        "div",
        { class: "row-cells", role: "row" },
        make("span", { class: "cell-time", role: "columnheader" }, "Time"),
        (this.path = make("span", { class: "cell-text path", role: "columnheader" })),
        make("span", { class: "cell-bar", role: "columnheader" }, make("span", { class: "unseen" }, "When, and how long"), this.ticks),
      ),
    );
    this.window = make("div", { class: "rows-window", role: "presentation" }, this.head, this.layer, this.canvas);
    this.space = make("div", { class: "rows-space", role: "presentation" }, this.window);
    this.element = make(
      "div",
      { class: "story-rows", role: "treegrid", tabindex: 0, id: "rows", "aria-label": "Log lines and spans", "aria-readonly": "true" },
      this.space,
    );
    this.element.addEventListener("pointerdown", () => this.element.focus({ preventScroll: true }));
    this.layer.addEventListener("click", (event) => this.#click(event));
    this.layer.addEventListener("dblclick", (event) => {
      const node = this.#nodeAt(event);
      if (node && this.story.first[node]) actions.toggle(node);
    });
  }

  /** Measure what is there; to be called when its size may have changed. */
  measure() {
    const style = getComputedStyle(this.element);
    this.rowHeight = parseFloat(style.getPropertyValue("--row-px")) || 22;
    this.headHeight = this.head.offsetHeight;
    this.height = Math.max(0, this.element.clientHeight - this.headHeight);
    const cell = /** @type {HTMLElement} */ (this.head.querySelector(".cell-bar"));
    const from = this.head.getBoundingClientRect();
    const box = cell.getBoundingClientRect();
    this.isNarrow = style.getPropertyValue("--thin").trim() === "1";
    this.chartLeft = this.isNarrow ? 0 : box.left - from.left;
    this.chartWidth = Math.max(10, this.isNarrow ? from.width : box.width);
    this.canvas.style.transform = `translate(${this.chartLeft}px, ${this.headHeight}px)`;
  }

  get isManyServices() {
    return this.story.services.texts.length > 2;
  }

  /** How many rows are seen at once. */
  get page() {
    return Math.max(1, Math.floor(this.height / this.rowHeight) - 1);
  }

  /** The height of all rows, in pixels. */
  get whole() {
    return this.story.count * this.rowHeight;
  }

  /** Whether the last row is seen. */
  get isAtEnd() {
    return this.top + this.height >= this.whole - this.rowHeight / 2;
  }

  /** Take over where the element has been scrolled to. */
  readScroll() {
    this.top = Math.min(Math.max(0, this.whole - this.height), this.element.scrollTop * this.#stretch());
  }

  /** @param {number} top in pixels of all rows */
  scrollTo(top) {
    this.fit();
    this.top = Math.max(0, Math.min(top, this.whole - this.height));
    const stretch = this.#stretch();
    this.element.scrollTop = this.top / stretch;
    if (stretch === 1) this.top = this.element.scrollTop;
  }

  /** Make the space as high as all rows are. */
  fit() {
    const height = `${Math.min(MOST_HEIGHT, this.whole) + this.headHeight}px`;
    if (this.space.style.height !== height) this.space.style.height = height;
  }

  /** Scroll as little as it takes to see a node; into the middle where it was far away.
   * @param {number} node */
  see(node) {
    const place = this.story.place[node];
    if (place < 0) return;
    const at = place * this.rowHeight;
    if (at >= this.top && at + this.rowHeight <= this.top + this.height) return;
    const isNear = at > this.top - 3 * this.rowHeight && at < this.top + this.height + 3 * this.rowHeight;
    if (!isNear) this.scrollTo(at - this.height / 2);
    else this.scrollTo(at < this.top ? at : at + this.rowHeight - this.height);
  }

  /** The first node that is wholly seen, and how far below the top; it is to stay where it is. */
  anchor() {
    const index = Math.ceil(this.top / this.rowHeight - 0.01);
    return { node: this.story.order[index] ?? 0, offset: index * this.rowHeight - this.top };
  }

  /** @param {{node: number, offset: number}} anchor */
  keep({ node, offset }) {
    const place = this.story.place[node && this.story.place[node] < 0 ? this.story.nearest(node) : node];
    this.scrollTo(node && place >= 0 ? place * this.rowHeight - offset : this.top);
  }

  /** Show the rows in sight, and their bars.
   * @param {RowLens} lens @param {RowPalette} palette @param {number} now */
  paint(lens, palette, now) {
    const { story, rowHeight } = this;
    this.fit();
    const first = Math.max(0, Math.floor(this.top / rowHeight));
    const behind = Math.min(story.count, Math.ceil((this.top + this.height) / rowHeight) + 1);
    this.element.setAttribute("aria-rowcount", String(story.count + 1));
    this.#fill(first, behind);
    this.#tellPath(story.order[first] ?? 0);
    this.layer.style.transform = `translateY(${first * rowHeight - this.top}px)`;

    const head = paperOf(this.ticks, this.chartWidth, this.headHeight);
    paintTicks(head, lens, palette, this.headHeight);
    const paper = paperOf(this.canvas, this.chartWidth, this.height);
    if (!this.isNarrow) paintGround(paper, lens, palette, this.height);
    for (let index = first; index < behind; index++) {
      const middle = (index + 0.5) * rowHeight - this.top;
      paintRow(paper, lens, story, story.order[index], middle, palette, now, this.isNarrow);
    }
  }

  /** Say which spans the first row in sight is in. @param {number} node */
  #tellPath(node) {
    const { story } = this;
    const names = [];
    for (let above = node && story.count ? story.above(node) : 0; above; above = story.above(above)) {
      if (names.length < 8) names.unshift(shown(story.names.texts[story.name[above]]) || "open span");
    }
    const text = names.join(" › ") || "What";
    if (this.path.textContent !== text) this.path.textContent = text;
  }

  /** The element of a node where it is in sight.
   * @param {number} node */
  elementOf(node) {
    return this.seen.get(node)?.element;
  }

  /** Whether a span that is open is in sight. */
  get hasOpen() {
    return [...this.seen.keys()].some((node) => this.story.kind[node] === OPEN);
  }

  /** @param {number} first @param {number} behind */
  #fill(first, behind) {
    const { story, seen } = this;
    let changed = false;
    for (const [node, { element }] of seen) {
      const place = story.place[node];
      if (place >= first && place < behind && story.order[place] === node) continue;
      seen.delete(node);
      this.spare.push(element);
      changed = true;
    }
    /** @type {ChildNode | null} */
    let here = this.layer.firstChild;
    for (let index = first; index < behind; index++) {
      const node = story.order[index];
      let row = seen.get(node);
      if (!row) {
        const element = this.spare.pop() ?? make("div", { role: "row", class: "row-cells" });
        row = { element, revision: -1, state: "" };
        seen.set(node, row);
        changed = true;
      }
      const { element } = row;
      const isOpenLine = story.kind[node] === OPEN && !story.isGuessed(node);
      const content = this.revision * 4 + (isOpenLine ? 3 : story.kind[node]);
      if (row.revision !== content) {
        row.revision = content;
        row.state = "";
        this.#write(element, node);
        changed = true;
      }
      this.#dress(row, node, index, first);
      if (here === element) here = here.nextSibling;
      else this.layer.insertBefore(element, here);
    }
    for (const element of this.spare) element.remove();
    if (this.selected && seen.has(this.selected)) this.element.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.element.removeAttribute("aria-activedescendant");
    if (changed) this.mark();
  }

  /** Mark the text that is looked for in what is seen. */
  mark() {
    markText(this.text ? Array.from(this.seen.values(), ({ element }) => element.children[1]) : [], this.text);
  }

  /** Write what a row says.
   * @param {HTMLElement} element @param {number} node */
  #write(element, node) {
    const { story } = this;
    const time = make("span", { class: "cell-time", role: "gridcell" });
    const start = story.start[node];
    if (start !== NO_TIME && !story.borrowed[node]) {
      time.textContent = clockOf(start);
    } else {
      time.textContent = start === NO_TIME ? "" : "·";
      time.title = "The line has no time of its own";
    }
    const twist = make("span", { class: "twist", "aria-hidden": "true" });
    const text = make("span", { class: "cell-text", role: "gridcell" }, twist);
    const html = story.html[node];
    if (html !== undefined) text.append(fragment(html));
    else text.append(make("span", { class: "nm" }, `span ${story.spans.texts[story.span[node]].slice(0, 16)}`));
    if (story.kind[node] === OPEN) text.append(make("span", { class: "kv open-note" }));
    const bar = make("span", { class: "cell-bar", role: "gridcell" });
    if (story.kind[node] === SPAN) bar.append(make("span", { class: "unseen" }, durationOf(story.end[node] - start)));
    text.append(make("span", { class: "inside" }));
    element.replaceChildren(time, text, bar);
    element.id = `row-${node}`;
    element.dataset["node"] = String(node);
  }

  /** Bring what may change about a row up to date.
   * @param {{element: HTMLElement, state: string}} row @param {number} node @param {number} index @param {number} first */
  #dress(row, node, index, first) {
    const { story } = this;
    const { element } = row;
    const has = story.first[node] !== 0;
    const closed = story.collapsed[node] === 1;
    const above = story.above(node);
    const isOpen = story.kind[node] === OPEN;
    const before = index > 0 ? story.order[index - 1] : 0;
    const pause = before ? story.start[node] - story.start[before] : 0;
    const isLate = before !== 0 && pause > (story.until - story.from) * PAUSE_SHARE && pause > 500_000;
    element.style.transform = `translateY(${(index - first) * this.rowHeight}px)`;
    const state = [
      index, has, closed, closed ? story.version : 0, story.level[node], story.position[node], story.shownBelow[above],
      node === this.selected, this.isManyServices, story.fits[node], story.hit[node], isOpen && this.live, isLate && pause, story.service[node],
    ].join();
    if (row.state === state) return;
    row.state = state;
    const level = levelOf(story.severity[node]);
    const kinds = ["log", "span", "open"];
    element.className = [
      "row-cells", "row", `is-${kinds[story.kind[node]]}`, `at-${LEVEL_NAMES[level]}`, `of-${hueOf(story.service[node])}`,
      node === this.selected ? "is-selected" : "", story.fits[node] ? "" : "is-context", story.hit[node] ? "is-hit" : "",
      isLate ? "is-late" : "", this.isManyServices && story.service[above] !== story.service[node] ? "names-service" : "", closed ? "is-closed" : "", has ? "has-more" : "",
    ].filter(Boolean).join(" ");
    element.style.setProperty("--depth", String(Math.min(story.level[node] - 1, MOST_INDENT)));
    element.setAttribute("aria-rowindex", String(index + 2));
    element.setAttribute("aria-level", String(story.level[node]));
    element.setAttribute("aria-posinset", String(story.position[node]));
    element.setAttribute("aria-setsize", String(story.shownBelow[above]));
    element.setAttribute("aria-selected", String(node === this.selected));
    if (has) element.setAttribute("aria-expanded", String(!closed));
    else element.removeAttribute("aria-expanded");
    const note = element.querySelector(".open-note");
    if (note) note.textContent = this.live ? "still open" : story.isGuessed(node) ? "its own line never came" : "never ended";
    const inside = /** @type {HTMLElement} */ (element.children[1].lastChild);
    if (closed) {
      const { rows, errors } = story.below(node);
      inside.replaceChildren(`${countOf(rows)} inside`);
      if (errors) inside.append(" ", make("b", {}, `${plural(errors, "error")}`));
    } else inside.replaceChildren();
    if (isLate) element.dataset["pause"] = `${durationOf(pause)} later`;
    else delete element.dataset["pause"];
  }

  /** @param {Event} event @returns {number} */
  #nodeAt(event) {
    const row = /** @type {HTMLElement} */ (event.target).closest("[data-node]");
    return row ? Number(/** @type {HTMLElement} */ (row).dataset["node"]) : 0;
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const node = this.#nodeAt(event);
    if (!node) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("a")) return;
    if (target.closest(".twist") && this.story.first[node]) this.actions.toggle(node);
    else if (getSelection()?.isCollapsed !== false) this.actions.open(node);
  }

  /** How many pixels of rows one pixel of the space stands for. */
  #stretch() {
    const room = Math.min(MOST_HEIGHT, this.whole) - this.height;
    return this.whole > MOST_HEIGHT ? (this.whole - this.height) / room : 1;
  }
}
