// Saving a session as one file, with or without the values of some keys.

import { encodeText } from "./address.js";
import { make } from "./elements.js";
import { shown } from "./format.js";

/** @typedef {import("./source.js").Source} SaveSource */
/** @typedef {import("./main.js").Ui} SaveUi */

export class SaveDialog {
  /** @param {HTMLElement} host @param {string} id @param {SaveSource} source @param {SaveUi} ui */
  constructor(host, id, source, ui) {
    this.id = id;
    this.source = source;
    this.ui = ui;
    this.keys = make("input", { type: "text", id: "redact", placeholder: "password, token, user.email", autocomplete: "off", spellcheck: "false" });
    this.problem = make("p", { class: "save-problem", role: "alert", hidden: true });
    this.button = make("button", { type: "submit", class: "main" }, "Save");
    this.dialog = make(
      "dialog",
      { class: "save", "aria-labelledby": "save-title" },
      make(
        "form",
        { onsubmit: (/** @type {SubmitEvent} */ event) => this.#save(event) },
        make("h2", { id: "save-title" }, "Save as one HTML file"),
        make("p", {}, "The file opens in any browser, without a network, and holds every line of this session."),
        make("label", { for: "redact" }, "Keys whose values are left out"),
        this.keys,
        this.problem,
        make("div", { class: "save-buttons" }, make("button", { type: "button", class: "quiet", onclick: () => this.dialog.close() }, "Cancel"), this.button),
      ),
    );
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    host.append(this.dialog);
  }

  open() {
    this.problem.hidden = true;
    this.dialog.showModal();
  }

  /** @param {SubmitEvent} event */
  async #save(event) {
    event.preventDefault();
    const redact = this.keys.value.split(/[\s,]+/).filter(Boolean);
    this.button.disabled = true;
    this.button.textContent = "Saving…";
    try {
      const file = await this.source.blob(`api/sessions/${encodeText(this.id)}/export`, { format: "html", redact });
      const link = make("a", { href: URL.createObjectURL(file), download: `${this.id.replace(/[^\w.-]+/g, "_").slice(0, 100) || "session"}.html` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      this.dialog.close();
      this.ui.announce("Saved");
    } catch (error) {
      this.problem.hidden = false;
      this.problem.textContent = shown(error instanceof Error ? error.message : String(error));
    } finally {
      this.button.disabled = false;
      this.button.textContent = "Save";
    }
  }
}
