// One session as one story: its rows, their bars on one axis, and what picks, finds and explains them.

import { addressOf } from "./address.js";
import { countOf, durationOf, onZone, plural } from "./format.js";
import { Axis, Busy, Lens } from "./axis.js";
import { paletteOf } from "./chart.js";
import { Drawer, commandsFor, copyText } from "./drawer.js";
import { Facets, LEVEL_CHOICES, NO_PICKS, isPicking } from "./facets.js";
import { Finder } from "./find.js";
import { Kin } from "./kin.js";
import { SessionLayout } from "./layout.js";
import { OverviewMap } from "./overview.js";
import { ERROR_SEVERITY, NO_TIME, OPEN, Story } from "./model.js";
import { Rows } from "./rows.js";
import { ConversationDialog } from "./conversation.js";
import { SaveDialog } from "./save.js";

/** @typedef {import("./address.js").Params} SessionParams */
/** @typedef {import("./source.js").Source} SessionSource */
/** @typedef {import("./main.js").Ui} SessionUi */
/** @typedef {import("./model.js").StoryRow} SessionStoryRow */

const TAKE_MS = 9; // for rows that have come, and the search in them, before anything else has its turn
const LOADING_EVERY_MS = 200; // between two pictures of rows while many are coming
const MAP_EVERY_MS = 250;
const SLOWLY_MS = 1000; // between two pictures of what grows, where nobody looks at it closely
const FACTS_EVERY_MS = 200;
const GROW_EVERY_MS = 66; // between two pictures of a bar that grows
const SETTLE_MS = 180; // after the last key, until the address says it
const SILENT_US = 300_000_000; // after which a span that nobody ends is not thought to go on
const ZOOM = 1.4;
const WIDE_PX = 1100; // from which on the filters have a place beside the rows

/** @type {import("./main.js").MakeView} */
export const SessionView = (host, params, source, ui) => {
  const page = new SessionPage(host, params, source, ui);
  return { close: () => page.close(), update: (given) => page.update(given), keys: page.keys };
};

/** The view of one session. */
class SessionPage {
  /** @param {HTMLElement} host @param {SessionParams} params @param {SessionSource} source @param {SessionUi} ui */
  constructor(host, params, source, ui) {
    this.id = params.get("id") ?? "";
    this.params = params; // those of what is picked are kept up to date
    this.source = source;
    this.ui = ui;
    this.stop = new AbortController();
    this.story = new Story();
    this.busy = new Busy();
    this.busySeen = 1;
    this.axis = new Axis(0, 1, []);
    /** @type {SessionStoryRow[][]} */
    this.coming = [];
    this.caughtUp = false;
    this.connected = false;
    this.state = ""; // running, ended or crashed, where that is known
    this.follows = false; // the end stays in sight
    this.wanted = ""; // the name of a row that has not come
    /** @type {[number, number] | null} from and until when, in microseconds after the first row; null for all */
    this.zoom = null;
    this.selected = 0;
    this.clockAhead = 0; // of the rows' clock, in microseconds
    this.taking = 0;
    this.isChanged = false; // since the rows were painted
    this.rowsAt = -Infinity; // when they were
    this.mapVersion = -1;
    this.mapAt = 0;
    this.factsAt = 0;
    this.factsVersion = -1;
    this.frame = 0;
    this.timer = 0;
    this.settling = 0;
    /** @type {Record<string, string | string[] | null>} changes of the address that wait */
    this.unsaid = {};
    this.isMeasured = false;

    this.rows = new Rows(this.story, {
      select: (node) => this.select(node),
      open: (node) => this.open(node),
      toggle: (node) => this.toggle(node),
    });
    this.finder = new Finder(this.story, (place) => source.rawLine(this.id, place), () => this.#take());
    this.facets = new Facets(this.story, (changes) => this.pick(changes));
    this.drawer = new Drawer(this.story, this.id, {
      go: (node) => this.open(node),
      pickTrace: (trace) => this.pick({ trace }),
      close: () => this.closeDrawer(),
      announce: ui.announce,
      rawLine: (place) => source.rawLine(this.id, place),
    });
    this.map = new OverviewMap(this.story, {
      zoom: (range) => this.setZoom(range),
      go: (time) => this.goTo(time),
    });
    this.kin = new Kin(this.id, source.live);
    this.layout = new SessionLayout(
      this.id,
      { kin: this.kin.element, children: this.kin.children, map: this.map.element, facets: this.facets.element, rows: this.rows.element, drawer: this.drawer.element },
      {
        typed: () => this.#typed(),
        searchKey: (event) => this.#searchKey(event),
        only: (only) => this.pick({ only: only ? "1" : null }),
        jumpHit: (step) => this.jumpHit(step),
        jumpError: (step) => this.jumpError(step),
        toggleFacets: () => this.toggleFacets(),
        toEnd: () => this.toEnd(),
        wholeTime: () => this.setZoom(null),
        foldAll: (closed) => this.foldAll(closed),
        conversation: source.live ? () => void this.conversation.open() : null,
        save: source.live ? () => this.save() : null,
      },
    );
    this.conversation = new ConversationDialog(this.layout.element, this.id, source);
    this.saver = new SaveDialog(this.layout.element, this.id, source, ui);
    const wide = matchMedia(`(min-width: ${WIDE_PX}px)`);
    wide.addEventListener("change", () => this.#showFacets(wide.matches), { signal: this.stop.signal });
    this.#showFacets(wide.matches);
    host.append(this.layout.element);
    this.palette = paletteOf(this.layout.element);
    this.lens = new Lens(this.axis, 1);
    this.lastScroll = 0;
    this.resizes = new ResizeObserver(() => {
      this.isMeasured = false;
      this.mapVersion = -1;
      this.wake();
    });
    this.themes = new MutationObserver(() => this.#recolour());
    this.endZone = onZone(() => {
      this.rows.revision++;
      this.drawer.rewrite();
      this.wake();
    });
    this.wantsDrawer = false;
    this.#listen();
    this.#read(params);
    ui.title(this.id);
    source.rows(
      this.id,
      {
        onRows: (rows) => {
          this.kin.see(rows);
          this.coming.push(/** @type {SessionStoryRow[]} */ (rows));
          if (!this.taking) this.#take();
        },
        onReset: () => this.#reset(),
        onCaughtUp: () => {
          this.caughtUp = true;
          this.wake();
        },
        onState: (state) => {
          this.state = state;
          this.layout.showState(state);
          this.wake();
        },
        onStatus: (text) => {
          this.connected = text === "live";
          ui.status(text);
          this.wake();
        },
      },
      this.stop.signal,
    ).catch((error) => {
      if (!this.stop.signal.aborted) ui.status(String(error?.message ?? error));
    });
    this.keys = this.#keys();
    this.rows.element.focus({ preventScroll: true });
  }

  close() {
    this.stop.abort();
    this.resizes.disconnect();
    this.themes.disconnect();
    this.endZone();
    cancelAnimationFrame(this.frame);
    for (const timer of [this.timer, this.settling, this.taking]) clearTimeout(timer);
  }

  /** Show what the address says now. @param {SessionParams} params */
  update(params) {
    clearTimeout(this.settling);
    this.unsaid = {};
    this.#read(params);
    this.wake();
  }

  #listen() {
    const { rows } = this;
    rows.element.addEventListener("scroll", () => {
      if (Math.abs(rows.element.scrollTop - this.lastScroll) < 1) return;
      this.lastScroll = rows.element.scrollTop;
      rows.readScroll();
      this.follows = rows.isAtEnd && this.source.live;
      this.#paint();
    });
    rows.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    rows.element.addEventListener("keydown", (event) => this.#gridKey(event));
    for (const element of [rows.element, this.map.element]) this.resizes.observe(element);
    this.themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#recolour(), { signal: this.stop.signal });
  }

  #recolour() {
    this.palette = paletteOf(this.layout.element);
    this.mapVersion = -1;
    this.wake();
  }

  // --- the address --------------------------------------------------------------------------------

  /** @param {SessionParams} params */
  #read(params) {
    this.params = params;
    const text = params.get("q") ?? "";
    if (this.layout.search.value !== text && document.activeElement !== this.layout.search) this.layout.search.value = text;
    this.finder.look(text);
    this.#take();
    this.rows.text = text;
    const picked = this.#picked();
    if (JSON.stringify(plain(picked)) !== JSON.stringify(plain(this.story.picked))) {
      const anchor = this.#anchor();
      this.story.pick(picked);
      this.#arrange(anchor);
    }
    const range = /^(\d+)-(\d+)$/.exec(params.get("time") ?? "");
    this.zoom = range && Number(range[2]) > Number(range[1]) ? [Number(range[1]), Number(range[2])] : null;
    this.layout.whole.hidden = !this.zoom;
    const line = params.get("line") ?? "";
    this.wantsDrawer = params.get("drawer") === "1";
    if (!line) {
      this.wanted = "";
      this.#select(0);
      this.#drawer(0);
    } else if (!this.selected || this.story.nameOf(this.selected) !== line) {
      this.wanted = line;
      this.#findWanted();
    } else this.#drawer(this.wantsDrawer ? this.selected : 0);
    this.facets.update();
    this.rows.mark();
  }

  #findWanted() {
    if (!this.wanted) return;
    const node = this.story.nodeOf(this.wanted);
    if (!node) return;
    this.wanted = "";
    this.follows = false;
    this.#show(node);
    this.#drawer(this.wantsDrawer ? node : 0);
  }

  /** @param {Record<string, string | string[] | null>} changes @param {boolean} [replace] */
  #say(changes, replace = false) {
    clearTimeout(this.settling);
    const all = { ...this.unsaid, ...changes };
    this.unsaid = {};
    this.ui.set(all, { replace });
  }

  /** Say it in the address when nothing more comes for a moment.
   * @param {Record<string, string | string[] | null>} changes */
  #sayLater(changes) {
    clearTimeout(this.settling);
    Object.assign(this.unsaid, changes);
    this.settling = setTimeout(() => this.#say({}, true), SETTLE_MS);
  }

  /** What is picked, as the address says it; nothing but what is found only where something is looked for. */
  #picked() {
    const { params } = this;
    const kind = params.get("kind") ?? "";
    const picked = {
      severity: LEVEL_CHOICES.find((choice) => choice.value === params.get("level"))?.severity ?? 0,
      services: new Set(params.getAll("service")),
      loggers: new Set(params.getAll("logger")),
      kind: kind === "log" || kind === "span" ? kind : "",
      trace: params.get("trace") ?? "",
      hits: params.get("only") === "1" && this.finder.text !== "",
    };
    this.layout.only.checked = picked.hits;
    return picked;
  }

  /** Change what is picked, by what the address is to say of it.
   * @param {Record<string, string | string[] | null>} changes */
  pick(changes) {
    this.#say(changes);
    for (const [name, value] of Object.entries(changes)) this.params.set(name, value);
    const picked = this.#picked();
    const anchor = this.#anchor();
    this.story.pick(picked);
    this.#arrange(anchor);
    this.facets.update();
    this.#announceCount();
    this.wake();
  }

  /** What is to stay where it is: the row that is selected where it is seen, else the first one that is. */
  #anchor() {
    const { rows, selected } = this;
    if (!selected || !rows.elementOf(selected)) return rows.anchor();
    return { node: selected, offset: this.story.place[selected] * rows.rowHeight - rows.top };
  }

  #announceCount() {
    this.ui.announce(`${countOf(this.story.count)} rows shown`);
  }

  // --- frames -------------------------------------------------------------------------------------

  /** Show, in the next frame, what has changed. */
  wake() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.#step();
    });
  }

  /** Take the rows that have come, and look for the text in them, a little at a time. */
  #take() {
    if (this.stop.signal.aborted) return;
    const { story, finder } = this;
    const until = performance.now() + TAKE_MS;
    clearTimeout(this.taking);
    this.taking = 0;
    while (this.coming.length && performance.now() < until) {
      story.add(/** @type {SessionStoryRow[]} */ (this.coming.shift()));
      this.isChanged = true;
    }
    this.#seeBusy();
    if (this.caughtUp) this.clockAhead = Math.max(this.clockAhead, story.until - Date.now() * 1000);
    finder.again(story.filled.splice(0));
    if (finder.step(until)) this.isChanged = true;
    if (this.coming.length || !finder.isIdle) this.taking = setTimeout(() => this.#take());
    const pause = this.caughtUp ? 0 : this.rowsAt + LOADING_EVERY_MS - performance.now();
    if (pause <= 0) this.wake();
    else this.timer ||= setTimeout(() => this.wake(), pause);
  }

  #step() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.isMeasured) {
      this.isMeasured = true;
      this.rows.measure();
    }
    if (this.isChanged) {
      this.isChanged = false;
      this.rowsAt = performance.now();
      this.#arrange(this.follows ? null : this.rows.anchor());
      this.#findWanted();
    }
    this.#paint();
    this.#paintMap();
    this.#tell();
    this.#plan();
  }

  /** Wake again for what changes by itself, or was put off. */
  #plan() {
    const isBehind = this.mapVersion !== this.story.version || this.factsVersion !== this.story.version;
    if (!this.isGrowing && !isBehind) return;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const isSeen = this.isGrowing && !isCalm && this.rows.hasOpen;
    this.timer = setTimeout(() => this.wake(), isSeen ? GROW_EVERY_MS : isBehind ? MAP_EVERY_MS : SLOWLY_MS);
  }

  /** The moment it is, by the clock of the rows, in microseconds. */
  get now() {
    return Date.now() * 1000 + Math.max(0, this.clockAhead);
  }

  /** Whether lines may still come. */
  get isLive() {
    return this.source.live && this.connected && this.now - this.story.until < SILENT_US;
  }

  /** Whether spans are open and may go on. */
  get isGrowing() {
    return this.story.openSpans.size > 0 && this.isLive && this.state !== "crashed";
  }

  /** Bring the order up to date; what was seen stays in its place.
   * @param {{node: number, offset: number} | null} anchor null where the end is followed */
  #arrange(anchor) {
    this.story.arrange();
    this.rows.fit();
    if (this.follows) this.rows.scrollTo(Infinity);
    else if (anchor?.node) this.rows.keep(anchor);
    this.lastScroll = this.rows.element.scrollTop;
  }

  #seeBusy() {
    const { story } = this;
    for (; this.busySeen < story.size; this.busySeen++) {
      if (story.start[this.busySeen] !== NO_TIME) this.busy.add(story.start[this.busySeen], story.end[this.busySeen]);
    }
    for (const node of story.filled) this.busy.add(story.start[node], story.end[node]);
  }

  #lens() {
    const { story, rows } = this;
    const from = Number.isFinite(story.from) ? story.from : 0;
    const until = this.isGrowing ? Math.max(story.until, this.now) : Math.max(story.until, from + 1);
    let open = Infinity; // from when on a span goes on
    if (this.isGrowing) for (const node of story.openSpans) open = Math.min(open, story.start[node]);
    this.axis = new Axis(from, until, this.busy.gaps().filter(([start]) => start < open));
    const room = rows.isNarrow ? 0 : Math.min(64, rows.chartWidth / 4); // so that the length of the last bar has a place
    const [left, right] = this.zoom ? [this.axis.at(from + this.zoom[0]), this.axis.at(from + this.zoom[1])] : [0, 1];
    return new Lens(this.axis, Math.max(1, rows.chartWidth - room), left, right, room);
  }

  #paint() {
    const live = (this.rows.live = this.isGrowing);
    this.lens = this.#lens();
    this.rows.paint(this.lens, this.palette, live ? this.now : -Infinity);
    this.map.frame(this.axis, this.zoom && [this.lens.left, this.lens.right], this.#seen());
    this.layout.end.hidden = !this.isLive || this.rows.isAtEnd;
  }

  /** From and until when the rows in sight are, as parts of the axis. */
  #seen() {
    const { story, rows } = this;
    let [from, until] = [Infinity, -Infinity];
    const first = Math.floor(rows.top / rows.rowHeight);
    for (let index = first; index < Math.min(story.count, first + rows.page + 1); index++) {
      const time = story.start[story.order[index]];
      if (time === NO_TIME) continue;
      from = Math.min(from, time);
      until = Math.max(until, time);
    }
    return from > until ? null : /** @type {[number, number]} */ ([this.axis.at(from), this.axis.at(until)]);
  }

  #paintMap() {
    const now = performance.now();
    const isBehind = this.mapVersion !== this.story.version;
    if (!isBehind && !this.isGrowing) return;
    if (now - this.mapAt < (isBehind ? MAP_EVERY_MS : SLOWLY_MS) && this.mapVersion >= 0) return;
    this.mapAt = now;
    this.mapVersion = this.story.version;
    this.map.paint(this.axis, this.palette, this.isGrowing ? this.now : -Infinity);
  }

  /** Say how many rows the search has found, and which of them is selected. */
  #tellFound() {
    const { finder, selected, story } = this;
    const rank = finder.text && story.hit[selected] ? `${countOf(finder.rankOf(selected))}/` : "";
    setText(this.layout.found, finder.text ? `${rank}${countOf(finder.count)}${finder.isDone ? "" : "…"}` : "");
  }

  /** Say how much there is. */
  #tell() {
    const { story } = this;
    const now = performance.now();
    if (this.factsVersion === story.version || (now - this.factsAt < FACTS_EVERY_MS && this.factsVersion >= 0)) return;
    this.factsAt = now;
    this.factsVersion = story.version;
    const counts = [
      plural(story.logs, "log line"), plural(story.spanLines, "span"),
      ...(story.until > story.from ? [durationOf(story.until - story.from)] : []),
    ];
    if (isPicking(story.picked)) counts.push(`${countOf(story.count)} shown`);
    setText(this.layout.facts, counts.join(" · "));
    this.layout.errors.hidden = !story.errors;
    setText(this.layout.errorCount, plural(story.errors, "error"));
    this.#tellFound();
    this.layout.empty.hidden = story.count > 0;
    setText(this.layout.empty, story.size > 1 ? "No line is meant by these filters" : this.source.live ? "Waiting for lines" : "No lines");
    this.facets.update();
    this.drawer.refresh();
  }

  #reset() {
    this.coming = [];
    this.caughtUp = false;
    if (this.selected) this.wanted ||= this.story.nameOf(this.selected);
    this.selected = this.rows.selected = 0;
    this.story.reset();
    this.busy = new Busy();
    this.busySeen = 1;
    this.finder.restart();
    this.rows.revision++;
    this.mapVersion = this.factsVersion = -1;
    this.drawer.show(0);
    this.wake();
  }

  // --- what a person does -------------------------------------------------------------------------

  /** @param {number} node */
  #select(node) {
    this.selected = this.rows.selected = node;
    this.#tellFound();
  }

  /** Select a node, and bring it into sight. @param {number} node */
  #show(node) {
    this.#select(node);
    this.story.reveal(node);
    this.rows.fit();
    this.rows.see(node);
    this.lastScroll = this.rows.element.scrollTop;
    this.wake();
  }

  /** Select a row as a person does, by hand or key. @param {number} node */
  select(node) {
    if (!node) return;
    this.follows = false;
    this.wanted = "";
    this.#show(node);
    if (this.drawer.isOpen) this.#drawer(node);
    this.#sayLater({ line: this.story.nameOf(node) });
  }

  /** Show the details of a row. @param {number} node */
  open(node) {
    if (!node) return;
    const wasOpen = this.drawer.isOpen;
    this.wanted = "";
    this.follows = false;
    this.#show(node);
    this.#drawer(node);
    this.#say({ line: this.story.nameOf(node), drawer: "1" }, wasOpen);
  }

  closeDrawer() {
    this.#drawer(0);
    this.#say({ drawer: null }, true);
    this.rows.element.focus({ preventScroll: true });
  }

  /** @param {number} node */
  #drawer(node) {
    const wasOpen = this.drawer.isOpen;
    if (node !== this.drawer.node) this.drawer.show(node);
    if (wasOpen !== this.drawer.isOpen) {
      this.layout.element.classList.toggle("has-drawer", this.drawer.isOpen);
      this.isMeasured = false;
      if (node) requestAnimationFrame(() => this.selected && this.#show(this.selected));
    }
    this.wake();
  }

  /** @param {number} node */
  toggle(node) {
    this.story.collapse(node, !this.story.collapsed[node]);
    this.#arrange(this.rows.anchor());
    this.wake();
  }

  /** @param {boolean} closed */
  foldAll(closed) {
    this.story.collapseAll(closed);
    this.#arrange(null);
    let node = this.selected;
    while (node && this.story.place[node] < 0) node = this.story.above(node);
    if (node) this.#show(node);
    else this.rows.scrollTo(this.rows.top);
    this.ui.announce(closed ? "All spans collapsed" : "All spans expanded");
    this.wake();
  }

  /** @param {number} step rows down, or up where it is negative */
  move(step) {
    const { story, rows } = this;
    if (!story.count) return;
    const here = this.selected && story.place[this.selected] >= 0 ? story.place[this.selected] : -1;
    const seen = Math.min(story.count - 1, Math.ceil(rows.top / rows.rowHeight));
    const next = here < 0 ? seen : Math.max(0, Math.min(story.count - 1, here + step));
    this.select(story.order[next]);
  }

  /** Go to what is left of a row: collapse it, or its parent. */
  inwards() {
    const { story, selected } = this;
    if (!selected) return this.move(1);
    if (story.first[selected] && !story.collapsed[selected]) this.toggle(selected);
    else if (story.above(selected)) this.select(story.above(selected));
  }

  /** Expand a row, or go to its first child. */
  outwards() {
    const { story, selected } = this;
    if (!selected) return this.move(1);
    if (!story.first[selected]) return;
    if (story.collapsed[selected]) this.toggle(selected);
    else this.move(1);
  }

  /** @param {1 | -1} step */
  jumpError(step) {
    this.#jump(step, (node) => this.story.severity[node] >= ERROR_SEVERITY && this.story.fits[node] === 1, "error");
  }

  /** @param {1 | -1} step */
  jumpHit(step) {
    if (!this.finder.text) return this.layout.search.focus();
    this.finder.step(Infinity); // a key may come before the frame that would have looked
    this.#jump(step, (node) => this.story.hit[node] === 1 && this.story.kind[node] !== OPEN, "match");
  }

  /** @param {1 | -1} step @param {(node: number) => boolean} test @param {string} what */
  #jump(step, test, what) {
    const { story } = this;
    let node = story.seek(this.selected, step, test);
    const wraps = !node && this.selected !== 0;
    if (!node) node = story.seek(0, step, test);
    if (!node) {
      this.ui.announce(`No ${what}`);
      return;
    }
    this.select(node);
    requestAnimationFrame(() => {
      const text = this.rows.elementOf(node)?.children[1]?.textContent ?? "";
      this.ui.announce(`${wraps ? "From the other end: " : ""}${text.slice(0, 200)}`);
    });
  }

  #typed() {
    const text = this.layout.search.value;
    this.finder.look(text);
    this.rows.text = text;
    if (!text && this.story.picked.hits) this.pick({ only: null });
    this.rows.mark();
    this.#sayLater({ q: text || null });
    this.#take();
    this.wake();
  }

  /** @param {KeyboardEvent} event */
  #searchKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.jumpHit(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      event.preventDefault(); // which would empty the field
      this.rows.element.focus({ preventScroll: true });
    }
  }

  nextLevel() {
    const at = LEVEL_CHOICES.findIndex((choice) => choice.severity === this.story.picked.severity);
    const next = LEVEL_CHOICES[(at + 1) % LEVEL_CHOICES.length];
    this.pick({ level: next.value || null });
    this.ui.announce(`Level: ${next.label}, ${countOf(this.story.count)} rows shown`);
  }

  toggleFacets() {
    const { element } = this.facets;
    this.#showFacets(element.hidden !== false);
    if (element.hidden) this.rows.element.focus({ preventScroll: true });
    else element.querySelector("input")?.focus();
  }

  /** @param {boolean} shows */
  #showFacets(shows) {
    this.facets.element.hidden = !shows;
    this.layout.filters.setAttribute("aria-expanded", String(shows));
  }

  toEnd() {
    this.follows = this.source.live;
    this.rows.scrollTo(Infinity);
    this.lastScroll = this.rows.element.scrollTop;
    this.wake();
  }

  /** Go to the first row at a time, or after it. @param {number} time */
  goTo(time) {
    this.select(this.story.firstAt(time));
  }

  /** @param {[number, number] | null} range from and until when, in microseconds since the epoch */
  setZoom(range) {
    const whole = this.axis.until - this.axis.from;
    if (range) {
      const from = Math.max(0, Math.floor(range[0] - this.axis.from));
      const until = Math.min(Math.ceil(whole), Math.ceil(range[1] - this.axis.from));
      this.zoom = until - from < 1 || (from === 0 && until >= whole) ? null : [from, until];
    } else this.zoom = null;
    this.layout.whole.hidden = !this.zoom;
    this.#sayLater({ time: this.zoom ? this.zoom.join("-") : null });
    this.wake();
  }

  /** See less of the time, or more. @param {number} factor @param {number} [share] of the picture that stays where it is */
  zoomBy(factor, share = 0.5) {
    const { left, right } = this.lens;
    const width = Math.min(1, Math.max((right - left) / factor, 1e-7));
    const from = Math.min(1 - width, Math.max(0, left + (right - left - width) * share));
    this.setZoom(width === 1 ? null : [this.axis.timeAt(from), this.axis.timeAt(from + width)]);
  }

  /** See other times. @param {number} share of the picture to go by */
  pan(share) {
    const { left, right } = this.lens;
    const from = Math.min(1 - (right - left), Math.max(0, left + share * (right - left)));
    if (this.zoom) this.setZoom([this.axis.timeAt(from), this.axis.timeAt(from + right - left)]);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const box = this.rows.canvas.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      this.zoomBy(event.deltaY < 0 ? ZOOM : 1 / ZOOM, share);
    } else if (this.zoom && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
      event.preventDefault();
      this.pan((event.deltaX || event.deltaY) / 600);
    }
  }

  /** @param {KeyboardEvent} event */
  #gridKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      ArrowLeft: () => this.inwards(),
      ArrowRight: () => this.outwards(),
      PageDown: () => this.move(this.rows.page),
      PageUp: () => this.move(-this.rows.page),
      Home: () => this.select(this.story.order[0]),
      End: () => this.select(this.story.order[this.story.count - 1]),
    };
    if (!acts[event.key] || !this.story.count) return;
    event.preventDefault();
    acts[event.key]();
  }

  async copyCommand() {
    if (!this.selected) return;
    const [command] = commandsFor(this.id, this.story, this.selected);
    this.ui.announce((await copyText(command)) ? `Copied: ${command}` : "The browser does not allow copying");
  }

  async copyLink() {
    if (this.selected) this.#say({ line: this.story.nameOf(this.selected) }, true);
    this.ui.announce((await copyText(location.href)) ? "Link copied" : "The browser does not allow copying");
  }

  save() {
    this.saver.open();
  }

  leave() {
    if (this.drawer.isOpen) this.closeDrawer();
    else if (!this.facets.element.hidden && window.innerWidth < WIDE_PX) this.toggleFacets();
    else if (this.layout.search.value) {
      this.layout.search.value = "";
      this.#typed();
    } else if (isPicking(this.story.picked)) this.pick(NO_PICKS);
    else if (this.source.live) this.ui.go(addressOf("/"));
  }

  /** @returns {import("./main.js").Keys} */
  #keys() {
    /** @type {import("./main.js").Keys} */
    const keys = {
      j: ["Next row", () => this.move(1)],
      k: ["Previous row", () => this.move(-1)],
      e: ["Next error", () => this.jumpError(1)],
      E: ["Previous error", () => this.jumpError(-1)],
      "/": ["Find", () => this.layout.search.select()],
      n: ["Next match", () => this.jumpHit(1)],
      N: ["Previous match", () => this.jumpHit(-1)],
      l: ["Next level", () => this.nextLevel()],
      f: ["Filters", () => this.toggleFacets()],
      "[": ["Collapse, or go to the parent", () => this.inwards()],
      "]": ["Expand, or go to the first child", () => this.outwards()],
      "{": ["Collapse all", () => this.foldAll(true)],
      "}": ["Expand all", () => this.foldAll(false)],
      Enter: ["Details", () => (this.drawer.isOpen ? this.closeDrawer() : this.open(this.selected))],
      Escape: ["Close, clear, or back to the list", () => this.leave()],
      "+": ["Less of the time", () => this.zoomBy(ZOOM)],
      "=": ["Less of the time", () => this.zoomBy(ZOOM)],
      "-": ["More of the time", () => this.zoomBy(1 / ZOOM)],
      "0": ["All of the time", () => this.setZoom(null)],
      "<": ["Earlier", () => this.pan(-0.3)],
      ">": ["Later", () => this.pan(0.3)],
      c: ["Copy as a command", () => void this.copyCommand()],
      y: ["Copy a link to the row", () => void this.copyLink()],
    };
    if (this.source.live) {
      keys["G"] = ["Newest row, and follow", () => this.toEnd()];
      keys["m"] = ["What models, tools and agents said", () => void this.conversation.open()];
      keys["s"] = ["Save as one file", () => this.save()];
    }
    return keys;
  }
}

/** @param {import("./model.js").Picked} picked */
function plain(picked) {
  return { ...picked, services: [...picked.services].sort(), loggers: [...picked.loggers].sort() };
}

/** @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
