// Small drawings of what happened when in a session, made for the rows that are seen.

import { draw } from "./elements.js";

const HEIGHT = 18;
const STEP = 4;
const AT_ONCE = 2;
const AGAIN_MS = 3000;

/** @typedef {{id: string, version: string, drawn: string, at: number, place: HTMLElement, isSeen: boolean}} Spark */

/** Asks for the sparks of the rows that are seen, a few at a time, and draws them. */
export class Sparks {
  /**
   * @param {import("./source.js").Source} source
   * @param {AbortSignal} signal
   */
  constructor(source, signal) {
    this.source = source;
    this.signal = signal;
    this.running = 0;
    /** @type {Map<Element, Spark>} */
    this.sparks = new Map();
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const spark = this.sparks.get(target);
        if (spark) spark.isSeen = isIntersecting;
      }
      this.next();
    });
    signal.addEventListener("abort", () => this.observer.disconnect());
  }

  /**
   * Draws the spark of session `id` at `place`, and anew where `version` has changed.
   * @param {HTMLElement} place
   * @param {string} id
   * @param {string} version
   */
  show(place, id, version) {
    const spark = this.sparks.get(place);
    if (spark) {
      spark.version = version;
      this.next();
      return;
    }
    this.sparks.set(place, { id, version, drawn: "", at: 0, place, isSeen: false });
    this.observer.observe(place);
  }

  /** @param {Element} place a spark that is not wanted any more */
  forget(place) {
    this.observer.unobserve(place);
    this.sparks.delete(place);
  }

  next() {
    const now = performance.now();
    let wait = Infinity;
    for (const spark of this.sparks.values()) {
      if (!spark.isSeen || spark.drawn === spark.version) continue;
      const due = spark.at ? spark.at + AGAIN_MS : 0;
      if (due > now) wait = Math.min(wait, due - now);
      else if (this.running < AT_ONCE) this.fetch(spark);
    }
    clearTimeout(this.timer);
    if (wait < Infinity) this.timer = setTimeout(() => this.next(), wait);
  }

  /** @param {Spark} spark */
  async fetch(spark) {
    this.running += 1;
    spark.at = performance.now();
    spark.drawn = spark.version;
    try {
      const { buckets, errors } = await this.source.json("page/spark", { id: spark.id }, this.signal);
      spark.place.replaceChildren(sparkOf(buckets, errors));
    } catch {
      // The row is as good without it.
    } finally {
      this.running -= 1;
      if (!this.signal.aborted) this.next();
    }
  }
}

/**
 * @param {number[]} buckets lines in each part of the session's time
 * @param {number[]} errors
 * @returns {SVGElement}
 */
function sparkOf(buckets, errors) {
  const most = Math.max(1, ...buckets);
  const scaled = (/** @type {number} */ count) => (count ? Math.max(2, Math.round((HEIGHT * Math.sqrt(count)) / Math.sqrt(most))) : 0);
  const bars = (/** @type {number[]} */ counts) =>
    counts.map((count, index) => (count ? `M${index * STEP + 1.5} ${HEIGHT}v-${scaled(count)}` : "")).join("");
  return draw(
    "svg",
    { viewBox: `0 0 ${buckets.length * STEP} ${HEIGHT}`, width: buckets.length * STEP, height: HEIGHT, "aria-hidden": "true" },
    draw("path", { class: "spark-lines", d: bars(buckets) }),
    draw("path", { class: "spark-errors", d: bars(errors) }),
  );
}
