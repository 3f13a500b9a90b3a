// The parts of a session's page, and where they are.

import { make } from "./elements.js";
import { shown } from "./format.js";

/**
 * @typedef {object} LayoutActions
 * @property {() => void} typed the text to find is another
 * @property {(event: KeyboardEvent) => void} searchKey
 * @property {(only: boolean) => void} only nothing but what is found
 * @property {(step: 1 | -1) => void} jumpHit
 * @property {(step: 1 | -1) => void} jumpError
 * @property {() => void} toggleFacets
 * @property {() => void} toEnd
 * @property {() => void} wholeTime
 * @property {(closed: boolean) => void} foldAll
 * @property {(() => void) | null} conversation
 * @property {(() => void) | null} save
 */

export class SessionLayout {
  /**
   * @param {string} id of the session
   * @param {{kin: HTMLElement, children: HTMLElement | null, map: HTMLElement, facets: HTMLElement, rows: HTMLElement, drawer: HTMLElement}} parts
   * @param {LayoutActions} actions
   */
  constructor(id, parts, actions) {
    this.facts = make("p", { class: "story-facts" });
    this.state = make("p", { class: "story-state", hidden: true });
    this.search = make("input", {
      type: "search", id: "find", class: "find-text", placeholder: "Find in all lines", "aria-label": "Find in all lines",
      autocomplete: "off", spellcheck: "false", oninput: actions.typed, onkeydown: actions.searchKey,
    });
    this.found = make("span", { class: "find-count", role: "status" });
    this.only = make("input", { type: "checkbox", onchange: () => actions.only(this.only.checked) });
    this.errorCount = make("span", { class: "error-count" });
    this.errors = make(
      "span", { class: "tool-group errors-tool", hidden: true }, this.errorCount,
      iconButton("Previous error (E)", "‹", () => actions.jumpError(-1)), iconButton("Next error (e)", "›", () => actions.jumpError(1)),
    );
    this.filters = make("button", { type: "button", class: "quiet", "aria-controls": "facets", title: "Filters (f)", onclick: actions.toggleFacets }, "Filters");
    this.end = make("button", { type: "button", class: "to-end", hidden: true, title: "Newest row, and follow (G)", onclick: actions.toEnd }, "↓ Newest");
    this.whole = make("button", { type: "button", class: "quiet to-whole", hidden: true, title: "All of the time (0)", onclick: actions.wholeTime }, "Whole time");
    this.empty = make("p", { class: "story-empty" });
    this.element = make(
      "div",
      { class: "story" },
      make(
        "header",
        { class: "story-head" },
        make("h1", { title: shown(id) }, shown(id)),
        this.state,
        this.facts,
        parts.children,
        parts.kin,
        make(
          "div",
          { class: "tools", role: "toolbar", "aria-label": "Session" },
          this.filters,
          make(
            "span",
            { class: "tool-group find", role: "search" },
            this.search, this.found,
            iconButton("Previous match (N)", "‹", () => actions.jumpHit(-1)), iconButton("Next match (n)", "›", () => actions.jumpHit(1)),
            make("label", { class: "find-only", title: "Show nothing but the lines that match" }, this.only, "only"),
          ),
          this.errors,
          make(
            "span", { class: "tool-group fold-tools" },
            iconButton("Collapse all ({)", "−", () => actions.foldAll(true)), iconButton("Expand all (})", "+", () => actions.foldAll(false)),
          ),
          this.whole,
          actions.conversation && make("button", { type: "button", class: "quiet", title: "What models, tools and agents said (m)", onclick: actions.conversation }, "Conversation"),
          actions.save && make("button", { type: "button", class: "quiet", title: "One file that opens without a server (s)", onclick: actions.save }, "Save"),
        ),
      ),
      parts.map,
      make("div", { class: "story-main" }, parts.facets, make("div", { class: "rows-box" }, parts.rows, this.empty, this.end), parts.drawer),
    );
  }

  /** @param {string} state running, ended or crashed */
  showState(state) {
    this.state.hidden = false;
    this.state.dataset["state"] = state;
    this.state.textContent = state;
  }
}

/** @param {string} label @param {string} sign @param {() => void} act */
function iconButton(label, sign, act) {
  return make("button", { type: "button", class: "quiet icon", "aria-label": label, title: label, onclick: act }, make("span", { "aria-hidden": "true" }, sign));
}
