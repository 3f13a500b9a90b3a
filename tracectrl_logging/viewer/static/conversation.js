// What models, tools and agents said in a session, with the tokens and the time of each answer.

import { encodeText } from "./address.js";
import { make } from "./elements.js";
import { countOf, durationOf, shown } from "./format.js";

/** @typedef {import("./source.js").Source} ConversationSource */

/** @typedef {{type: string, name?: string, content?: unknown, arguments?: unknown, result?: unknown}} Part */

/** @typedef {{type: string, agents: string[], agent_run: number, role: string, parts: Part[], model?: string,
 *   input_tokens?: number, output_tokens?: number, cache_read_tokens?: number, reasoning_tokens?: number,
 *   duration_ns?: number, error?: string}} Turn */

export class ConversationDialog {
  /** @param {HTMLElement} host @param {string} id of the session @param {ConversationSource} source */
  constructor(host, id, source) {
    this.id = id;
    this.source = source;
    this.said = make("div", { class: "said", tabindex: 0, role: "region", "aria-labelledby": "said-title" });
    this.dialog = make(
      "dialog",
      { class: "conversation", "aria-labelledby": "said-title" },
      make(
        "header",
        {},
        make("h2", { id: "said-title" }, "Conversation"),
        make("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: () => this.dialog.close() }, "×"),
      ),
      this.said,
    );
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    host.append(this.dialog);
  }

  async open() {
    this.said.replaceChildren(make("p", { class: "said-note" }, "Reading…"));
    this.dialog.showModal();
    try {
      const { turns, more } = await this.source.json(`api/sessions/${encodeText(this.id)}/conversation`, {});
      const notes = more ? ["There is more; the command shows all: show --conversation."] : turns.length ? [] : ["No model, tool or agent said anything here."];
      this.said.replaceChildren(...elementsOf(turns), ...notes.map((text) => make("p", { class: "said-note" }, text)));
    } catch (error) {
      this.said.replaceChildren(make("p", { class: "said-note" }, shown(error instanceof Error ? error.message : String(error))));
    }
  }
}

/** @param {Turn[]} turns */
function elementsOf(turns) {
  const elements = [];
  let agent = "";
  for (const turn of turns) {
    const depth = Math.min(Math.max(turn.agents.length - 1, 0), 6);
    const name = turn.agents.at(-1) ?? "";
    const here = JSON.stringify([turn.agents, turn.agent_run]);
    if (name && here !== agent) {
      elements.push(make("p", { class: `said-agent said-depth-${depth}` }, shown(name), turn.agent_run > 1 ? ` #${turn.agent_run}` : ""));
    }
    agent = here;
    elements.push(
      make(
        "article",
        { class: `said-turn said-depth-${depth}` },
        make("span", { class: "said-role" }, shown(turn.role)),
        make("div", { class: "said-parts" }, ...turn.parts.map(partOf), ...took(turn)),
      ),
    );
  }
  return elements;
}

/** @param {Part} part */
function partOf(part) {
  const said = "arguments" in part ? part.arguments : "result" in part ? part.result : part.content;
  const text = typeof said === "string" ? said : JSON.stringify(said);
  const before = part.type === "tool_call" ? `→ ${shown(part.name ?? "")} ` : part.type === "tool_result" ? "← " : "";
  return make("p", { class: `said-part said-${part.type}` }, `${before}${text}`);
}

/** @param {Turn} turn @returns {HTMLElement[]} */
function took(turn) {
  const elements = [];
  if (turn.error !== undefined) elements.push(make("p", { class: "said-error" }, turn.error ? `failed: ${turn.error}` : "failed"));
  const facts = [];
  if (turn.model) facts.push(shown(turn.model));
  if (turn.input_tokens !== undefined) facts.push(`${countOf(turn.input_tokens)} in${turn.cache_read_tokens ? ` (${countOf(turn.cache_read_tokens)} cached)` : ""}`);
  if (turn.output_tokens !== undefined) facts.push(`${countOf(turn.output_tokens)} out${turn.reasoning_tokens ? ` (${countOf(turn.reasoning_tokens)} reasoning)` : ""}`);
  if (turn.duration_ns !== undefined) facts.push(durationOf(turn.duration_ns / 1000));
  if (facts.length) elements.push(make("p", { class: "said-facts" }, facts.join(" · ")));
  return elements;
}
