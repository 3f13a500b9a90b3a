// Where the page has its data from: the server, by requests with the token and streams that resume.

import { Params, addressOf } from "./address.js";
import { ServerEventError, Refusal } from "./problems.js";
import { EmbeddedSource, isEmbedded } from "./embedded.js";
import { Token } from "./token.js";
import { eventsOf } from "./events.js";
import { pageShown, streamSlot, sleep } from "./turns.js";

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
const ROWS_EVERY_MS = 500;
const LIST_EVERY_MS = 2000;
const SILENCE_MS = 45_000; // the server sends a comment every 15 s

/**
 * A line of a session: kind (0 log, 1 span), start and end in µs, severity, span ID, parent span ID, trace
 * ID, service, logger or span name, HTML of the row, the line as JSON text or where to get it, whether the
 * time is borrowed.
 * @typedef {[number, number | null, number | null, number, string, string, string, string, string, string,
 *   string | {bytes: number, time: string, digest: string}, number]} SessionRow
 */

/** @typedef {{session_id: string, first_time: string | null, last_time: string | null, logs: number, spans: number,
 *   errors: number, error_spans: number, services: string[], duration_ns: number | null,
 *   first_message: string | null, state?: string}} Summary */

/** @typedef {{id: string, html: string, row: Summary}} ListRow */

/** @typedef {{id: string, time: number | null, html: string, span_id: string, severity: number}} Hit */

/** @typedef {Params | Record<string, string | string[] | null>} Asked */

/**
 * What views know of the data.
 * @typedef {object} Source
 * @property {boolean} live whether there is a server; else the data is in the page itself
 * @property {string} [id] the session of a page that holds one
 * @property {(fragment: string) => string} take takes the token out of the address's fragment; returns the rest
 * @property {(id: string, handlers: {onRows: (rows: SessionRow[]) => void, onReset: () => void,
 *   onCaughtUp: () => void, onState: (state: string) => void, onStatus: (text: string) => void},
 *   signal: AbortSignal) => Promise<void>} rows
 * @property {(params: Asked, handlers: {onList: (rows: ListRow[]) => void, onSession: (row: ListRow) => void,
 *   onStatus: (text: string) => void}, signal: AbortSignal) => Promise<void>} sessions
 * @property {(params: Asked, handlers: {onHits: (hits: Hit[]) => void, onEnd: (more: boolean) => void},
 *   signal: AbortSignal) => Promise<void>} search
 * @property {(path: string, params: Asked, signal?: AbortSignal) => Promise<any>} json
 * @property {(path: string, params: Asked, signal?: AbortSignal) => Promise<Blob>} blob
 * @property {(id: string, place: {time: string, digest: string}) => Promise<string>} rawLine
 */

const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("tracectrl", {
  createHTML: (/** @type {string} */ html) => html,
}) ?? { createHTML: (/** @type {string} */ html) => html };

/**
 * Returns what `html` says, which a template of the server has made; nothing else makes markup in the page.
 * @param {string} html
 * @returns {DocumentFragment}
 */
export function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

/** @returns {Source} the data of this page */
export function openSource() {
  return isEmbedded() ? new EmbeddedSource() : new LiveSource(new URL(".", document.baseURI).href);
}

/** The server that the page comes from. @implements {Source} */
class LiveSource {
  live = true;

  /** @param {string} base the address of the page's directory */
  constructor(base) {
    this.base = base;
    this.token = new Token(base);
  }

  /** @param {string} text */
  take(text) {
    return this.token.takeFrom(text);
  }

  /** @type {Source["rows"]} */
  async rows(id, { onRows, onReset, onCaughtUp, onState, onStatus }, signal) {
    let cursor = "";
    await this.persist(async (heard, round, follows) => {
      const asked = { id, after: cursor, follow: follows ? "1" : "0" };
      for await (const events of this.events("page/session", asked, round)) {
        heard();
        for (const { name, data, id: behind } of events) {
          if (round.aborted) return;
          if (name === "rows") {
            onRows(JSON.parse(data).rows);
            cursor = behind ?? cursor;
          } else if (name === "reset") {
            cursor = "";
            onReset();
          } else if (name === "caught-up") onCaughtUp();
          else if (name === "state") onState(JSON.parse(data).state);
          else if (name === "busy") throw new ServerEventError(JSON.parse(data).message ?? "the server is busy");
        }
      }
    }, ROWS_EVERY_MS, onStatus, signal);
  }

  /** @type {Source["sessions"]} */
  async sessions(params, { onList, onSession, onStatus }, signal) {
    await this.persist(
      (heard, round, follows) => this.list(params, { onList, onSession }, heard, follows, round),
      LIST_EVERY_MS,
      onStatus,
      signal,
    );
  }

  /**
   * @param {Asked} params
   * @param {{onList: (rows: ListRow[]) => void, onSession: (row: ListRow) => void}} handlers
   * @param {() => void} heard
   * @param {boolean} follows whether to go on after the list
   * @param {AbortSignal} round
   */
  async list(params, { onList, onSession }, heard, follows, round) {
    for await (const events of this.events("page/sessions", params, round)) {
      heard();
      for (const { name, data } of events) {
        if (round.aborted) return;
        if (name === "list") {
          onList(JSON.parse(data).rows);
          if (!follows) return;
        } else if (name === "session") onSession(JSON.parse(data));
        else if (name === "busy" || name === "error") {
          throw new ServerEventError(JSON.parse(data).message ?? "the server is busy");
        }
      }
    }
  }

  /** @type {Source["search"]} */
  async search(params, { onHits, onEnd }, signal) {
    for await (const events of this.events("page/search", params, signal)) {
      for (const { name, data } of events) {
        if (signal.aborted) return;
        const said = JSON.parse(data);
        if (name === "hits") onHits(said.rows);
        else if (name === "end") {
          onEnd(said.more);
          return;
        } else if (name === "error" || name === "busy") throw new ServerEventError(said.message);
      }
    }
    if (!signal.aborted) throw new ServerEventError("the server ended the search");
  }

  /** @type {Source["json"]} */
  async json(path, params, signal) {
    return (await this.request(path, params, "application/json", signal)).json();
  }

  /** @type {Source["blob"]} */
  async blob(path, params, signal) {
    return (await this.request(path, params, "", signal)).blob();
  }

  /** @type {Source["rawLine"]} */
  async rawLine(id, { time, digest }) {
    return (await this.request("page/line", { id, time, digest }, "")).text();
  }

  /**
   * @param {string} path
   * @param {Asked} params
   * @param {AbortSignal} signal
   */
  async *events(path, params, signal) {
    yield* eventsOf(await this.request(path, params, "text/event-stream", signal), SILENCE_MS);
  }

  /**
   * Calls `attempt` until `signal` says stop: while the page is hidden it is stopped, after a failure it
   * comes again, after pauses that grow until something is heard.
   * Those of the visible tabs that have no slot for a stream ask again and again instead.
   * @param {(heard: () => void, round: AbortSignal, follows: boolean) => Promise<void>} attempt
   * @param {number} everyMs between two times that such a tab asks
   * @param {(text: string) => void} onStatus
   * @param {AbortSignal} signal
   */
  async persist(attempt, everyMs, onStatus, signal) {
    let pause = FIRST_PAUSE_MS;
    const heard = () => {
      pause = FIRST_PAUSE_MS;
      onStatus("live");
    };
    while (!signal.aborted) {
      const round = await pageShown(signal);
      try {
        const slot = await streamSlot(round.signal);
        try {
          await attempt(heard, round.signal, !!slot);
          if (slot) throw new ServerEventError("disconnected");
        } finally {
          slot?.release();
        }
        await sleep(everyMs, round.signal);
      } catch (error) {
        if (round.signal.aborted) continue;
        const isRefused = error instanceof Refusal;
        if (isRefused && error.status === 400) { // what was asked cannot become right
          onStatus(error.message);
          return;
        }
        onStatus(isRefused || error instanceof ServerEventError ? error.message : "disconnected");
        await (isRefused ? this.token.changed(LONGEST_PAUSE_MS) : sleep(pause, signal));
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      } finally {
        round.end();
      }
    }
  }

  /**
   * Returns the answer to a request with the token.
   * @param {string} path
   * @param {Asked} params
   * @param {string} type the media type that the answer must have; `""` for any
   * @param {AbortSignal} [signal]
   * @returns {Promise<Response>}
   * @throws {Refusal} the server says no, or is another one
   */
  async request(path, params, type, signal) {
    const address = new URL(addressOf(path, params), this.base);
    for (let attempt = 0; ; attempt += 1) {
      const token = await this.token.get();
      const response = await fetch(address, {
        headers: token ? { Authorization: `Bearer ${token}` } : {},
        credentials: "same-origin",
        cache: "no-store",
        signal: signal ?? null,
      });
      const given = response.headers.get("content-type") ?? "";
      if (response.ok && given.startsWith(type)) {
        this.token.prove(token);
        return response;
      }
      const message = await reasonOf(response, given);
      if (response.status !== 401) throw new Refusal(response.status, message);
      if (attempt > 1 || !(await this.token.refuse(token))) throw new Refusal(401, message);
    }
  }
}

/**
 * @param {Response} response
 * @param {string} type
 * @returns {Promise<string>}
 */
async function reasonOf(response, type) {
  if (type.startsWith("application/json")) {
    const { message } = await response.json();
    if (typeof message === "string") return message;
  }
  response.body?.cancel().catch(() => {});
  if (response.ok) return `the server answered with ${type || "nothing"}: sign in again, and reload the page`;
  return `the server answered with status ${response.status} ${response.statusText}`;
}
