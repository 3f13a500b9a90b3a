// What goes wrong between page and server.

/** The server does not answer this request: no token, wrong use, or not there. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A stream says that it cannot go on, or ended. */
export class ServerEventError extends Error {}
