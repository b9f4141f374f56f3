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

/**
 * Shows items as children of el, in order. The element of an item that was shown before stays, and update changes it: had it been made anew between the press and the release of a button, the click would
 * be nobody's, and what has the focus would lose it.
 */
export function showAll(el, items, key, create, update) {
  const before = new Map([...el.children].map((child) => [child.dataset.key, child]));
  const shown = items.map((item) => {
    const child = before.get(key(item)) || create(item);
    before.delete(key(item));
    child.dataset.key = key(item);
    update(child, item);
    return child;
  });
  for (const child of before.values()) child.remove();
  shown.forEach((child, i) => {
    if (el.children[i] !== child) el.insertBefore(child, el.children[i] || null);
  });
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
