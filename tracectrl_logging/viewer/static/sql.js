// SQL over all sessions: a query, its rows as a table, the first column of numbers as a chart, CSV.

import { sessionAddress, Params } from "./address.js";
import { draw, make } from "./elements.js";
import { plural } from "./format.js";

const SAMPLES = [
  { name: "Levels", sql: "SELECT level, count(*) AS lines FROM logs GROUP BY level ORDER BY lines DESC" },
  { name: "Loggers with errors", sql: "SELECT logger, count(*) AS errors FROM logs WHERE severity_number >= 17 GROUP BY logger ORDER BY errors DESC LIMIT 20" },
  { name: "Slowest spans", sql: "SELECT name, service, round(duration_ns / 1e6, 2) AS ms, status, session_id FROM spans ORDER BY duration_ns DESC LIMIT 50" },
  { name: "Time by span name", sql: "SELECT name, count(*) AS spans, round(sum(duration_ns) / 1e6, 2) AS total_ms, round(max(duration_ns) / 1e6, 2) AS longest_ms FROM spans GROUP BY name ORDER BY total_ms DESC LIMIT 30" },
  { name: "Lines a minute", sql: "SELECT date_trunc('minute', timestamp) AS minute, count(*) AS lines FROM logs GROUP BY 1 ORDER BY 1" },
];
const VIEW_COLUMNS = {
  logs: "timestamp, level, severity_number, logger, message, session_id, trace_id, span_id, trace_flags, service, exception, stack, extras, file",
  spans: "name, kind, session_id, trace_id, span_id, parent_span_id, start_time, end_time, duration_ns, status, status_message, service, scope, attributes, events, links, resource, file",
  sessions: "session_id, first_time, last_time, duration_ns, logs, spans, errors, error_spans, services",
};
const MOST_BARS = 60;
const WIDEST_CHART = 960;
const CHART_HEIGHT = 140;
const LABELLED = 12; // so many bars have their names below them
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;
const NUMERIC = /^[-+]?[0-9.]+(?:e[-+]?[0-9]+)?$/i;

/** @typedef {string | number | boolean | null} Cell */
/** @typedef {{columns: string[], rows: Cell[][], more: boolean}} Answer */

/** The view. */
class Sql {
  /**
   * @param {HTMLElement} host
   * @param {Params} params
   * @param {import("./source.js").Source} source
   * @param {import("./main.js").Ui} ui
   */
  constructor(host, params, source, ui) {
    this.host = host;
    this.source = source;
    this.ui = ui;
    this.running = new AbortController();
    /** @type {Answer | null} */
    this.answer = null;
    ui.title("SQL");
    this.text = make("textarea", { rows: 5, spellcheck: "false", autocapitalize: "off", "aria-label": "SQL", placeholder: "SELECT level, count(*) FROM logs GROUP BY level", onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.submit();
      }
    } });
    this.button = make("button", { type: "submit", class: "main", title: "Ctrl+Enter" }, "Run");
    this.problem = make("pre", { class: "problem", role: "alert", hidden: true });
    this.said = make("p", { class: "count", role: "status" });
    this.csv = make("button", { type: "button", hidden: true, onclick: () => this.save(), title: "The rows shown; ' is put before texts that a spreadsheet would run as a formula" }, "Save CSV");
    this.chart = make("figure", { class: "chart", hidden: true });
    this.result = make("div", { class: "result", role: "region", "aria-label": "Rows", tabindex: "0", hidden: true });
    host.append(
      make("h1", { class: "unseen" }, "SQL"),
      make("form", { class: "sql", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); this.submit(); } },
        this.text,
        make("div", { class: "bar" }, this.button,
          make("span", { class: "samples" }, ...SAMPLES.map(({ name, sql }) => make("button", { type: "button", class: "chip", onclick: () => this.submit(sql) }, name))))),
      make("details", { class: "columns" }, make("summary", {}, "Tables and columns"),
        make("dl", {}, ...Object.entries(VIEW_COLUMNS).flatMap(([name, columns]) => [make("dt", {}, name), make("dd", {}, columns)]))),
      this.problem,
      this.chart,
      make("div", { class: "after" }, this.said, this.csv),
      this.result,
    );
    this.update(params);
    if (!params.get("sql")) this.text.focus();
  }

  /** @param {Params} params */
  update(params) {
    const sql = params.get("sql") ?? "";
    this.text.value = sql;
    this.run(sql);
  }

  /** @param {string} [sql] another one than is written */
  submit(sql = this.text.value) {
    this.text.value = sql;
    this.ui.set({ sql: sql.trim() || null });
    this.run(sql.trim());
  }

  close() {
    this.running.abort();
  }

  /** @param {string} sql */
  async run(sql) {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    for (const element of [this.problem, this.chart, this.result, this.csv]) element.hidden = true;
    this.said.textContent = "";
    if (!sql) return;
    this.said.textContent = "Running …";
    const started = performance.now();
    try {
      const answer = /** @type {Answer} */ (await this.source.json("page/query", { sql }, signal));
      if (!signal.aborted) this.show(answer, performance.now() - started);
    } catch (error) {
      if (signal.aborted) return;
      this.said.textContent = "";
      this.problem.textContent = /** @type {Error} */ (error).message.split("\n").map(this.ui.format.shown).join("\n");
      this.problem.hidden = false;
    }
  }

  /**
   * @param {Answer} answer
   * @param {number} tookMs
   */
  show(answer, tookMs) {
    const { durationOf } = this.ui.format;
    this.answer = answer;
    const { columns, rows, more } = answer;
    this.said.textContent = `${more ? "The first " : ""}${plural(rows.length, "row")} in ${durationOf(tookMs * 1000)}`;
    this.csv.hidden = false;
    this.result.hidden = false;
    const isNumber = columns.map((_, at) => isNumeric(rows, at));
    this.result.replaceChildren(this.table(columns, rows, isNumber));
    const chart = this.chartOf(answer, isNumber);
    this.chart.hidden = chart === null;
    if (chart) this.chart.replaceChildren(...chart);
  }

  /**
   * @param {string[]} columns
   * @param {Cell[][]} rows
   * @param {boolean[]} isNumber by columns
   */
  table(columns, rows, isNumber) {
    const { shown } = this.ui.format;
    return make("table", {},
      make("thead", {}, make("tr", {}, ...columns.map((name, at) => make("th", { scope: "col", class: isNumber[at] ? "number" : null }, shown(name))))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, at) => {
        const text = cell === null ? "" : shown(String(cell));
        const isLink = columns[at] === "session_id" && typeof cell === "string";
        return make("td", { class: isNumber[at] ? "number" : cell === null ? "null" : null, title: text.length > 40 ? text : null },
          isLink ? make("a", { href: `#${sessionAddress(cell)}` }, text) : cell === null ? "null" : text);
      })))));
  }

  /**
   * Returns a chart of the first column of numbers, each bar named by the first other column; `null` where
   * there is nothing to draw.
   * @param {Answer} answer
   * @param {boolean[]} isNumber by columns
   * @returns {Node[] | null}
   */
  chartOf({ columns, rows }, isNumber) {
    const { shown } = this.ui.format;
    const at = isNumber.indexOf(true);
    if (at < 0 || rows.length < 2) return null;
    const nameAt = isNumber.indexOf(false);
    const bars = rows.slice(0, MOST_BARS).map((row, index) => ({ value: Number(row[at] ?? 0), name: nameAt < 0 ? String(index + 1) : shown(String(row[nameAt] ?? "null")) }));
    const [least, most] = [Math.min(0, ...bars.map(({ value }) => value)), Math.max(0, ...bars.map(({ value }) => value))];
    const chartWidth = Math.max(240, Math.min(WIDEST_CHART, this.host.clientWidth - 50));
    const [step, scale] = [chartWidth / bars.length, (CHART_HEIGHT - 2) / (most - least || 1)];
    const isLabelled = bars.length <= LABELLED;
    const zero = most * scale + 1;
    const height = CHART_HEIGHT + (isLabelled ? 18 : 2);
    const drawing = draw("svg", { viewBox: `0 0 ${chartWidth} ${height}`, width: chartWidth, height, role: "img", "aria-label": `Bars: ${shown(columns[at])}, from ${least} to ${most}` },
      draw("line", { x1: 0, x2: chartWidth, y1: zero, y2: zero }),
      ...bars.flatMap(({ value, name }, index) => {
        const size = Math.max(Math.abs(value) * scale, value ? 1 : 0);
        const width = Math.max(1, Math.min(step * 0.7, 64));
        const x = index * step + (step - width) / 2;
        return [
          draw("rect", { x, y: value < 0 ? zero : zero - size, width, height: size, rx: Math.min(2, width / 4) }, draw("title", {}, `${name}: ${value}`)),
          ...(isLabelled ? [draw("text", { x: index * step + step / 2, y: CHART_HEIGHT + 14, "text-anchor": "middle" }, cutTo(name, Math.floor(step / 7)))] : []),
        ];
      }));
    const isCut = rows.length > MOST_BARS ? `, the first ${MOST_BARS} rows` : "";
    return [make("figcaption", {}, `${shown(columns[at])}${nameAt < 0 ? "" : ` by ${shown(columns[nameAt])}`}${isCut}`), drawing];
  }

  /** Saves the rows that are shown as CSV. */
  save() {
    if (!this.answer) return;
    const { columns, rows } = this.answer;
    const lines = [columns, ...rows].map((row) => row.map(csvCell).join(","));
    const address = URL.createObjectURL(new Blob([lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
    make("a", { href: address, download: "query.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

/** @type {import("./main.js").MakeView} */
export const SqlView = (host, params, source, ui) => {
  const sql = new Sql(host, params, source, ui);
  return {
    close: () => sql.close(),
    update: (changed) => sql.update(changed),
    keys: {
      "/": ["Write SQL; Ctrl+Enter runs it", () => sql.text.focus()],
      c: ["Save the rows as CSV", () => sql.csv.hidden || sql.save()],
    },
  };
};

/**
 * @param {Cell[][]} rows
 * @param {number} at a column
 * @returns {boolean} whether all there is in it are numbers
 */
function isNumeric(rows, at) {
  return rows.some((row) => typeof row[at] === "number") && rows.every((row) => row[at] === null || typeof row[at] === "number");
}

/**
 * Returns `cell` for CSV. A text that a spreadsheet would run gets a `'` in front, as the command's
 * `--spreadsheet` does it.
 * @param {Cell} cell
 * @returns {string}
 */
function csvCell(cell) {
  if (cell === null) return "";
  let text = String(cell);
  if (typeof cell === "string" && FORMULA.test(text) && !NUMERIC.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * @param {string} text
 * @param {number} most
 */
function cutTo(text, most) {
  return text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text;
}
