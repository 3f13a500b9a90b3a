// JSON as it is written: numbers keep their digits, keys their order, and a key may come twice.

/**
 * @typedef {{kind: "object", members: [string, Exact][]} | {kind: "array", items: Exact[]}
 *   | {kind: "string", text: string} | {kind: "plain", text: string}} Exact
 *   "plain" is a number, true, false or null, as it is written
 */

const PLAIN = /[-+.\w]+/gy;
const SPACE = /[\s]*/gy;

/** Return the JSON *text* in its parts. Nothing here recurses.
 * @param {string} text
 * @returns {Exact}
 * @throws {SyntaxError} it is no JSON */
export function exactOf(text) {
  /** @type {Exact[]} */
  const open = [];
  /** @type {string | null} */
  let key = null;
  /** @type {Exact | null} */
  let whole = null;
  let at = 0;

  /** @param {RegExp} pattern */
  const take = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) throw new SyntaxError(`JSON must go on at character ${at}, got ${text.slice(at, at + 10)}`);
    at = pattern.lastIndex;
    return found[0];
  };
  /** @param {Exact} value */
  const put = (value) => {
    const into = open[open.length - 1];
    if (!into) whole = value;
    else if (into.kind === "array") into.items.push(value);
    else if (into.kind === "object") into.members.push([key ?? "", value]);
    key = null;
  };

  for (take(SPACE); at < text.length; take(SPACE)) {
    const sign = text[at];
    if (sign === "{" || sign === "[") {
      at++;
      /** @type {Exact} */
      const made = sign === "{" ? { kind: "object", members: [] } : { kind: "array", items: [] };
      put(made);
      open.push(made);
    } else if (sign === "}" || sign === "]") {
      at++;
      open.pop();
    } else if (sign === "," || sign === ":") {
      at++;
    } else if (sign === '"') {
      const string = JSON.parse(stringAt());
      if (key === null && open[open.length - 1]?.kind === "object") key = string;
      else put({ kind: "string", text: string });
    } else {
      put({ kind: "plain", text: take(PLAIN) });
    }
  }
  if (!whole) throw new SyntaxError("JSON must not be empty");
  return whole;

  // Not by a pattern: one that repeats a group fails on strings of some megabytes.
  function stringAt() {
    const from = at;
    for (at++; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 92) at++;
      else if (code === 34) return text.slice(from, ++at);
    }
    throw new SyntaxError("JSON must end a string");
  }
}

/** Return the value of a key of an object, of the last where there are several.
 * @param {Exact | undefined} value @param {string} key
 * @returns {Exact | undefined} */
export function memberOf(value, key) {
  if (value?.kind !== "object") return undefined;
  return value.members.findLast(([name]) => name === key)?.[1];
}

/** Return a value as text: a string as it reads, anything else as JSON.
 * @param {Exact | undefined} value
 * @returns {string} */
export function textOf(value) {
  if (!value) return "";
  return value.kind === "string" ? value.text : jsonOf(value);
}

/** Return a value as JSON, laid out where *indent* is given.
 * @param {Exact} value @param {string} [indent]
 * @returns {string} */
export function jsonOf(value, indent = "") {
  /** @type {string[]} */
  const parts = [];
  // What is left to write, the next at the end; an array is a stack here, as in `exactOf`.
  /** @type {(string | {value: Exact, depth: number})[]} */
  const left = [{ value, depth: 0 }];
  while (left.length) {
    const next = left.pop();
    if (typeof next === "string") {
      parts.push(next);
      continue;
    }
    if (!next) break;
    const { value: it, depth } = next;
    if (it.kind === "plain") parts.push(it.text);
    else if (it.kind === "string") parts.push(JSON.stringify(it.text));
    else {
      const line = (/** @type {number} */ level) => (indent ? `\n${indent.repeat(level)}` : "");
      const isObject = it.kind === "object";
      const count = isObject ? it.members.length : it.items.length;
      parts.push(isObject ? "{" : "[");
      left.push((count ? line(depth) : "") + (isObject ? "}" : "]"));
      for (let at = count - 1; at >= 0; at--) {
        const [name, inner] = isObject ? it.members[at] : ["", it.items[at]];
        left.push({ value: inner, depth: depth + 1 });
        const before = (at ? "," : "") + line(depth + 1);
        left.push(isObject ? `${before}${JSON.stringify(name)}:${indent && " "}` : before);
      }
    }
  }
  return parts.join("");
}
