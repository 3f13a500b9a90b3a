// Time on an axis: where a moment lies, where the session was idle, and which moments get a tick.

import { twoDigits } from "./format.js";

const MOST_BUSY = 256; // stretches that are kept apart
const GAP_SHARE = 0.25; // of the time that is left to scale: a shorter gap stays to scale
const GAPS_SHARE = 0.4; // of the whole time: gaps that take less together stay to scale
const MOST_GAPS = 12;
const OTHER_KIND = 3; // times shorter than the one before: such a gap is part of what goes on
const GAP_WIDTH = 0.05; // of the axis at most, that a gap gets which is not to scale
const GAPS_WIDTH = 0.3; // of the axis, that all of them get at most
const TICK_PX = 80;
const SECOND_US = 1_000_000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/** The stretches of time in which something happened, apart from each other. */
export class Busy {
  constructor() {
    /** @type {[number, number][]} */
    this.stretches = [];
    this.joined = 0; // gaps of less are not told
  }

  /** @param {number} start @param {number} end both in microseconds */
  add(start, end) {
    const all = this.stretches;
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle][1] + this.joined < start) low = middle + 1;
      else high = middle;
    }
    let after = low;
    while (after < all.length && all[after][0] - this.joined <= end) after++;
    if (after === low) {
      all.splice(low, 0, [start, end]);
    } else {
      const from = Math.min(start, all[low][0]);
      const until = Math.max(end, all[after - 1][1]);
      if (after - low === 1) all[low] = [from, until];
      else all.splice(low, after - low, [from, until]);
    }
    if (all.length > MOST_BUSY) this.#thin();
  }

  /** The gaps that are not to scale, from and until when.
   * @returns {[number, number][]} */
  gaps() {
    const all = this.stretches;
    if (all.length < 2) return [];
    const whole = all[all.length - 1][1] - all[0][0];
    const lengths = all.slice(1).map((stretch, at) => ({ at, length: stretch[0] - all[at][1] }));
    lengths.sort((a, b) => b.length - a.length);
    /** @type {number[]} */
    const found = [];
    let left = whole; // of the time, that stays to scale
    for (const [index, { at, length }] of lengths.entries()) {
      if (length < left * GAP_SHARE || length >= left || index === MOST_GAPS) break;
      left -= length;
      found.push(at);
      const next = lengths[index + 1]?.length ?? 0;
      if (whole - left >= whole * GAPS_SHARE && length >= next * OTHER_KIND) break;
    }
    if (whole - left < whole * GAPS_SHARE) return [];
    return found.sort((a, b) => a - b).map((at) => [all[at][1], all[at + 1][0]]);
  }

  #thin() {
    const all = this.stretches;
    const gaps = all.slice(1).map((stretch, at) => stretch[0] - all[at][1]);
    this.joined = gaps.sort((a, b) => a - b)[gaps.length >> 1];
    /** @type {[number, number][]} */
    const kept = [all[0]];
    for (const stretch of all.slice(1)) {
      const last = kept[kept.length - 1];
      if (stretch[0] - last[1] <= this.joined) last[1] = Math.max(last[1], stretch[1]);
      else kept.push(stretch);
    }
    this.stretches = kept;
  }
}

/** @typedef {{from: number, until: number, at: number, to: number, isGap: boolean}} Piece */

/** Where moments lie between 0 and 1; idle times are shortened. */
export class Axis {
  /** @param {number} from @param {number} until @param {[number, number][]} gaps */
  constructor(from, until, gaps) {
    this.from = from;
    this.until = Math.max(until, from + 1);
    /** @type {Piece[]} */
    this.pieces = [];
    const idle = gaps.reduce((sum, gap) => sum + gap[1] - gap[0], 0);
    const gapWidth = Math.min(GAP_WIDTH, GAPS_WIDTH / Math.max(1, gaps.length));
    const scale = (1 - gaps.length * gapWidth) / Math.max(1, this.until - from - idle);
    let at = 0;
    let time = from;
    for (const [start, end] of [...gaps, [this.until, this.until]]) {
      const width = Math.max(0, start - time) * scale;
      this.pieces.push({ from: time, until: start, at, to: at + width, isGap: false });
      at += width;
      if (end > start) this.pieces.push({ from: start, until: end, at, to: at + gapWidth, isGap: true });
      at += gapWidth;
      time = end;
    }
    this.pieces[this.pieces.length - 1].to = 1;
  }

  /** @param {number} time @returns {number} */
  at(time) {
    const pieces = this.pieces;
    let piece = pieces[0];
    if (pieces.length > 1) {
      for (const it of pieces) {
        piece = it;
        if (time <= it.until) break;
      }
    }
    const length = piece.until - piece.from;
    return length ? piece.at + ((time - piece.from) / length) * (piece.to - piece.at) : piece.at;
  }

  /** @param {number} place @returns {number} the time at a place */
  timeAt(place) {
    const piece = this.pieces.find((it) => place <= it.to) ?? this.pieces[this.pieces.length - 1];
    const width = piece.to - piece.at;
    return piece.from + (width ? ((place - piece.at) / width) * (piece.until - piece.from) : 0);
  }
}

/** What of an axis is seen, and how wide. */
export class Lens {
  /** @param {Axis} axis @param {number} width in pixels @param {number} left @param {number} right of the axis, 0 to 1
   * @param {number} [room] pixels behind it, for texts */
  constructor(axis, width, left = 0, right = 1, room = 0) {
    this.axis = axis;
    this.width = width;
    this.edge = width + room;
    this.left = left;
    this.right = Math.max(right, left + 1e-9);
  }

  /** @param {number} time @returns {number} pixels from the left */
  x(time) {
    return ((this.axis.at(time) - this.left) / (this.right - this.left)) * this.width;
  }

  /** @param {number} x @returns {number} */
  timeAt(x) {
    return this.axis.timeAt(this.left + (x / this.width) * (this.right - this.left));
  }

  /** The ticks that fit: where, and how long after the beginning.
   * @returns {{x: number, time: number, step: number}[]} */
  ticks() {
    const found = [];
    const most = Math.max(1, Math.floor(this.width / TICK_PX));
    for (const piece of this.axis.pieces) {
      if (piece.isGap || piece.to <= this.left || piece.at >= this.right) continue;
      const [from, until] = [Math.max(piece.from, this.timeAt(0)), Math.min(piece.until, this.timeAt(this.width))];
      const share = (Math.min(piece.to, this.right) - Math.max(piece.at, this.left)) / (this.right - this.left);
      const step = niceStep((until - from) / Math.max(1, most * share));
      const first = Math.ceil((from - this.axis.from) / step - 1e-9);
      for (let count = first; this.axis.from + count * step <= until && found.length < 100; count++) {
        const time = this.axis.from + count * step;
        found.push({ x: this.x(time), time: time - this.axis.from, step });
      }
    }
    return found;
  }
}

/** The least step of ticks that is round and not below *least*, in microseconds.
 * @param {number} least */
function niceStep(least) {
  if (least >= SECOND_US) {
    const seconds = least / SECOND_US;
    const round = STEPS.find((step) => step >= seconds);
    return (round ?? Math.ceil(seconds / 86_400) * 86_400) * SECOND_US;
  }
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  const digit = [1, 2, 5, 10].find((it) => it * power >= least - 1e-9) ?? 10;
  return digit * power;
}

/** What a tick says: a time since the beginning, as exact as the step between ticks asks for.
 * @param {number} time @param {number} step both in microseconds */
export function tickText(time, step) {
  if (time === 0) return "0";
  if (step < 1000) return `${trimmed(time / 1000, 3)} ms`;
  if (step < SECOND_US) return time < SECOND_US ? `${trimmed(time / 1000, 0)} ms` : `${trimmed(time / SECOND_US, 3)} s`;
  const seconds = Math.round(time / SECOND_US);
  if (seconds < 60) return `${seconds} s`;
  const rest = `${twoDigits((seconds / 60) % 60)}:${twoDigits(seconds % 60)}`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}:${rest}`;
  const day = `${Math.floor(seconds / 86_400)}d ${twoDigits((seconds / 3600) % 24)}:${twoDigits((seconds / 60) % 60)}`;
  return step < 60 * SECOND_US ? `${day}:${twoDigits(seconds % 60)}` : day;
}

/** @param {number} number @param {number} digits */
function trimmed(number, digits) {
  return String(Number(number.toFixed(digits)));
}
