// Whose turn it is: browsers allow six connections per origin, and all tabs share them.

const SLOTS = 4;

/**
 * Returns when the page is shown: a signal that fires when it is hidden or `signal` fires, and what ends
 * the watch.
 * @param {AbortSignal} signal
 * @returns {Promise<{signal: AbortSignal, end: () => void}>}
 */
export async function pageShown(signal) {
  while (document.hidden && !signal.aborted) {
    await new Promise((resolve) => {
      document.addEventListener("visibilitychange", resolve, { once: true });
      signal.addEventListener("abort", resolve, { once: true });
    });
  }
  const round = new AbortController();
  const watch = new AbortController();
  const stop = () => round.abort();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { signal: watch.signal });
  document.addEventListener("visibilitychange", () => document.hidden && stop(), { signal: watch.signal });
  return { signal: round.signal, end: () => watch.abort() };
}

/**
 * Returns one of the few slots for a stream that stays open, to be released; `null` where all are taken,
 * or where the browser cannot tell (a page that is not from this machine, over plain HTTP).
 * @param {AbortSignal} signal
 * @returns {Promise<{release: () => void} | null>}
 */
export async function streamSlot(signal) {
  if (!navigator.locks) return null;
  for (let number = 0; number < SLOTS && !signal.aborted; number += 1) {
    const release = await lockOrNull(`tracectrl-stream-${number}`);
    if (release) return { release };
  }
  return null;
}

/**
 * @param {string} name
 * @returns {Promise<(() => void) | null>} what lets it go
 */
function lockOrNull(name) {
  return new Promise((resolve) => {
    navigator.locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (lock) return new Promise((release) => resolve(() => release(undefined)));
        resolve(null);
        return undefined;
      })
      .catch(() => resolve(null));
  });
}

/**
 * Returns after `ms` milliseconds, or when `signal` fires.
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
