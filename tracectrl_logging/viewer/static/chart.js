// What is painted: the bars beside the rows, the ticks above them, and the map of the whole session.

import { durationOf } from "./format.js";
import { tickText } from "./axis.js";
import { ERROR_SEVERITY, LOG, NO_TIME, OPEN, SPAN, levelOf } from "./model.js";

/** @typedef {import("./axis.js").Axis} Axis */
/** @typedef {import("./axis.js").Lens} Lens */
/** @typedef {import("./model.js").Story} Story */

const SERVICES = 8;
const BAR_PX = 10;
const LEAST_BAR_PX = 2;
const MAP_LEVELS = 4;
const MAP_LEVEL_PX = 4;
const FONT = "11px ui-sans-serif, system-ui, sans-serif";

/**
 * @typedef {object} Palette colours as the canvas takes them
 * @property {string[]} services
 * @property {string[]} levels by level, see `levelOf`
 * @property {string} grid
 * @property {string} gap
 * @property {string} text
 * @property {string} strong
 * @property {string} ground
 * @property {string} shade
 * @property {string} accent
 * @property {string} hit
 */

/** The colour of a service, by its number: 0 to 7.
 * @param {number} service */
export function hueOf(service) {
  return (service + SERVICES - 1) % SERVICES;
}

/** Read the colours that the style sheet gives *element*.
 * @param {HTMLElement} element
 * @returns {Palette} */
export function paletteOf(element) {
  const probe = element.appendChild(document.createElement("span"));
  probe.hidden = true;
  const colour = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const numbered = (/** @type {string} */ name, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, number) => colour(`${name}-${number}`));
  const palette = {
    services: numbered("service", SERVICES),
    levels: numbered("mark", 7),
    grid: colour("chart-grid"),
    gap: colour("chart-gap"),
    text: colour("chart-text"),
    strong: colour("chart-strong"),
    ground: colour("chart-ground"),
    shade: colour("chart-shade"),
    accent: colour("chart-accent"),
    hit: colour("chart-hit"),
  };
  probe.remove();
  return palette;
}

/** Make *canvas* as many pixels large as it is shown; return what paints on it, cleared.
 * @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
export function paperOf(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const paper = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  paper.setTransform(scale, 0, 0, scale, 0, 0);
  paper.clearRect(0, 0, width, height);
  paper.font = FONT;
  paper.textBaseline = "middle";
  return paper;
}

/** Paint the ticks and what they say.
 * @param {CanvasRenderingContext2D} paper @param {Lens} lens @param {Palette} palette @param {number} height */
export function paintTicks(paper, lens, palette, height) {
  paper.fillStyle = palette.text;
  let free = 0;
  for (const tick of lens.ticks()) {
    const text = tickText(tick.time, tick.step);
    const width = paper.measureText(text).width;
    const left = Math.min(Math.max(0, tick.x + 4), lens.edge - width);
    if (left < free) continue;
    paper.fillRect(tick.x, height - 5, 1, 5);
    paper.fillText(text, left, height / 2);
    free = left + width + 10;
  }
}

/** Paint the lines below the ticks, and the gaps.
 * @param {CanvasRenderingContext2D} paper @param {Lens} lens @param {Palette} palette @param {number} height */
export function paintGround(paper, lens, palette, height) {
  paper.fillStyle = palette.grid;
  for (const tick of lens.ticks()) paper.fillRect(Math.round(tick.x), 0, 1, height);
  for (const [left, right, text] of gapsOn(lens)) {
    hatch(paper, left, right, height, palette);
    paper.save();
    paper.translate((left + right) / 2, height / 2);
    paper.rotate(-Math.PI / 2);
    paper.textAlign = "center";
    const width = paper.measureText(text).width + 12;
    if (width < height && right - left > 12) {
      paper.fillStyle = palette.ground;
      paper.fillRect(-width / 2, -8, width, 16);
      paper.fillStyle = palette.text;
      paper.fillText(text, 0, 0);
    }
    paper.restore();
  }
}

/** @param {Lens} lens @returns {[number, number, string][]} */
function gapsOn(lens) {
  /** @type {[number, number, string][]} */
  const found = [];
  for (const piece of lens.axis.pieces) {
    if (!piece.isGap) continue;
    const [left, right] = [lens.x(piece.from), lens.x(piece.until)];
    if (right > 0 && left < lens.width) found.push([left, right, `${durationOf(piece.until - piece.from)} idle`]);
  }
  return found;
}

/** @param {CanvasRenderingContext2D} paper @param {number} left @param {number} right @param {number} height
 * @param {Palette} palette */
function hatch(paper, left, right, height, palette) {
  paper.save();
  paper.beginPath();
  paper.rect(left, 0, right - left, height);
  paper.clip();
  paper.strokeStyle = palette.gap;
  paper.lineWidth = 1;
  paper.beginPath();
  for (let x = left - height; x < right; x += 6) {
    paper.moveTo(x, height);
    paper.lineTo(x + height, 0);
  }
  paper.stroke();
  paper.restore();
}

/**
 * Paint the bar, or the mark, of one row.
 * @param {CanvasRenderingContext2D} paper
 * @param {Lens} lens
 * @param {Story} story
 * @param {number} node
 * @param {number} middle of the row, in pixels from the top
 * @param {Palette} palette
 * @param {number} now the end of a span that is open, in microseconds
 * @param {boolean} isThin a line below the row's text, for narrow pages
 */
export function paintRow(paper, lens, story, node, middle, palette, now, isThin) {
  const start = story.start[node];
  if (start === NO_TIME) return;
  const isHit = story.hit[node] === 1;
  const kind = story.kind[node];
  const height = isThin ? 3 : BAR_PX;
  const top = isThin ? middle + 7 : middle - height / 2;
  const left = lens.x(start);
  if (kind === LOG) {
    if (left < -4 || left > lens.width + 4) return;
    const level = levelOf(story.severity[node]);
    paper.fillStyle = isHit ? palette.hit : palette.levels[level];
    const [across, down] = level >= 4 || isHit ? [3, height] : [2, height - (isThin ? 0 : 3)];
    paper.fillRect(Math.min(left, lens.width - across), top + (height - down) / 2, across, down);
    return;
  }
  const isError = story.severity[node] >= ERROR_SEVERITY;
  const end = kind === OPEN ? Math.max(story.end[node], now) : story.end[node];
  const right = Math.max(lens.x(end), left + LEAST_BAR_PX);
  if (right < 0 || left > lens.width) {
    paintAway(paper, left > lens.width ? lens.width : 0, middle, palette);
    return;
  }
  const [from, until] = [Math.max(left, -2), Math.min(right, lens.width + 2)];
  paper.fillStyle = isError ? palette.levels[5] : palette.services[hueOf(story.service[node])];
  if (kind === OPEN) {
    paper.globalAlpha = 0.45;
    paper.fillRect(from, top, until - from, height);
    paper.globalAlpha = 1;
    paper.fillRect(from, top, 2, height);
  } else if (until - from < 4) {
    paper.fillRect(from, top, until - from, height);
  } else {
    paper.beginPath();
    paper.roundRect(from, top, until - from, height, 2);
    paper.fill();
  }
  paintMarks(paper, lens, story, node, top, height, palette);
  if (isHit) {
    paper.strokeStyle = palette.hit;
    paper.lineWidth = 2;
    paper.strokeRect(from - 1, top - 1, until - from + 2, height + 2);
  }
  if (!isThin) paintLength(paper, lens, kind === SPAN ? durationOf(end - start) : "open", from, until, middle, palette);
}

/** Paint a small arrow to where a bar is that lies outside of what is seen.
 * @param {CanvasRenderingContext2D} paper @param {number} x @param {number} middle @param {Palette} palette */
function paintAway(paper, x, middle, palette) {
  const inwards = x ? -5 : 5;
  paper.fillStyle = palette.text;
  paper.beginPath();
  paper.moveTo(x, middle);
  paper.lineTo(x + inwards, middle - 3);
  paper.lineTo(x + inwards, middle + 3);
  paper.fill();
}

/** Paint the log lines of a span as marks on its bar; of a collapsed one, those of the spans in it too.
 * @param {CanvasRenderingContext2D} paper @param {Lens} lens @param {Story} story @param {number} span
 * @param {number} top @param {number} height @param {Palette} palette */
function paintMarks(paper, lens, story, span, top, height, palette) {
  let lastX = -1;
  let lastLevel = 0;
  const put = (/** @type {number} */ x, /** @type {number} */ level) => {
    if (level >= 4) {
      paper.fillStyle = palette.ground;
      paper.fillRect(x - 1, top - 1, 4, height + 2);
      paper.fillStyle = palette.levels[level];
      paper.fillRect(x, top - 1, 2, height + 2);
    } else {
      paper.fillStyle = palette.shade;
      paper.fillRect(x, top + 1, 1, height - 2);
    }
  };
  const see = (/** @type {number} */ node) => {
    if (story.kind[node] !== LOG) return;
    const x = Math.round(lens.x(story.start[node]));
    const level = levelOf(story.severity[node]);
    if (x < 0 || x > lens.width || (x === lastX && level <= lastLevel) || (x === lastX + 1 && level < 4)) return;
    [lastX, lastLevel] = [x, level];
    put(x, level);
  };
  if (story.collapsed[span]) story.eachBelow(span, see);
  else for (let node = story.first[span]; node; node = story.next[node]) see(node);
}

/** Write how long a span took behind its bar, before it, or in it.
 * @param {CanvasRenderingContext2D} paper @param {Lens} lens @param {string} text @param {number} from
 * @param {number} until @param {number} middle @param {Palette} palette */
function paintLength(paper, lens, text, from, until, middle, palette) {
  const width = paper.measureText(text).width;
  paper.fillStyle = palette.text;
  if (until + width + 8 < lens.edge) paper.fillText(text, until + 6, middle);
  else if (from - width - 6 > 0) paper.fillText(text, from - width - 6, middle);
  else if (until - from > width + 12) {
    const left = until - width - 8;
    paper.fillStyle = palette.ground;
    paper.beginPath();
    paper.roundRect(left - 3, middle - 7, width + 6, 14, 3);
    paper.fill();
    paper.fillStyle = palette.strong;
    paper.fillText(text, left, middle + 0.5);
  }
}

/**
 * Paint the whole session: how many lines when, and its outer spans.
 * @param {CanvasRenderingContext2D} paper
 * @param {Axis} axis
 * @param {Story} story
 * @param {number} width
 * @param {number} height
 * @param {Palette} palette
 * @param {number} now
 */
export function paintMap(paper, axis, story, width, height, palette, now) {
  const columns = Math.max(1, Math.ceil(width / 2));
  const lines = new Uint32Array(columns * 3);
  const hits = new Uint8Array(columns);
  const edges = Array.from({ length: MAP_LEVELS * 2 }, () => new Int32Array(columns + 1));
  const column = (/** @type {number} */ time) => Math.min(columns - 1, Math.max(0, Math.floor(axis.at(time) * columns)));
  for (let node = 1; node < story.size; node++) {
    const start = story.start[node];
    if (start === NO_TIME) continue;
    const at = column(start);
    if (story.hit[node]) hits[at] = 1;
    if (story.kind[node] === LOG) {
      if (!story.fits[node]) continue;
      const level = levelOf(story.severity[node]);
      lines[at * 3 + (level >= 5 ? 0 : level === 4 ? 1 : 2)]++;
    } else if (story.place[node] >= 0 && story.level[node] <= MAP_LEVELS) {
      const isError = story.severity[node] >= ERROR_SEVERITY ? 1 : 0;
      const edge = edges[(story.level[node] - 1) * 2 + isError];
      edge[at]++;
      edge[column(story.kind[node] === OPEN ? Math.max(now, story.end[node]) : story.end[node]) + 1]--;
    }
  }
  const room = height - MAP_LEVELS * MAP_LEVEL_PX - 4;
  let most = 1;
  for (let at = 0; at < columns; at++) most = Math.max(most, lines[at * 3] + lines[at * 3 + 1] + lines[at * 3 + 2]);
  // By the root, so that a single line is seen beside a burst.
  const tall = (/** @type {number} */ count) => Math.sqrt(count / most) * (room - 2);
  for (const piece of axis.pieces) {
    if (piece.isGap) hatch(paper, piece.at * width, piece.to * width, height, palette);
  }
  for (let at = 0; at < columns; at++) {
    const [errors, warnings, others] = lines.subarray(at * 3, at * 3 + 3);
    const all = errors + warnings + others;
    if (all) {
      paper.fillStyle = palette.levels[3];
      paper.fillRect(at * 2, room - tall(all), 2, tall(all));
      if (errors + warnings) {
        const bad = Math.max(2, tall(errors + warnings));
        paper.fillStyle = palette.levels[4];
        paper.fillRect(at * 2, room - bad, 2, bad);
      }
      if (errors) {
        const bad = Math.max(3, tall(errors));
        paper.fillStyle = palette.levels[5];
        paper.fillRect(at * 2, room - bad, 2, bad);
      }
    }
    if (hits[at]) {
      paper.fillStyle = palette.hit;
      paper.fillRect(at * 2 - 1, 0, 3, 4);
    }
  }
  for (let level = 0; level < MAP_LEVELS; level++) {
    let [fine, bad] = [0, 0];
    for (let at = 0; at < columns; at++) {
      fine += edges[level * 2][at];
      bad += edges[level * 2 + 1][at];
      if (!fine && !bad) continue;
      paper.fillStyle = bad ? palette.levels[5] : palette.accent;
      paper.globalAlpha = bad ? 0.9 : 0.75 - level * 0.13;
      paper.fillRect(at * 2, room + 3 + level * MAP_LEVEL_PX, 2, MAP_LEVEL_PX - 1);
    }
  }
  paper.globalAlpha = 1;
}
