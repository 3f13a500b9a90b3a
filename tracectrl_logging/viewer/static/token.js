// The token of this page: from the address, from this tab's memory, or from another tab of the same page.
//
// It is never in a cookie, a query or localStorage. A tab that a link has opened has none, and asks the
// others. A token is shared, or taken from others over one's own, only by whether the server took it: an
// address with a wrong one, which anybody can make, changes nothing for the tabs that work.

const ANSWER_MS = 150;

/** The token, which other tabs are asked for where this one has none. */
export class Token {
  /** @param {string} base the address of the page's directory */
  constructor(base) {
    this.key = `tracectrl.token ${new URL(base).pathname}`;
    this.isProven = false;
    /** @type {Set<() => void>} */
    this.waiting = new Set();
    this.channel = new BroadcastChannel(this.key);
    this.channel.onmessage = ({ data }) => this.hear(data);
    /** @type {string | null} `""` where the application asks for none, `null` where it is not known */
    this.value = stored(this.key);
  }

  /**
   * Takes the token out of the fragment `#token=...&/session/ID`; returns what is left of it.
   * @param {string} fragment without `#`
   * @returns {string}
   */
  takeFrom(fragment) {
    const found = /^token=([^&]*)&?/.exec(fragment);
    if (!found) return fragment;
    this.set(found[1]);
    return fragment.slice(found[0].length);
  }

  /**
   * Returns the token to send; `""` where there is none.
   * @returns {Promise<string>}
   */
  async get() {
    if (this.value === null) await this.ask();
    return this.value ?? "";
  }

  /**
   * Notes that the server has taken `token`, and tells tabs that wait for one.
   * @param {string} token
   */
  prove(token) {
    if (this.isProven) return;
    this.set(token);
    this.isProven = true;
    if (token) this.channel.postMessage({ token });
  }

  /**
   * Notes that the server has refused `token`; returns whether there is another to try.
   * @param {string} token
   * @returns {Promise<boolean>}
   */
  async refuse(token) {
    if (this.value === token || this.value === null) {
      this.value = null;
      this.isProven = false;
      await this.ask();
    }
    return this.value !== null && this.value !== token;
  }

  /**
   * Returns when there is another token, or after `ms` milliseconds.
   * @param {number} ms
   * @returns {Promise<void>}
   */
  changed(ms) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.waiting.add(done);
    });
  }

  async ask() {
    const answered = this.changed(ANSWER_MS);
    this.channel.postMessage({ wanted: true });
    await answered;
  }

  /** @param {{token?: unknown, wanted?: unknown}} data what another tab says */
  hear(data) {
    if (data.wanted && this.isProven && this.value) this.channel.postMessage({ token: this.value });
    if (typeof data.token === "string" && !this.isProven && data.token !== this.value) this.set(data.token);
  }

  /** @param {string} value */
  set(value) {
    this.value = value;
    this.isProven = false;
    try {
      sessionStorage.setItem(this.key, value);
    } catch {
      // Then this tab forgets it when it is loaded again.
    }
    for (const done of this.waiting) done();
  }
}

/**
 * @param {string} key
 * @returns {string | null}
 */
function stored(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}
