// How times, durations, numbers and texts are shown.

const CONTROL =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g;
const NAMED = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);
const ZONE_KEY = "tracectrl.zone";
const MICROS = 1_000_000;
const DAY_US = 86_400 * MICROS;

/** @typedef {"UTC" | "local"} Zone */

/** @type {Set<() => void>} */
const zoneListeners = new Set();

/** @type {{zone: Zone, offsets: Map<number, number>}} */
const shownZone = { zone: "UTC", offsets: new Map() };

/**
 * Returns `text` on one line: control characters, those that have no width or turn the direction of
 * writing, and lone surrogates as escapes.
 * @param {string} text
 * @returns {string}
 */
export function shown(text) {
  return text.replace(CONTROL, (found) => {
    if (found.length === 2) return isTag(found) ? `\\U${hex(found, 8)}` : found;
    return NAMED.get(found) ?? (found < "\u0100" ? `\\x${hex(found, 2)}` : `\\u${hex(found, 4)}`);
  });
}

/**
 * @param {string} found
 * @returns {boolean} whether it is one of the invisible characters of the tags' block
 */
function isTag(found) {
  const code = /** @type {number} */ (found.codePointAt(0));
  return code >= 0xe0000 && code <= 0xe007f;
}

/**
 * @param {string} found
 * @param {number} digits
 * @returns {string}
 */
function hex(found, digits) {
  return /** @type {number} */ (found.codePointAt(0)).toString(16).padStart(digits, "0");
}

/** @returns {Zone} the zone that times are shown in */
export function zone() {
  return shownZone.zone;
}

/**
 * Shows times in `name` from now on, here and in pages that are opened later.
 * @param {Zone} name
 */
export function setZone(name) {
  shownZone.zone = name;
  keep(ZONE_KEY, name);
  for (const listener of zoneListeners) listener();
}

/**
 * Calls `listener` whenever the zone has changed.
 * @param {() => void} listener
 * @returns {() => void} what ends that
 */
export function onZone(listener) {
  zoneListeners.add(listener);
  return () => zoneListeners.delete(listener);
}

/** Takes the zone that a person chose before. */
export function restoreZone() {
  shownZone.zone = kept(ZONE_KEY) === "local" ? "local" : "UTC";
}

/**
 * Returns what was kept of a choice; storage may be forbidden, as in a file from disk.
 * @param {string} key
 * @returns {string | null}
 */
export function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * Keeps a choice for pages that are opened later, where that is allowed.
 * @param {string} key
 * @param {string} value
 */
export function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Then it holds for this page alone.
  }
}

/**
 * Returns `us` moved so that its UTC is the time in the zone that is shown.
 * @param {number} us microseconds since the epoch
 * @returns {number}
 */
function inZone(us) {
  if (shownZone.zone === "UTC") return us;
  const quarter = Math.floor(us / (900 * MICROS)); // no zone changes its offset within one
  let offset = shownZone.offsets.get(quarter);
  if (offset === undefined) {
    offset = -new Date(us / 1000).getTimezoneOffset() * 60 * MICROS;
    shownZone.offsets.set(quarter, offset);
  }
  return us + offset;
}

/**
 * Returns the time of day: `08:36:24.024`.
 * @param {number} us microseconds since the epoch
 * @param {number} [digits] of the second
 * @returns {string}
 */
export function clockOf(us, digits = 3) {
  const inDay = (((inZone(us) % DAY_US) + DAY_US) % DAY_US);
  const seconds = Math.floor(inDay / MICROS);
  const text = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(twoDigits).join(":");
  return digits ? `${text}.${String(inDay % MICROS).padStart(6, "0").slice(0, digits)}` : text;
}

/**
 * Returns date and time: `2026-11-30 08:36:24.024`.
 * @param {number} us microseconds since the epoch
 * @param {{digits?: number}} [options]
 * @returns {string}
 */
export function timeOf(us, { digits = 3 } = {}) {
  return `${dateOf(us)} ${clockOf(us, digits)}`;
}

/**
 * Returns the date: `2026-11-30`.
 * @param {number} us microseconds since the epoch
 * @returns {string}
 */
export function dateOf(us) {
  const date = new Date(Math.floor(inZone(us) / 1000));
  if (Number.isNaN(date.getTime())) return "-";
  return date.toISOString().replace(/T.*/, "");
}

/**
 * Returns the moment of a text in RFC 3339, to the microsecond; `null` for any other text.
 * @param {string} text
 * @returns {number | null} microseconds since the epoch
 */
export function microsOf(text) {
  const found = /^(.*T\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!found) return null;
  const whole = Date.parse(found[1] + found[3]);
  return Number.isNaN(whole) ? null : whole * 1000 + Number((found[2] ?? "").padEnd(6, "0").slice(0, 6));
}

/** @param {number} value */
export function twoDigits(value) {
  return String(Math.floor(value)).padStart(2, "0");
}

/**
 * Returns a duration in the unit that reads best, as the command prints it: `1.14 ms`, `2h 03m 04s`.
 * @param {number} us microseconds
 * @returns {string}
 */
export function durationOf(us) {
  const size = Math.abs(us);
  if (size < 1000) return `${threeDigits(us)} µs`;
  if (size < MICROS) return `${threeDigits(us / 1000)} ms`;
  if (size < 60 * MICROS) return `${threeDigits(us / MICROS)} s`;
  const seconds = Math.round(us / MICROS);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = `${twoDigits(seconds % 60)}s`;
  return hours ? `${hours}h ${twoDigits(minutes)}m ${rest}` : `${minutes}m ${rest}`;
}

/** @param {number} number */
function threeDigits(number) {
  for (const digits of [2, 1]) {
    const text = number.toFixed(digits);
    if (text.replace("-", "").length <= 4) return text;
  }
  return number.toFixed(0);
}

/**
 * Returns a whole number with commas: `12,345`.
 * @param {number} number
 * @returns {string}
 */
export function countOf(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** @param {number} count @param {string} name of one */
export function plural(count, name) {
  return `${countOf(count)} ${name}${count === 1 ? "" : "s"}`;
}

/**
 * Writes each `<time datetime>` below `node` in the zone that is shown. Those of class
 * `recent` are without the date where that is today's.
 * @param {ParentNode} node
 */
export function localise(node) {
  const today = dateOf(Date.now() * 1000);
  for (const element of node.querySelectorAll("time[datetime]")) {
    const text = element.getAttribute("datetime") ?? "";
    const us = microsOf(text);
    if (us === null) continue;
    if (!element.classList.contains("recent")) element.textContent = timeOf(us);
    else element.textContent = dateOf(us) === today ? clockOf(us, 0) : timeOf(us, { digits: 0 }).slice(0, -3);
    element.setAttribute("title", `${timeOf(us, { digits: 6 })} ${shownZone.zone === "UTC" ? "UTC" : "local time"}`);
  }
}
