// dom.js has what the page is made of: elements, colours, words.

/** An empty table of Lua is an object in JSON. */
export const list = (v) => (Array.isArray(v) ? v : []);

export const many = (n, one, more = `${one}s`) => `${n} ${n === 1 ? one : more}`;

export function make(tag, className, ...children) {
  const el = document.createElement(tag);
  el.className = className;
  el.append(...children.filter((c) => c !== null && c !== false));
  return el;
}

/** A colour of one's own. */
export function hue(id) {
  let h = 7;
  for (const c of id) h = (h * 31 + c.charCodeAt(0)) % 360;
  return h;
}

export function avatar(id, name) {
  const el = make("i", "avatar", [...name][0]?.toUpperCase() || "?");
  el.style.setProperty("--hue", hue(id));
  return el;
}
