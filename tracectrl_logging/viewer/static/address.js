// The fragment of the page's address: which view is shown, and what of it.

const PIECES = /[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]|[^\ud800-\udfff]+/g;

/**
 * Returns `text` percent-encoded. A lone surrogate, which UTF-8 does not have and which
 * encodeURIComponent throws for, becomes the three bytes that it would have: `%ED%A0%80`.
 * @param {string} text
 * @returns {string}
 */
export function encodeText(text) {
  return text.replace(PIECES, (piece) => {
    const code = piece.charCodeAt(0);
    if (piece.length !== 1 || code < 0xd800 || code > 0xdfff) return encodeURIComponent(piece);
    return [0xed, 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]
      .map((byte) => `%${byte.toString(16).toUpperCase()}`)
      .join("");
  });
}

/**
 * Returns what `encodeText` was given; what is no such text is returned as far as it can be read.
 * @param {string} text
 * @returns {string}
 */
export function decodeText(text) {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) =>
    run
      .split(/(%ED%[AB][0-9A-F]%[89AB][0-9A-F])/i)
      .map((part, index) => {
        if (index % 2) {
          const [, high, low] = part.slice(1).split("%").map((digits) => parseInt(digits, 16));
          return String.fromCharCode(0xd000 | ((high & 0x3f) << 6) | (low & 0x3f));
        }
        try {
          return decodeURIComponent(part);
        } catch {
          return part;
        }
      })
      .join(""),
  );
}

/** What an address says behind its `?`: texts by name, in order; a name may stand more than once. */
export class Params {
  /** @param {string} [text] as in an address, without `?` */
  constructor(text = "") {
    /** @type {[string, string][]} */
    this.pairs = [];
    for (const part of text.split("&")) {
      if (!part) continue;
      const at = part.indexOf("=");
      const [name, value] = at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
      this.pairs.push([decodeText(name.replaceAll("+", " ")), decodeText(value.replaceAll("+", " "))]);
    }
  }

  /**
   * @param {string} name
   * @returns {string | null}
   */
  get(name) {
    return this.pairs.find(([key]) => key === name)?.[1] ?? null;
  }

  /**
   * @param {string} name
   * @returns {string[]}
   */
  getAll(name) {
    return this.pairs.filter(([key]) => key === name).map(([, value]) => value);
  }

  /**
   * @param {string} name
   * @returns {boolean}
   */
  has(name) {
    return this.pairs.some(([key]) => key === name);
  }

  /**
   * Puts `value` in the place of all values of `name`; `null` takes them away.
   * @param {string} name
   * @param {string | string[] | null} value
   */
  set(name, value) {
    this.delete(name);
    if (value !== null) for (const one of [value].flat()) this.append(name, one);
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  append(name, value) {
    this.pairs.push([name, value]);
  }

  /** @param {string} name */
  delete(name) {
    this.pairs = this.pairs.filter(([key]) => key !== name);
  }

  copy() {
    const copy = new Params();
    copy.pairs = this.pairs.map(([name, value]) => [name, value]);
    return copy;
  }

  toString() {
    return this.pairs.map(([name, value]) => `${encodeText(name)}=${encodeText(value)}`).join("&");
  }
}

/**
 * Returns the address of a view, for `ui.go` and, behind a `#`, for a link.
 * @param {string} path with its parts encoded
 * @param {Params | Record<string, string | string[] | null>} [params]
 * @returns {string}
 */
export function addressOf(path, params = {}) {
  let text;
  if (params instanceof Params) {
    text = params.toString();
  } else {
    const made = new Params();
    for (const [name, value] of Object.entries(params)) made.set(name, value);
    text = made.toString();
  }
  return text ? `${path}?${text}` : path;
}

/**
 * Returns the address of a session.
 * @param {string} id
 * @param {Record<string, string | string[] | null>} [params]
 * @returns {string}
 */
export function sessionAddress(id, params = {}) {
  return addressOf(`/session/${encodeText(id)}`, params);
}
