// Server-sent events, read from a fetch: EventSource cannot send the header Authorization.

/** @typedef {{name: string, data: string, id: string | null}} ServerEvent */

/** A parser of text/event-stream: takes text as it comes, gives the events that are whole. */
export class EventParser {
  constructor() {
    /** @type {string[]} the beginning of a line whose end has not come */
    this.begun = [];
    this.endedWithReturn = false;
    this.name = "";
    /** @type {string[]} */
    this.data = [];
    /** @type {string | null} */
    this.id = null;
  }

  /**
   * Returns the events that end in `text`, which goes on where the last text ended.
   * @param {string} text
   * @returns {ServerEvent[]}
   */
  push(text) {
    if (!text) return [];
    if (this.endedWithReturn && text[0] === "\n") text = text.slice(1);
    this.endedWithReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    const last = /** @type {string} */ (lines.pop());
    const events = [];
    for (const line of lines) {
      this.begun.push(line);
      const event = this.line(this.begun.join(""));
      this.begun = [];
      if (event) events.push(event);
    }
    if (last) this.begun.push(last);
    return events;
  }

  /**
   * @param {string} line
   * @returns {ServerEvent | null} the event that this line ends
   */
  line(line) {
    if (line === "") {
      const event = { name: this.name || "message", data: this.data.join("\n"), id: this.id };
      const isOne = this.data.length > 0;
      this.name = "";
      this.data = [];
      this.id = null;
      return isOne ? event : null;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.name = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.id = value;
    return null;
  }
}

/**
 * Yields the events of a response; after `silenceMs` without any text it fails, for the connection is dead.
 * @param {Response} response
 * @param {number} silenceMs
 * @returns {AsyncGenerator<ServerEvent[], void, void>}
 */
export async function* eventsOf(response, silenceMs) {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  let heardAt = performance.now();
  let isSilent = false;
  const watch = setInterval(() => {
    isSilent = performance.now() - heardAt > silenceMs;
    if (isSilent) reader.cancel().catch(() => {});
  }, silenceMs / 4);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (isSilent) throw new Error("the server says nothing");
      if (done) return;
      heardAt = performance.now();
      const events = parser.push(decoder.decode(value, { stream: true }));
      if (events.length) yield events;
    }
  } finally {
    clearInterval(watch);
    reader.cancel().catch(() => {});
  }
}
