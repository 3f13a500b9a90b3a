// Text search in the rows that are here: by and by, so that the page stays quick.


/** @typedef {import("./model.js").Story} Story */
/** @typedef {import("./model.js").LongLine} LongLine */

const SLICE = 500; // rows between two looks at the clock
const MOST_LONG = 2; // long lines that are fetched at once

/** What tells whether a text is in a line's JSON, letters in either case.
 * @param {string} text
 * @returns {(raw: string) => boolean} */
export function matcherOf(text) {
  const plain = new RegExp(quoted(JSON.stringify(text).slice(1, -1)), "i");
  // Some writers spell what is no ASCII, or a slash, as an escape.
  const spoken = new RegExp(quoted(text), "i");
  const escape = /\\(?:u[0-9a-f]{4}|[/bfnrt"\\])/i;
  return (raw) =>
    plain.test(raw) || (escape.test(raw) && spoken.test(raw.replace(/\\(u[0-9a-fA-F]{4}|.)/g, unescaped)));
}

/** @param {string} text */
function quoted(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** @param {string} _ @param {string} sign */
function unescaped(_, sign) {
  if (sign.length > 1) return String.fromCharCode(parseInt(sign.slice(1), 16));
  const at = "bfnrt".indexOf(sign);
  return at < 0 ? sign : "\b\f\n\r\t"[at];
}

/** The search in one session. */
export class Finder {
  /** @param {Story} story @param {(place: LongLine) => Promise<string>} rawLine gets a line that is not here
   * @param {() => void} onLong a line that was not here has been looked at */
  constructor(story, rawLine, onLong) {
    this.story = story;
    this.rawLine = rawLine;
    this.onLong = onLong;
    this.text = "";
    this.count = 0;
    this.seen = 1; // the first node that has not been looked at
    this.asking = 0;
    /** @type {{node: number, place: LongLine}[]} */
    this.long = [];
    this.round = 0;
    /** @type {(raw: string) => boolean} */
    this.test = () => false;
  }

  /** Look for another text; "" for none.
   * @param {string} text */
  look(text) {
    if (text === this.text) return;
    this.text = text;
    this.test = matcherOf(text);
    this.restart();
  }

  /** Begin again: the rows are others. */
  restart() {
    this.round++;
    this.story.hit.fill(0);
    if (this.story.picked.hits) this.story.refit();
    this.count = 0;
    this.seen = 1;
    this.long = [];
    this.asking = 0;
    this.story.version++;
  }

  /** Whether all rows that are here have been looked at. */
  get isDone() {
    return !this.text || (this.seen >= this.story.size && !this.long.length && !this.asking);
  }

  /** Whether there is nothing to do before rows come, or a long line. */
  get isIdle() {
    return this.isDone || (this.seen >= this.story.size && this.asking > 0);
  }

  /** Look at more rows, until a moment; tell whether anything was found or done.
   * @param {number} until as `performance.now()` tells it */
  step(until) {
    if (!this.text) {
      this.seen = this.story.size;
      return false;
    }
    const before = this.seen;
    while (this.seen < this.story.size) {
      const stop = Math.min(this.story.size, this.seen + SLICE);
      for (; this.seen < stop; this.seen++) this.#lookAt(this.seen);
      if (performance.now() > until) break;
    }
    this.#fetchLong();
    if (this.seen > before) this.story.version++;
    return this.seen > before;
  }

  /** A node's line has come, which was known by others before.
   * @param {number} node */
  #lookAt(node) {
    const raw = this.story.raw[node];
    if (raw === undefined) return;
    if (typeof raw !== "string") this.long.push({ node, place: raw });
    else if (this.test(raw)) this.#found(node);
  }

  /** Look at the nodes of spans that were open when they were passed.
   * @param {number[]} nodes */
  again(nodes) {
    if (!this.text) return;
    for (const node of nodes) if (node < this.seen && !this.story.hit[node]) this.#lookAt(node);
  }

  /** @param {number} node */
  #found(node) {
    if (this.story.hit[node]) return;
    this.count++;
    this.story.setHit(node, true);
  }

  #fetchLong() {
    while (this.asking < MOST_LONG) {
      const next = this.long.shift();
      if (!next) return;
      const round = this.round;
      this.asking++;
      this.rawLine(next.place)
        .then((raw) => round === this.round && this.test(raw) && this.#found(next.node))
        .catch(() => undefined) // the line is gone
        .finally(() => {
          if (round === this.round) this.asking--;
          this.story.version++;
          this.onLong();
        });
    }
  }

  /** Return how many hits come before a node and at it, in the order of the tree.
   * @param {number} node */
  rankOf(node) {
    let rank = 0;
    for (let at = this.story.seek(0, 1, () => true); at; at = this.story.seek(at, 1, () => true)) {
      if (this.story.hit[at]) rank++;
      if (at === node) break;
    }
    return rank;
  }
}

/** Mark a text in what is shown, by ranges: the rows stay as they are.
 * @param {Element[]} elements @param {string} text */
export function markText(elements, text) {
  const registry = /** @type {any} */ (CSS).highlights;
  if (!registry) return;
  const ranges = [];
  const wanted = text.toLowerCase();
  for (const element of wanted ? elements : []) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const here = (node.nodeValue ?? "").toLowerCase();
      for (let at = here.indexOf(wanted); at >= 0; at = here.indexOf(wanted, at + wanted.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, Math.min(at + wanted.length, (node.nodeValue ?? "").length));
        ranges.push(range);
      }
    }
  }
  registry.set("found", new (/** @type {any} */ (window).Highlight)(...ranges));
}
