// The data of a page that is one file: rows that stand in the page itself, compressed.

/** @typedef {import("./source.js").Source} PageSourceType */
/** @typedef {import("./source.js").SessionRow} EmbeddedRow */

const ROWS_AT_ONCE = 500;

/** Return whether the data is in the page itself. */
export function isEmbedded() {
  return document.getElementById("embedded-session") !== null;
}

/** A session that is in the page. @implements {PageSourceType} */
export class EmbeddedSource {
  live = false;

  constructor() {
    /** @type {string} */
    this.id = JSON.parse(document.getElementById("embedded-session")?.textContent ?? '""');
  }

  /** @param {string} text */
  take(text) {
    return text;
  }

  /** @type {PageSourceType["rows"]} */
  async rows(_id, { onRows, onCaughtUp }, signal) {
    /** @type {EmbeddedRow[]} */
    let rows = [];
    for await (const line of embeddedLines()) {
      if (signal.aborted) return;
      rows.push(JSON.parse(line));
      if (rows.length === ROWS_AT_ONCE) {
        onRows(rows);
        rows = [];
      }
    }
    if (rows.length) onRows(rows);
    onCaughtUp();
  }

  /** @type {PageSourceType["rawLine"]} */
  async rawLine(_id, place) {
    return /** @type {{text?: string}} */ (place).text ?? "";
  }

  async sessions() {}

  async search() {}

  /** @type {PageSourceType["json"]} */
  async json() {
    throw new Error("this page has no server");
  }

  /** @type {PageSourceType["blob"]} */
  async blob() {
    throw new Error("this page has no server");
  }
}

/** Yield the lines that stand in the page, one row of JSON each. */
async function* embeddedLines() {
  const pieces = Array.from(document.querySelectorAll("script.embedded-rows"));
  const packed = new ReadableStream({
    pull(controller) {
      const piece = pieces.shift();
      if (piece) controller.enqueue(bytesOf(piece.textContent ?? ""));
      else controller.close();
    },
  });
  const reader = packed.pipeThrough(new DecompressionStream("gzip")).pipeThrough(new TextDecoderStream()).getReader();
  /** @type {string[]} the beginning of a line whose end has not come */
  let begun = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = value.split("\n");
    for (const line of lines.slice(0, -1)) {
      yield begun.join("") + line;
      begun = [];
    }
    begun.push(lines[lines.length - 1]);
  }
}

/** @param {string} text in base64 */
function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}
