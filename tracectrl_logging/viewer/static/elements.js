// Elements of the page, made without markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Returns a new element. Attributes whose value is `null` or `false` are left out, functions named `onX`
 * listen to the event X; children are nodes and texts.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number | boolean | null | ((event: any) => void)>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Returns a new element of a drawing.
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElement}
 */
export function draw(name, attributes = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, name));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * Returns a button that stands for a condition, and takes it away.
 * @param {string} label
 * @param {() => void} remove
 */
export function chip(label, remove) {
  return make("button", { type: "button", class: "chip", title: "Remove", "aria-label": `Remove the condition ${label}`, onclick: remove }, label, make("span", { "aria-hidden": "true" }, "×"));
}

/**
 * Moves the focus along `links`: from none of them to the first, or the last where `step` goes back.
 * @param {HTMLElement[]} links
 * @param {number} step
 * @returns {HTMLElement | undefined} the one that has it now
 */
export function moveFocus(links, step) {
  const now = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const link = links[now < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, now + step))];
  link?.focus({ preventScroll: true });
  return link;
}

/**
 * Returns the element of the page with this ID.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
