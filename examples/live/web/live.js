// live.js is the page: the door, the lobby, a room with its people, chat and buttons. Media is in player.js and whip.js.
import { ClosedError, KickedError, RequestError, SessionLostError, connect } from "./skua.js";
import { Player, WAYS } from "./player.js";
import { Publication, deviceProblem } from "./whip.js";
import { avatar, hue, list, make, many, showAll } from "./dom.js";

const CHAT_KEPT = 200; // lines
const RTMP = 1935; // of listen.rtmp in skua.toml

const $ = (id) => document.getElementById(id);
const params = new URLSearchParams(location.search); // ?room=NAME&by=flv

const state = {
  view: "door", connection: "closed", me: "", name: "",
  room: null, // what the room's pushes say
  playing: "stopped", way: "", why: "",
  live: "", // "camera" or "voice" while we are on air
  chat: [], slots: [],
  get frames() { return player.frames; },
};

let client = null;
let publication = null;
let resting = 0; // a timer that plays again

const person = (id) => list(state.room?.people).find((p) => p.id === id);

const player = new Player($("stage"), {
  ticket: (action) => client.request("ticket", { action }),
  state: played,
  slots: (slots) => {
    if (slots) state.slots = slots;
    showTiles();
  },
  blocked: () => ($("unmute").hidden = false),
});

// --- The connection -----------------------------------------------------------------------------------------------------------------------

function login(name, password) {
  client?.close();
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
  const mine = client = connect(url, {
    // At the begin of each session. One that was only away for a moment goes on without this, and misses nothing.
    enter: async (session) => {
      const { uid } = await session.login({ name, password }, { timeout: 20000 });
      Object.assign(state, { me: uid, name });
      const back = state.room?.name || params.get("room");
      if (back && (await enter(session, back))) return;
      show("lobby");
      showRooms((await session.request("lobby", {})).rooms);
    },
  });
  client.on("lobby", ({ rooms }) => state.view === "lobby" && showRooms(rooms));
  client.on("room", showRoom);
  client.on("chat", said);
  client.on("out", ({ reason }) => out(reason));
  client.onState((now) => mine === client && connection(now));
  connection(client.state);
}

function connection(now) {
  state.connection = now.name;
  $("connection").hidden = state.view === "door";
  $("connection").dataset.state = now.name;
  $("connection-text").textContent = { connected: "online", resumed: "online", away: "coming back", lost: "logging in" }[now.name] || now.name;
  switch (now.name) {
    case "connected":
      busy(false);
      $("me").textContent = state.name;
      $("me").hidden = $("logout").hidden = $("connection").hidden = false;
      notice("");
      break;
    case "resumed":
      notice("");
      break;
    case "away":
      notice("The connection is lost. Coming back; what is said meanwhile will be here.");
      break;
    case "connecting":
      if (!now.reason) break;
      if (state.view === "door") { // who is at the door decides when to try again
        client.close();
        door(understandable(now.reason));
      } else {
        notice("The server can't be reached. Trying to come back.");
      }
      break;
    case "closed":
      if (now.reason instanceof KickedError) door(now.reason.code === "replaced" ? "You have logged in elsewhere." : `You were sent out: ${now.reason.message}.`);
      else if (!(now.reason instanceof ClosedError)) door(understandable(now.reason));
      break;
  }
}

function understandable(error) {
  if (error.code === "unreachable" || error.code === "handshake_timeout") return "The server can't be reached. Is it running?";
  if (error instanceof RequestError && error.code === "denied") return "This name belongs to somebody, and the password is not theirs.";
  if (error instanceof RequestError && error.code === "too_many") return "Too many wrong passwords for this name. Wait a little, then try again.";
  return error.message;
}

/** Asks, and says in words what is refused. Gives nothing then. */
async function ask(route, body = {}) {
  try {
    return await client.request(route, body);
  } catch (error) {
    if (!(error instanceof SessionLostError || error instanceof ClosedError || error instanceof KickedError)) notice(error.message, 6000);
  }
}

// --- Views --------------------------------------------------------------------------------------------------------------------------------

function show(view) {
  state.view = view;
  document.body.dataset.view = view;
  for (const id of ["door", "lobby", "room"]) $(id).hidden = id !== view;
  document.title = view === "room" ? `${state.room.title} · Skua Live` : "Skua Live";
}

function door(problem) {
  quiet();
  state.room = null;
  show("door");
  $("me").hidden = $("logout").hidden = $("connection").hidden = true;
  $("problem").hidden = !problem;
  $("problem").textContent = problem;
  busy(false);
  ($("name").value ? $("password") : $("name")).focus();
}

function busy(on) {
  $("enter").disabled = on;
  $("enter").textContent = on ? "One moment…" : "Come in";
}

let noticeTimer = 0;

function notice(text, ms = 0) {
  clearTimeout(noticeTimer);
  $("notice").hidden = !text;
  $("notice").textContent = text;
  if (ms) noticeTimer = setTimeout(() => notice(""), ms);
}

// --- The lobby ----------------------------------------------------------------------------------------------------------------------------

function showRooms(rooms) {
  const all = list(rooms).sort((a, b) => b.live - a.live || b.people - a.people);
  $("no-rooms").hidden = all.length > 0;
  showAll($("rooms"), all, (r) => r.name, (r) => {
    const card = make("button", "room-card");
    card.type = "button";
    card.dataset.room = r.name;
    card.addEventListener("click", () => enter(client, r.name));
    return make("li", "", card);
  }, (item, r) => {
    const cover = make("div", "cover", make("span", "letter", [...r.title][0]?.toUpperCase() || "?"),
      r.live && make("span", "badge live", "Live"), r.recording && make("span", "badge rec", "Rec"));
    cover.style.setProperty("--hue", hue(r.name));
    item.firstChild.replaceChildren(cover, make("b", "", r.title), make("span", "soft", `by ${r.host} · ${r.people === 0 ? "nobody in" : `${r.people} in`}`));
  });
}

$("open").addEventListener("submit", async (event) => {
  event.preventDefault();
  const opened = await ask("open", { title: $("title").value });
  if (!opened) return;
  $("title").value = "";
  await enter(client, opened.room);
});

// --- A room -------------------------------------------------------------------------------------------------------------------------------

async function enter(session, name) {
  let seat;
  try {
    seat = await session.request("enter", { room: name });
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    quiet();
    state.room = null;
    notice(error.message, 8000);
    return false;
  }
  const again = state.room?.name === seat.room.name;
  state.room = seat.room;
  state.chat = [];
  $("log").replaceChildren();
  for (const line of list(seat.lines)) said(line);
  notice("");
  show("room");
  $("obs-server").textContent = `rtmp://${location.hostname}:${RTMP}/live`;
  if (!again) played("stopped", "");
  showRoom(seat.room);
  return true;
}

function showRoom(room) {
  if (state.view !== "room" || room.name !== state.room?.name) return;
  state.room = room;
  const host = room.host === state.me;
  $("room-title").textContent = room.title;
  $("room-host").textContent = host ? "Your room" : `by ${person(room.host)?.name || "a host who is away"}`;
  $("on-air").hidden = !room.live;
  $("recording").hidden = !room.recording;
  $("viewers").hidden = room.viewers === 0;
  $("viewers").textContent = many(room.viewers, "viewer");
  $("record").hidden = !host;
  $("record").textContent = room.recording ? "Stop recording" : "Record";
  showPeople(room, host);
  showTiles();
  // Who is alone on air has nothing to see.
  const others = list(room.people).some((p) => p.on_air && p.id !== state.me);
  if (others && state.playing === "stopped" && !resting) void player.play($("by").value);
  if (!others && state.playing !== "stopped") {
    player.stop();
    played("stopped", "");
  }
  if (state.playing === "stopped") curtain(others ? state.why : "");
}

function showPeople(room, host) {
  const speaking = new Set(list(room.speaking));
  $("people-count").textContent = list(room.people).length;
  showAll($("people"), list(room.people), (p) => p.id, (p) => {
    const button = (name, act) => {
      const b = make("button", `small-button ${name}`);
      b.type = "button";
      b.addEventListener("click", act);
      return b;
    };
    const mute = button("mute", () => ask("mute", { who: p.id, on: !person(p.id)?.muted }));
    const kick = button("kick", () => ask("kick", { who: p.id }));
    kick.textContent = "Kick";
    const item = make("li", "", avatar(p.id, p.name), make("span", "name"), mute, kick);
    item.dataset.who = p.id;
    return item;
  }, (item, p) => {
    const tags = [p.host && "host", p.on_air && (p.by === "rtmp" ? "on air by RTMP" : "on air"), p.muted && "muted"].filter(Boolean).join(" · ");
    item.className = `${p.on_air ? "on-air" : ""} ${speaking.has(p.id) ? "speaking" : ""}`;
    item.querySelector(".name").replaceChildren(p.id === state.me ? `${p.name} (you)` : p.name, tags && make("small", "", tags));
    const mute = item.querySelector(".mute");
    mute.textContent = p.muted ? "Unmute" : "Mute";
    mute.hidden = !host || p.id === state.me || !p.on_air;
    item.querySelector(".kick").hidden = !host || p.id === state.me;
  });
}

// Tiles are shown while somebody is seen in them. Other ways than WebRTC have one picture, which is that of the first on air.
function showTiles() {
  const speaking = new Set(list(state.room?.speaking));
  const onAir = list(state.room?.people).filter((p) => p.on_air);
  for (const [number, tile] of player.tiles) {
    const who = player.session ? Player.in(number, state.slots).video || "" : onAir[0]?.id || "";
    tile.el.hidden = player.session !== "" && who === "";
    tile.el.classList.toggle("speaking", speaking.has(who));
    tile.caption.textContent = person(who)?.name || "";
  }
  const shown = [...$("stage").children].filter((el) => !el.hidden).length;
  $("stage").dataset.tiles = shown;
  if (state.playing !== "playing") return;
  // Voices have no picture: then the room says who is heard.
  const heard = onAir.filter((p) => p.id !== state.me).map((p) => p.name);
  curtain(shown === 0 && heard.length > 0 ? `On air without a picture: ${heard.join(", ")}` : "");
}

function curtain(text) {
  const on = state.room?.live;
  const own = state.live === "camera" && !text;
  const words = text || (state.playing === "playing" || own ? "" : on && state.live ? "You are on air. Nobody else is yet." : "Nobody is on air yet. Go live, or wait here: it begins by itself.");
  $("curtain").hidden = words === "";
  $("curtain-text").textContent = words;
}

// What the player says. A stream that has ended may come back: the room tells when somebody is on air, and this tries again after a pause.
function played(now, text) {
  Object.assign(state, { playing: now, way: player.way, why: now === "stopped" ? text : "" });
  $("note").textContent = now === "playing" ? text : "";
  if (now === "trying") curtain(text);
  if (now !== "stopped") {
    if (now === "playing") $("by").title = `Plays by ${WAYS[player.way]}`;
    showTiles();
    return;
  }
  $("unmute").hidden = true;
  state.slots = [];
  curtain(text);
  if (!text || state.view !== "room") return;
  clearTimeout(resting);
  resting = setTimeout(() => {
    resting = 0;
    if (state.view === "room") showRoom(state.room);
  }, 3000);
}

/** Ends what we play and what we publish. */
function quiet() {
  clearTimeout(resting);
  resting = 0;
  offAir("");
  player.stop();
  Object.assign(state, { playing: "stopped", way: "", why: "", slots: [] });
}

async function leave() {
  quiet();
  state.room = null;
  await ask("leave");
  show("lobby");
  const lobby = await ask("lobby");
  if (lobby) showRooms(lobby.rooms);
}

async function out(reason) {
  if (state.view !== "room") return;
  await leave();
  notice(reason, 10000);
}

// --- On air -------------------------------------------------------------------------------------------------------------------------------

async function goLive(kind) {
  if (state.live) return offAir("");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true },
      video: kind === "camera" && { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
    });
  } catch (error) {
    return notice(deviceProblem(error), 8000);
  }
  const mine = publication = new Publication(stream, (why) => mine === publication && offAir(`You are off air: ${why}.`));
  Object.assign(state, { live: kind });
  showOwn(kind === "camera" ? stream : null);
  try {
    const { room, query } = await client.request("ticket", { action: "publish" });
    await mine.begin(new URL(`/whip/${room}?${query}`, location.href).href);
  } catch (error) {
    if (mine === publication) offAir(`You can't go on air: ${error.message}`);
  }
}

function offAir(why) {
  publication?.end();
  publication = null;
  state.live = "";
  showOwn(null);
  if (why) notice(why, 8000);
}

/** Our own picture, mirrored and without sound, and what the buttons do now. */
function showOwn(stream) {
  document.getElementById("own")?.remove();
  if (stream) {
    const video = Object.assign(document.createElement("video"), { autoplay: true, muted: true, playsInline: true, srcObject: stream });
    const tile = make("figure", "tile own", video, make("figcaption", "", "You"));
    tile.id = "own";
    $("stage").append(tile);
  }
  $("camera").textContent = state.live === "camera" ? "End the stream" : "Go live";
  $("voice").textContent = state.live === "voice" ? "Leave voice" : "Join voice";
  $("camera").disabled = state.live === "voice";
  $("voice").disabled = state.live === "camera";
  $("camera").classList.toggle("hot", state.live === "camera");
  $("voice").classList.toggle("hot", state.live === "voice");
  if (state.room) showTiles();
  if (state.playing !== "playing") curtain(state.why);
}

$("camera").addEventListener("click", () => goLive("camera"));
$("voice").addEventListener("click", () => goLive("voice"));
$("record").addEventListener("click", () => ask("record", { on: !state.room.recording }));
$("leave").addEventListener("click", leave);
$("home").addEventListener("click", () => state.view === "room" && leave());
$("logout").addEventListener("click", () => {
  client?.close();
  $("password").value = "";
  door("");
});
$("unmute").addEventListener("click", () => {
  player.sound();
  $("unmute").hidden = true;
});
$("by").addEventListener("change", () => {
  if (state.playing === "stopped") return;
  player.stop();
  void player.play($("by").value);
});
$("obs").addEventListener("toggle", async () => {
  if (!$("obs").open) return;
  const ticket = await ask("ticket", { action: "publish" });
  if (ticket) $("obs-key").textContent = `${ticket.room}?${ticket.query}`;
});

// --- Chat ---------------------------------------------------------------------------------------------------------------------------------

function said({ id, name, text }) {
  state.chat.push({ id, name, text });
  if (state.chat.length > CHAT_KEPT) state.chat.shift();
  const line = id ? make("li", "", make("b", "", name), document.createTextNode(text)) : make("li", "system", text);
  if (id) line.firstChild.style.setProperty("--hue", hue(id));
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(line);
  while (log.childElementCount > CHAT_KEPT) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  if (!(await ask("chat", { text })) && !$("text").value) $("text").value = text; // nothing that was typed is lost
});

// --- The door -----------------------------------------------------------------------------------------------------------------------------

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  try {
    localStorage.setItem("live.name", name);
  } catch { /* private windows refuse */ }
  busy(true);
  $("problem").hidden = true;
  login(name, $("password").value);
});

addEventListener("pagehide", () => quiet());

try {
  $("name").value = localStorage.getItem("live.name") || "";
} catch { /* private windows refuse */ }
if (Object.hasOwn(WAYS, params.get("by"))) $("by").value = params.get("by");
($("name").value ? $("password") : $("name")).focus();

window.live = { state }; // for tests, and for who is curious
