// The rows of one session: columns of numbers, the tree they form, and the order they are shown in.
//
// A row is a node of the tree; node 0 is the session itself. Nodes are numbered as they come, and
// every property of theirs is a column (a typed array). A span that has not ended is an OPEN node: its
// line says so, or it has none yet and is known by the lines that name it.

/** @typedef {{bytes: number, time: string, digest: string, text?: string | null}} LongLine a line too long to be sent along */
/**
 * @typedef {[kind: number, start: number | null, end: number | null, severity: number,
 *   span: string, parent: string, trace: string, service: string, name: string,
 *   html: string, raw: string | LongLine, borrowed: number]} StoryRow
 */
/**
 * @typedef {object} Picked what is shown; empty stands for all
 * @property {number} severity the least severity of what is shown
 * @property {Set<string>} services
 * @property {Set<string>} loggers names of loggers; those below them are meant as well
 * @property {string} kind "log", "span" or ""
 * @property {string} trace a trace ID
 * @property {boolean} hits nothing but what the search has found
 */

export const LOG = 0;
export const SPAN = 1;
export const OPEN = 2;
export const ERROR_SEVERITY = 17;
export const NO_TIME = -Infinity;

/** The names of levels, see `levelOf`. */
export const LEVEL_NAMES = ["none", "trace", "debug", "info", "warning", "error", "critical"];

const FIRST_CAPACITY = 4096;
const MOST_STEPS = 64; // among siblings, or up the tree, that a new row is looked for its place
const KEY_BASE = 2 ** 26;

/** Texts by number: each is held once. */
export class Interned {
  constructor() {
    /** @type {string[]} */
    this.texts = [""];
    /** @type {Map<string, number>} */
    this.numbers = new Map([["", 0]]);
  }

  /** @param {string} text */
  number(text) {
    let number = this.numbers.get(text);
    if (number === undefined) {
      number = this.texts.length;
      this.texts.push(text);
      this.numbers.set(text, number);
    }
    return number;
  }
}

/** @returns {Picked} */
export function nothingPicked() {
  return { severity: 0, services: new Set(), loggers: new Set(), kind: "", trace: "", hits: false };
}

/** The level that a severity belongs to: 0 none, 1 trace, 2 debug, 3 info, 4 warning, 5 error, 6 critical.
 * @param {number} severity */
export function levelOf(severity) {
  return (severity + 3) >> 2;
}

/** A short digest (FNV-1a) of a text, as hexadecimal digits.
 * @param {string} text */
export function digestOf(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}

export class Story {
  constructor() {
    this.picked = nothingPicked();
    const room = FIRST_CAPACITY;
    this.size = 1;
    this.kind = new Uint8Array(room);
    this.severity = new Uint8Array(room);
    this.borrowed = new Uint8Array(room);
    this.collapsed = new Uint8Array(room);
    this.hit = new Uint8Array(room);
    this.fits = new Uint8Array(room); // it is meant by what is picked
    this.holds = new Uint8Array(room); // something below it is
    this.start = new Float64Array(room);
    this.end = new Float64Array(room);
    this.came = new Int32Array(room); // the number of its line, in the order they came
    this.span = new Int32Array(room);
    this.parentSpan = new Int32Array(room);
    this.trace = new Int32Array(room);
    this.service = new Int32Array(room);
    this.name = new Int32Array(room);
    this.parent = new Int32Array(room);
    this.first = new Int32Array(room);
    this.last = new Int32Array(room);
    this.next = new Int32Array(room);
    this.prev = new Int32Array(room);
    this.order = new Int32Array(room); // the nodes that are shown, from top to bottom
    this.place = new Int32Array(room).fill(-1); // where a node is among them
    this.level = new Int32Array(room); // how deep it is shown, 1 for the outermost
    this.position = new Int32Array(room); // among those beside it, from 1
    this.shownBelow = new Int32Array(room);
    /** @type {(string | undefined)[]} */
    this.html = [undefined];
    /** @type {(string | LongLine | undefined)[]} */
    this.raw = [undefined];
    this.spans = new Interned();
    this.traces = new Interned();
    this.services = new Interned();
    this.names = new Interned();
    /** @type {Map<number, number>} the node of a span, by its trace and itself */
    this.nodeOfSpan = new Map();
    /** @type {Set<number>} nodes whose children have to be sorted */
    this.unsorted = new Set();
    /** @type {number[]} spans whose line has come after others had named them */
    this.filled = [];
    this.count = 0; // how many nodes are shown
    this.stale = false; // the order has to be made anew
    this.version = 0; // another number whenever anything has changed
    this.from = Infinity; // the time of the first row
    this.until = -Infinity; // that of the last, ends of spans included
    this.lines = 0;
    this.logs = 0;
    this.spanLines = 0;
    this.errors = 0;
    /** @type {Set<number>} spans that have not ended */
    this.openSpans = new Set();
    this.levels = new Int32Array(7);
    /** @type {number[]} how many lines a service has, by its number */
    this.linesOfService = [0];
    /** @type {number[]} how many lines a logger has, by the number of its name */
    this.linesOfLogger = [0];
  }

  /** Forget all rows; what is picked stays. */
  reset() {
    const { picked, version } = this;
    Object.assign(this, new Story(), { picked, version: version + 1 });
  }

  /** Take rows as they come.
   * @param {StoryRow[]} rows */
  add(rows) {
    for (const row of rows) {
      if (row[0] === LOG) this.#addLog(row);
      else this.#addSpan(row);
    }
    this.version++;
  }

  /** Show what is picked, and what is above it.
   * @param {Picked} picked */
  pick(picked) {
    this.picked = picked;
    this.refit();
  }

  /** Look anew at what is meant by what is picked. */
  refit() {
    this.fits.fill(0);
    this.holds.fill(0);
    for (let node = 1; node < this.size; node++) {
      this.fits[node] = this.#isPicked(node) ? 1 : 0;
      if (this.fits[node]) this.#holdAbove(node);
    }
    this.stale = true;
    this.version++;
  }

  /** Note whether the search has found a node.
   * @param {number} node @param {boolean} found */
  setHit(node, found) {
    this.hit[node] = found ? 1 : 0;
    if (this.picked.hits && found && !this.fits[node] && this.#isPicked(node)) {
      this.fits[node] = 1;
      this.#holdAbove(node);
      this.stale = true;
      this.version++;
    }
  }

  /** Bring the order up to date; tell whether it has changed. */
  arrange() {
    if (!this.stale) return false;
    this.stale = false;
    this.#sort();
    const { first, next, parent, fits, holds, collapsed, order, place, level } = this;
    place.fill(-1, 0, this.size);
    this.shownBelow.fill(0, 0, this.size);
    let count = 0;
    let node = first[0];
    while (node) {
      let below = 0;
      if (fits[node] || holds[node]) {
        if (this.isElided(node)) {
          level[node] = level[parent[node]];
          below = first[node];
        } else {
          this.#put(node, count);
          order[count++] = node;
          if (!collapsed[node]) below = first[node];
        }
      }
      if (below) {
        node = below;
        continue;
      }
      while (node && !next[node]) node = parent[node];
      node = next[node];
    }
    this.count = count;
    return true;
  }

  /** @param {number} node @param {boolean} closed */
  collapse(node, closed) {
    if (!this.first[node] || Boolean(this.collapsed[node]) === closed) return;
    this.collapsed[node] = closed ? 1 : 0;
    this.stale = true;
    this.version++;
  }

  /** Collapse every span, or open all.
   * @param {boolean} closed */
  collapseAll(closed) {
    for (let node = 1; node < this.size; node++) this.collapsed[node] = closed && this.first[node] ? 1 : 0;
    this.stale = true;
    this.version++;
  }

  /** Open all that is above a node, so that it is shown.
   * @param {number} node */
  reveal(node) {
    for (let above = this.parent[node]; above; above = this.parent[above]) this.collapse(above, false);
    this.arrange();
  }

  /** Tell whether a span is known by the lines that name it alone: no line of its own has come.
   * @param {number} node */
  isGuessed(node) {
    return this.kind[node] === OPEN && this.html[node] === undefined;
  }

  /** A span without a line of its own that nothing but one span names says nothing: it is left out.
   * @param {number} node */
  isElided(node) {
    const only = this.first[node];
    return this.isGuessed(node) && only !== 0 && !this.next[only] && this.kind[only] !== LOG;
  }

  /** Return the span that a node is shown under, 0 for none.
   * @param {number} node */
  above(node) {
    const parent = this.parent[node];
    return parent && this.isElided(parent) ? this.parent[parent] : parent;
  }

  /** Return the next node for which *test* holds, going through the tree, collapsed parts included.
   *
   * @param {number} node where to begin; 0 for the very beginning, or end
   * @param {1 | -1} step
   * @param {(node: number) => boolean} test
   * @returns {number} 0 where there is none */
  seek(node, step, test) {
    this.arrange();
    const walk = step > 0 ? this.#after : this.#before;
    for (let at = walk.call(this, node); at; at = walk.call(this, at)) {
      if ((this.fits[at] || this.holds[at]) && !this.isElided(at) && test(at)) return at;
    }
    return 0;
  }

  /** Count what is below a node: rows, and errors among them.
   * @param {number} node */
  below(node) {
    let rows = 0;
    let errors = 0;
    for (let at = this.first[node]; at; at = this.#afterBelow(at, node)) {
      rows++;
      if (this.severity[at] >= ERROR_SEVERITY) errors++;
    }
    return { rows, errors };
  }

  /** Call *see* for every node below another.
   * @param {number} node @param {(node: number) => void} see */
  eachBelow(node, see) {
    for (let at = this.first[node]; at; at = this.#afterBelow(at, node)) see(at);
  }

  /** Return the name of a row that stays the same wherever the session is read.
   * @param {number} node */
  nameOf(node) {
    if (this.kind[node] !== LOG && this.nodeOfSpan.get(this.#key(node)) === node) {
      return `s${this.spans.texts[this.span[node]]}`;
    }
    const raw = this.raw[node] ?? "";
    const digest = typeof raw === "string" ? digestOf(raw) : raw.digest.slice(0, 8);
    return `t${Number.isFinite(this.start[node]) ? this.start[node] : ""}.${digest}`;
  }

  /** Return the node of that name, 0 where there is none. A span and a time, `SPAN@TIME`, is the first of
   * that time in that span; a time alone is the first of that time.
   * @param {string} name */
  nodeOf(name) {
    const rest = name.slice(1);
    const at = name.lastIndexOf("@");
    if (at >= 0) {
      const span = this.spans.numbers.get(name.slice(0, at));
      const start = name.length > at + 1 ? Number(name.slice(at + 1)) : NO_TIME;
      for (let node = 1; node < this.size; node++) {
        if (this.start[node] === start && this.span[node] === span && this.kind[node] !== OPEN) return node;
      }
      return 0;
    }
    if (name[0] === "s") {
      const span = this.spans.numbers.get(rest);
      if (span === undefined) return 0;
      for (let node = 1; node < this.size; node++) {
        if (this.span[node] === span && this.kind[node] !== LOG) return node;
      }
      return 0;
    }
    const time = rest.split(".")[0];
    const start = time === "" ? NO_TIME : Number(time);
    for (let node = 1; node < this.size; node++) {
      if (this.start[node] === start && this.kind[node] !== OPEN) {
        if (!rest.includes(".") || this.nameOf(node) === name) return node;
      }
    }
    return 0;
  }

  /** Return the node that is shown whose time is nearest to that of another, which is not.
   * @param {number} node */
  nearest(node) {
    let best = 0;
    let least = Infinity;
    for (let index = 0; index < this.count; index++) {
      const distance = Math.abs(this.start[this.order[index]] - this.start[node]);
      if (distance < least) [best, least] = [this.order[index], distance];
    }
    return best;
  }

  /** Return the first node, in the order of what is shown, that starts at a time or later.
   * @param {number} time */
  firstAt(time) {
    let best = 0;
    for (let index = 0; index < this.count; index++) {
      const node = this.order[index];
      if (this.start[node] >= time && (!best || this.start[node] < this.start[best])) best = node;
    }
    return best;
  }

  /** @param {StoryRow} row */
  #addLog(row) {
    const node = this.#node(LOG, row);
    this.logs++;
    this.levels[levelOf(row[3])]++;
    const name = this.name[node];
    this.linesOfLogger[name] = (this.linesOfLogger[name] ?? 0) + 1;
    this.#count(node);
    this.#attach(node, row[4] ? this.#named(this.trace[node], this.span[node], node) : 0);
  }

  /** @param {StoryRow} row */
  #addSpan(row) {
    const key = this.traces.number(row[6]) * KEY_BASE + this.spans.number(row[4]);
    const there = row[4] ? this.nodeOfSpan.get(key) : undefined;
    if (row[0] === OPEN && there !== undefined && !this.isGuessed(there)) return;
    const isCounted = there !== undefined && this.kind[there] === OPEN && !this.isGuessed(there);
    let node;
    if (there !== undefined && this.kind[there] === OPEN) {
      node = there;
      this.openSpans.delete(node);
      this.#unlink(node);
      this.#fill(node, row[0], row);
      this.filled.push(node);
    } else {
      node = this.#node(row[0], row);
      if (row[4] && there === undefined) this.nodeOfSpan.set(key, node);
    }
    if (row[0] === OPEN) this.openSpans.add(node);
    if (!isCounted) this.spanLines++;
    this.#count(node, isCounted);
    const parent = row[5] ? this.#named(this.trace[node], this.parentSpan[node], node) : 0;
    // Only what was named before can have something below it already.
    const isCycle = parent === node || (there === node && this.#isAbove(node, parent));
    this.#attach(node, isCycle ? this.#cut(node, parent) : parent);
  }

  /** @param {number} node @param {number} other */
  #isAbove(node, other) {
    let above = other;
    while (above && above !== node) above = this.parent[above];
    return above !== 0;
  }

  /** Of spans that are each other's parents, make the first one an outermost; return the parent of *node*.
   * @param {number} node one that is not attached @param {number} parent its own, which it is above */
  #cut(node, parent) {
    let first = node;
    for (let above = parent; above !== node; above = this.parent[above]) {
      if (this.#isBefore(above, first)) first = above;
    }
    if (first === node) return 0;
    this.#unlink(first);
    this.parent[first] = 0;
    this.#link(first, 0);
    return parent;
  }

  /** @param {number} node */
  #count(node, isCounted = false) {
    if (this.severity[node] >= ERROR_SEVERITY) this.errors++;
    const service = this.service[node];
    if (!isCounted) this.linesOfService[service] = (this.linesOfService[service] ?? 0) + 1;
    const start = this.start[node];
    if (start === NO_TIME) return;
    if (start < this.from) this.from = start;
    this.until = Math.max(this.until, start, this.end[node]);
  }

  /** Return the node of a span, an open one where its line has not come.
   * @param {number} trace @param {number} span @param {number} child what names it */
  #named(trace, span, child) {
    const key = trace * KEY_BASE + span;
    let node = this.nodeOfSpan.get(key);
    if (node === undefined) {
      node = this.#room();
      this.kind[node] = OPEN;
      this.came[node] = this.lines;
      this.start[node] = this.start[child];
      this.end[node] = this.start[child];
      this.span[node] = span;
      this.trace[node] = trace;
      this.service[node] = this.service[child];
      this.nodeOfSpan.set(key, node);
      this.openSpans.add(node);
      this.#attach(node, 0);
    }
    return node;
  }

  /** @param {number} kind @param {StoryRow} row */
  #node(kind, row) {
    const node = this.#room();
    this.#fill(node, kind, row);
    return node;
  }

  /** @param {number} node @param {number} kind @param {StoryRow} row */
  #fill(node, kind, row) {
    const start = row[1] ?? NO_TIME;
    this.kind[node] = kind;
    this.came[node] = ++this.lines;
    this.start[node] = start;
    this.end[node] = Math.max(row[2] ?? start, start, kind === OPEN ? this.end[node] : NO_TIME);
    this.severity[node] = row[3];
    this.span[node] = this.spans.number(row[4]);
    this.parentSpan[node] = this.spans.number(row[5]);
    this.trace[node] = this.traces.number(row[6]);
    this.service[node] = this.services.number(row[7]);
    this.name[node] = this.names.number(row[8]);
    this.html[node] = row[9];
    this.raw[node] = row[10];
    this.borrowed[node] = row[11];
  }

  #room() {
    if (this.size === this.kind.length) this.#grow();
    const node = this.size++;
    this.place[node] = -1;
    return node;
  }

  #grow() {
    const columns = /** @type {Record<string, any>} */ (/** @type {unknown} */ (this));
    const room = this.kind.length * 2;
    for (const [name, column] of Object.entries(columns)) {
      if (ArrayBuffer.isView(column) && name !== "levels") {
        const old = /** @type {Int32Array} */ (column);
        const larger = new /** @type {Int32ArrayConstructor} */ (old.constructor)(room);
        larger.set(old);
        columns[name] = larger;
      }
    }
  }

  /** @param {number} node */
  #key(node) {
    return this.trace[node] * KEY_BASE + this.span[node];
  }

  /** @param {number} node @param {number} parent */
  #attach(node, parent) {
    const wasElided = parent !== 0 && this.isElided(parent);
    this.parent[node] = parent;
    this.#link(node, parent);
    if (parent && this.kind[parent] === OPEN) {
      this.#widen(parent, node);
      if (wasElided || this.isElided(parent)) this.stale = true;
    }
    this.fits[node] = this.#isPicked(node) ? 1 : 0;
    if (this.fits[node] || this.holds[node]) {
      if (!this.#holdAbove(node)) this.stale = true;
      if (!this.stale) this.#append(node);
    }
  }

  /** Put a node at the end of the order, where it belongs there.
   * @param {number} node */
  #append(node) {
    let isLast = !this.first[node] && !this.unsorted.size;
    let steps = 0;
    for (let at = node; at && isLast; at = this.parent[at]) {
      if (++steps > MOST_STEPS || this.next[at] || (at !== node && this.collapsed[at])) isLast = false;
    }
    if (!isLast) {
      this.stale = true;
      return;
    }
    this.#put(node, this.count);
    this.order[this.count++] = node;
  }

  /** @param {number} node @param {number} index */
  #put(node, index) {
    const above = this.above(node);
    this.place[node] = index;
    this.level[node] = above ? this.level[above] + 1 : 1;
    this.position[node] = ++this.shownBelow[above];
  }

  /** Make an open span as long as what is in it.
   * @param {number} open @param {number} child */
  #widen(open, child) {
    const start = this.start[child];
    if (start === NO_TIME) return;
    this.end[open] = Math.max(this.end[open], this.end[child], start);
    if (this.isGuessed(open) && (start < this.start[open] || this.start[open] === NO_TIME)) {
      this.#unlink(open);
      this.start[open] = start;
      this.#link(open, this.parent[open]);
      this.stale = true;
    }
  }

  /** Tell all spans above a node that they hold something; whether they knew.
   * @param {number} node */
  #holdAbove(node) {
    let knew = true;
    for (let above = this.parent[node]; above && !this.holds[above]; above = this.parent[above]) {
      if (!this.fits[above]) knew = false;
      this.holds[above] = 1;
    }
    return knew;
  }

  /** @param {number} node */
  #isPicked(node) {
    const { severity, services, loggers, kind, trace, hits } = this.picked;
    const isLog = this.kind[node] === LOG;
    if (this.isGuessed(node) && (severity || kind || trace || hits || loggers.size || services.size)) {
      return false;
    }
    if (this.severity[node] < severity) return false;
    if (kind && isLog !== (kind === "log")) return false;
    if (hits && !this.hit[node]) return false;
    if (trace && this.traces.texts[this.trace[node]] !== trace) return false;
    if (services.size && !services.has(this.services.texts[this.service[node]])) return false;
    return !loggers.size || (isLog && this.#isOfLoggers(this.names.texts[this.name[node]], loggers));
  }

  /** @param {string} name @param {Set<string>} loggers */
  #isOfLoggers(name, loggers) {
    if (loggers.has(name)) return true;
    for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
      if (loggers.has(name.slice(0, dot))) return true;
    }
    return false;
  }

  /** @param {number} a @param {number} b */
  #isBefore(a, b) {
    if (this.start[a] !== this.start[b]) return this.start[a] < this.start[b];
    const isSpan = this.kind[a] !== LOG;
    if (isSpan !== (this.kind[b] !== LOG)) return isSpan;
    return this.came[a] < this.came[b];
  }

  /** @param {number} node @param {number} parent */
  #link(node, parent) {
    let left = this.last[parent];
    if (!this.unsorted.has(parent)) {
      let steps = 0;
      while (left && this.#isBefore(node, left)) {
        if (++steps > MOST_STEPS) {
          this.unsorted.add(parent);
          this.stale = true;
          left = this.last[parent];
          break;
        }
        left = this.prev[left];
      }
    }
    const right = left ? this.next[left] : this.first[parent];
    this.prev[node] = left;
    this.next[node] = right;
    if (left) this.next[left] = node;
    else this.first[parent] = node;
    if (right) this.prev[right] = node;
    else this.last[parent] = node;
  }

  /** @param {number} node */
  #unlink(node) {
    const parent = this.parent[node];
    const left = this.prev[node];
    const right = this.next[node];
    if (left) this.next[left] = right;
    else this.first[parent] = right;
    if (right) this.prev[right] = left;
    else this.last[parent] = left;
    this.stale = true;
  }

  #sort() {
    for (const parent of this.unsorted) {
      /** @type {number[]} */
      const children = [];
      for (let node = this.first[parent]; node; node = this.next[node]) children.push(node);
      children.sort((a, b) => (this.#isBefore(a, b) ? -1 : 1));
      children.forEach((node, index) => {
        this.prev[node] = children[index - 1] ?? 0;
        this.next[node] = children[index + 1] ?? 0;
      });
      this.first[parent] = children[0] ?? 0;
      this.last[parent] = children[children.length - 1] ?? 0;
    }
    this.unsorted.clear();
  }

  /** @param {number} node */
  #after(node) {
    if (this.first[node]) return this.first[node];
    while (node && !this.next[node]) node = this.parent[node];
    return this.next[node];
  }

  /** @param {number} node */
  #before(node) {
    let at = node ? this.prev[node] : this.last[0];
    if (!at) return node ? this.parent[node] : 0;
    while (this.last[at]) at = this.last[at];
    return at;
  }

  /** @param {number} node @param {number} top */
  #afterBelow(node, top) {
    if (this.first[node]) return this.first[node];
    while (node !== top && !this.next[node]) node = this.parent[node];
    return node === top ? 0 : this.next[node];
  }
}
