// arena.js is the game on the page: who is in view, what keys and fingers do, and what stands in the panels.
import { ClosedError, KickedError, RequestError, SessionLostError, connect } from "./skua.js";
import { Painter, colorOf } from "./draw.js";

const STEP = 125; // ms between two steps of somebody who keeps walking
const IN_FLIGHT = 4; // steps that may wait for their answers
const CHAT_KEPT = 100; // lines
const METALS = ["copper", "silver", "gold"];

const $ = (id) => document.getElementById(id);

const state = {
  connection: { state: "closed", reason: "" },
  me: null, // { id, name, x, y, n, coins, inventory }
  world: null, // { width, height, view, walls }
  players: new Map(), // in view, without me
  coins: new Map(),
  chat: [],
};

let client = null;
let entered = false; // the answer to enter has come
let early = []; // pushes that came before it
const painter = new Painter($("map"), document.querySelector(".side"), state);

// An empty table of Lua is an object in JSON.
const list = (v) => (Array.isArray(v) ? v : []);

// --- The server's side -------------------------------------------------------------------------------------------------------------------

function play(name, password) {
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
  client?.close();
  client = connect(url, {
    // At the begin of each session. A session that was only away for a moment goes on without this, and misses nothing.
    enter: async (session) => {
      entered = false;
      early = [];
      await session.login({ name, password }, { timeout: 20000 });
      await enter(session);
    },
  });
  client.onAny((route, body) => (entered || route === "chat" ? push(route, body) : early.push([route, body])));
  const mine = client;
  client.onState((now) => mine === client && connection(now));
  connection(client.state);
}

async function enter(session) {
  const seat = await session.request("enter", {});
  const { id, name, x, y, n, coins, inventory, width, height, view } = seat;
  state.me = { id, name, x, y, n, coins, inventory };
  state.world = { width, height, view, walls: list(seat.walls) };
  state.players = new Map(list(seat.players).map((p) => [p.id, p]));
  state.coins = new Map(list(seat.coin_list).map((v) => [v.id, v]));
  entered = true;
  for (const [route, body] of early) push(route, body);
  early = [];
  showPurse();
  showNear();
}

function push(route, body) {
  switch (route) {
    case "enter":
      state.players.set(body.id, body);
      break;
    case "move":
      Object.assign(state.players.get(body.id) || {}, { x: body.x, y: body.y, n: body.n });
      break;
    case "leave":
      state.players.delete(body.id);
      break;
    case "coin":
      state.coins.set(body.id, body);
      return;
    case "coin_gone":
      state.coins.delete(body.id);
      return;
    case "purse":
      purse(body);
      return;
    case "chat":
      said(body);
      return;
  }
  showNear();
}

function purse({ coins, inventory }) {
  if (coins > state.me.coins) {
    state.me.coins = coins;
    if (inventory) state.me.inventory = inventory;
    showPurse();
  }
}

let inFlight = 0;

async function step(dx, dy) {
  if (!entered || !client?.online || inFlight >= IN_FLIGHT) return; // nobody walks blind
  inFlight++;
  try {
    const at = await client.request("move", { dx, dy });
    if (at.n >= state.me.n) Object.assign(state.me, { x: at.x, y: at.y, n: at.n });
    purse(at);
    showNear();
  } catch (error) {
    // What ends the session or the client is told by the state.
    if (!(error instanceof SessionLostError || error instanceof ClosedError || error instanceof KickedError)) notice(error.message);
  } finally {
    inFlight--;
  }
}

// --- The connection's state --------------------------------------------------------------------------------------------------------------

function connection(now) {
  state.connection = { state: now.name, reason: now.reason?.message || "" };
  switch (now.name) {
    case "connected":
      $("door").hidden = true;
      $("game").hidden = false;
      notice("");
      painter.resize();
      $("map").focus();
      busy(false);
      break;
    case "away":
      notice("The connection is lost. Coming back: your place is kept for a while, and you will miss nothing.");
      break;
    case "resumed":
      notice("");
      break;
    case "lost":
      entered = false;
      notice("The connection was gone for too long. Logging in again; what you have is safe.");
      break;
    case "connecting":
      if (!now.reason) break;
      if ($("game").hidden) { // who is at the door decides when to try again
        client.close();
        door(understandable(now.reason));
      } else {
        notice("The server can't be reached. Trying to come back; what you have is safe.");
      }
      break;
    case "closed":
      closed(now.reason);
      break;
  }
  showConnection();
}

function closed(reason) {
  entered = false;
  if (reason instanceof KickedError) {
    if (!$("game").hidden) system(`You were sent out: ${reason.message}`);
    door(`You were sent out: ${reason.message}.`);
  } else if (!(reason instanceof ClosedError)) {
    door(understandable(reason));
  }
}

function understandable(error) {
  if (error.code === "unreachable" || error.code === "handshake_timeout") return "The server can't be reached. Is it running?";
  if (!(error instanceof RequestError)) return error.message;
  switch (error.code) {
    case "denied":
      return "This name belongs to somebody, and the password is not theirs.";
    case "too_many":
      return "Too many wrong passwords for this name. Wait a little, then try again.";
    case "busy":
      return "Many are logging in right now. Try again in a moment.";
    case "unavailable":
      return "The server can't look up players right now. Try again in a moment.";
    default:
      return error.message;
  }
}

function showConnection() {
  const { state: now, reason } = state.connection;
  $("connection").dataset.state = now;
  const rtt = client?.rtt ? ` · ${Math.max(1, Math.round(client.rtt))} ms` : "";
  $("connection-text").textContent = client?.online ? `online${rtt}` : { away: "coming back", lost: "logging in" }[now] || now;
  $("connection").title = reason;
}

function door(problem) {
  $("game").hidden = true;
  $("door").hidden = false;
  $("problem").hidden = !problem;
  $("problem").textContent = problem;
  busy(false);
  ($("name").value ? $("password") : $("name")).focus();
}

function busy(on) {
  $("play").disabled = on;
  $("play").textContent = on ? "One moment…" : "Play";
}

let noticeTimer = 0;

function notice(text) {
  clearTimeout(noticeTimer);
  $("notice").hidden = !text;
  $("notice").textContent = text;
  if (text && client?.online) noticeTimer = setTimeout(() => notice(""), 4000);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  remember(name);
  busy(true);
  $("problem").hidden = true;
  play(name, $("password").value);
});

$("leave").addEventListener("click", () => {
  client?.close();
  $("password").value = "";
  door("");
});

// The name is kept for the next time, where the browser lets us; the password never is.
function remember(name) {
  try {
    localStorage.setItem("arena.name", name);
  } catch { /* private windows refuse */ }
}

try {
  $("name").value = localStorage.getItem("arena.name") || "";
} catch { /* private windows refuse */ }
($("name").value ? $("password") : $("name")).focus();

// --- The panels --------------------------------------------------------------------------------------------------------------------------

function make(tag, className, text) {
  const el = document.createElement(tag);
  if (className) el.className = className;
  if (text !== undefined) el.textContent = text;
  return el;
}

function showPurse() {
  $("coins").textContent = state.me.coins;
  const have = state.me.inventory || {};
  const kinds = [...METALS.filter((k) => k in have), ...Object.keys(have).filter((k) => !METALS.includes(k))];
  $("inventory").replaceChildren(...kinds.map((kind) => {
    const item = make("li");
    item.append(make("i", `disc ${METALS.includes(kind) ? kind : "gold"}`), make("b", "", have[kind]), make("span", "", kind));
    return item;
  }));
}

let nearDue = false;

// Players near move often: the list is made anew once a frame at most.
function showNear() {
  if (nearDue) return;
  nearDue = true;
  setTimeout(() => {
    nearDue = false;
    if (!state.me) return;
    const far = (p) => Math.max(Math.abs(p.x - state.me.x), Math.abs(p.y - state.me.y));
    const near = [...state.players.values()].sort((a, b) => far(a) - far(b) || a.name.localeCompare(b.name));
    $("near-count").textContent = near.length;
    $("near").replaceChildren(...near.map((p) => {
      const item = make("li");
      const swatch = make("i", "swatch");
      swatch.style.background = colorOf(p.id);
      item.append(swatch, make("span", "name", p.name), make("span", "far", far(p) === 1 ? "1 step" : `${far(p)} steps`));
      return item;
    }));
    if (near.length === 0) $("near").append(make("li", "none", "Nobody in sight"));
    $("where").textContent = `You stand at column ${state.me.x}, row ${state.me.y}.`;
  }, 100);
}

function said({ id, name, text }) {
  state.chat.push({ id, name, text });
  if (state.chat.length > CHAT_KEPT) state.chat.shift();
  const who = make("span", "who", name);
  who.style.color = `color-mix(in oklab, ${colorOf(id)} 60%, var(--text))`;
  const line = make("li");
  line.append(who, document.createTextNode(text));
  add(line);
}

function system(text) {
  add(make("li", "system", text));
}

function add(line) {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(line);
  while (log.childElementCount > CHAT_KEPT) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) {
    $("map").focus();
    return;
  }
  $("text").value = "";
  try {
    // Longer than a session waits: what is said while we are away is said when we are back, or known not to be.
    await client.request("chat", { text }, { timeout: 120000 });
  } catch (error) {
    if (!$("text").value) $("text").value = text; // nothing that was typed is lost
    system(error instanceof RequestError && error.code === "too_fast" ? "Slow down: one message a second." : error.message);
  }
});

// --- Keys and fingers --------------------------------------------------------------------------------------------------------------------

const KEYS = {
  ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0],
  KeyW: [0, -1], KeyS: [0, 1], KeyA: [-1, 0], KeyD: [1, 0],
};
const held = new Set();
let pointer = null; // where it is held on the map, in CSS pixels
let lastStep = 0;

const typing = () => ["INPUT", "BUTTON", "TEXTAREA"].includes(document.activeElement?.tagName);

addEventListener("keydown", (event) => {
  if ($("game").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    $("map").focus();
    return;
  }
  if (typing() || document.activeElement === $("log")) return;
  if (event.key === "Enter") {
    event.preventDefault();
    $("text").focus();
    return;
  }
  if (!(event.code in KEYS)) return;
  event.preventDefault();
  if (event.repeat) return;
  held.add(event.code);
  walk(performance.now(), true);
});
addEventListener("keyup", (event) => held.delete(event.code));
addEventListener("blur", () => held.clear());
document.addEventListener("focusin", () => typing() && held.clear());

$("map").addEventListener("pointerdown", (event) => {
  $("map").setPointerCapture(event.pointerId);
  pointer = { x: event.offsetX, y: event.offsetY };
  walk(performance.now(), true);
});
$("map").addEventListener("pointermove", (event) => {
  if (pointer) pointer = { x: event.offsetX, y: event.offsetY };
});
for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) $("map").addEventListener(end, () => (pointer = null));

// The direction that keys and fingers ask for.
function wanted() {
  let dx = 0, dy = 0;
  for (const code of held) {
    dx += KEYS[code][0];
    dy += KEYS[code][1];
  }
  if (!dx && !dy && pointer && state.me) {
    const to = painter.toTile(pointer.x, pointer.y);
    dx = Math.abs(to.x - state.me.x) > 0.6 ? to.x - state.me.x : 0;
    dy = Math.abs(to.y - state.me.y) > 0.6 ? to.y - state.me.y : 0;
    // Mostly sideways is sideways.
    if (Math.abs(dx) > 2.4 * Math.abs(dy)) dy = 0;
    if (Math.abs(dy) > 2.4 * Math.abs(dx)) dx = 0;
  }
  return [Math.sign(dx), Math.sign(dy)];
}

// Makes a step when one is due. A key that has just gone down is due at once, however short the press.
function walk(now, pressed) {
  if (!pressed && now - lastStep < STEP) return;
  const [dx, dy] = wanted();
  if (!dx && !dy) return;
  lastStep = now;
  step(dx, dy);
}

function frame(now) {
  if (!$("game").hidden) {
    walk(now, false);
    painter.frame(now);
  }
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
setInterval(showConnection, 1000);

// For tests and the curious: what the page knows, as plain data, and where on the canvas (CSS pixels) the middle of a tile is painted.
window.arena = {
  get state() {
    return {
      connection: { ...state.connection, online: Boolean(client?.online), rtt: client?.rtt || 0, stats: client?.stats },
      me: state.me && { ...state.me },
      world: state.world,
      players: [...state.players.values()],
      coins: [...state.coins.values()],
      chat: [...state.chat],
    };
  },
  toScreen: (x, y) => painter.toScreen(x, y),
  colorOf,
};
