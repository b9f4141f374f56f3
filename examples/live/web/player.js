// player.js shows a room: by WebRTC where that goes, else by HTTP-FLV (mpegts.js) or HLS (hls.js, or the browser's own).
import { terms, reason } from "./whip.js";

const PICTURES = 4; // publishers that are seen at once by WebRTC: beyond that, those who have spoken last
const VOICES = 8;
const START = 8000; // ms that a way may take to its first sound or picture

export const WAYS = { whep: "WebRTC", flv: "HTTP-FLV", hls: "HLS" };

/** What players are made of, loaded when it is needed: most visitors never need it. */
const players = () => import("./players.js");

export class Player {
  /**
   * @param stage where tiles go
   * @param hooks `ticket(action)` gives {room, query}; `state(name, text)` hears "trying", "playing", "stopped"; `slots(list)` who is heard and seen, or null if it is as before but there are more tiles; `blocked()`: sound needs a tap
   */
  constructor(stage, hooks) {
    this.stage = stage;
    this.hooks = hooks;
    this.tiles = new Map(); // by number of slot
    this.turn = 0;
    this.way = "";
  }

  /** Plays by one way, or by the first that goes. */
  async play(by) {
    this.stop();
    const turn = ++this.turn;
    const ways = by === "auto" ? ["whep", "flv", "hls"] : [by];
    let why = "";
    for (const way of ways) {
      this.hooks.state("trying", `Connecting by ${WAYS[way]} …`);
      try {
        const note = await this[way](turn);
        if (turn !== this.turn) return;
        // Sound that WebRTC can't carry is worth another way, if there is one.
        if (way === "whep" && note.startsWith("no audio") && by === "auto" && (await this.playable("flv"))) {
          this.stop();
          this.turn = turn;
          continue;
        }
        this.way = way;
        this.hooks.state("playing", note ? `${WAYS[way]}: ${note}.` : "");
        return;
      } catch (error) {
        if (turn !== this.turn) return;
        this.clear();
        why = error.message;
        if (error.final) break;
      }
    }
    this.hooks.state("stopped", why);
  }

  async playable(way) {
    const { mpegts, Hls } = await players();
    return way === "flv" ? mpegts.isSupported() : Hls.isSupported();
  }

  stop() {
    this.turn++;
    this.way = "";
    this.clear();
  }

  clear() {
    this.pc?.close();
    this.pc = null;
    if (this.session) void fetch(this.session, { method: "DELETE", keepalive: true }).catch(() => {});
    this.session = "";
    this.player?.destroy();
    this.player = null;
    for (const tile of this.tiles.values()) {
      tile.video.srcObject = null;
      tile.el.remove();
    }
    this.tiles.clear();
  }

  /** What played has ended of itself. While a way is tried, its own errors tell. */
  over(turn, why) {
    if (turn !== this.turn || !this.way) return;
    this.stop();
    this.hooks.state("stopped", why);
  }

  /** Pictures that were decoded, of all tiles. */
  get frames() {
    let frames = 0;
    for (const { video } of this.tiles.values()) frames += video.getVideoPlaybackQuality().totalVideoFrames;
    return frames;
  }

  tile(slot) {
    let tile = this.tiles.get(slot);
    if (tile) return tile;
    const el = document.createElement("figure");
    const video = document.createElement("video");
    const caption = document.createElement("figcaption");
    el.className = "tile";
    el.hidden = slot > 0;
    video.autoplay = true;
    video.playsInline = true;
    el.append(video, caption);
    this.stage.append(el);
    tile = { el, video, caption };
    this.tiles.set(slot, tile);
    return tile;
  }

  async start(video) {
    video.muted = this.silent === true;
    try {
      await video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return; // another stream has come meanwhile
      video.muted = true;
      this.hooks.blocked();
      await video.play().catch(() => {});
    }
  }

  /** After a tap. */
  sound() {
    for (const { video } of this.tiles.values()) video.muted = false;
  }

  // --- WebRTC ----------------------------------------------------------------------------------------------------------------------------

  async whep(turn) {
    const pc = this.pc = new RTCPeerConnection();
    const events = pc.createDataChannel("events");
    events.onmessage = (e) => this.told(turn, JSON.parse(e.data));
    for (let i = 0; i < VOICES; i++) pc.addTransceiver("audio", { direction: "recvonly" });
    for (let i = 0; i < PICTURES; i++) pc.addTransceiver("video", { direction: "recvonly" });
    // Slots of one number are one stream, which is a tile: an id of a track, "video-0", says the kind and the number of the line.
    pc.ontrack = ({ streams: [stream], transceiver }) => {
      const lines = pc.getTransceivers().filter((line) => line.receiver.track.kind === transceiver.receiver.track.kind);
      const tile = this.tile(lines.indexOf(transceiver));
      if (tile.video.srcObject) return;
      tile.video.srcObject = stream;
      void this.start(tile.video);
      this.hooks.slots(null); // they may have been told before
    };
    const up = new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("WebRTC does not get through this network.")), START);
      pc.onconnectionstatechange = () => {
        if (pc.connectionState === "connected") {
          clearTimeout(late);
          resolve();
        } else if (pc.connectionState === "failed") {
          clearTimeout(late);
          reject(new Error("WebRTC does not get through this network."));
          this.over(turn, "The connection is lost.");
        }
      };
    });
    up.catch(() => {}); // the terms may fail first
    const { room, query } = await this.hooks.ticket("play");
    let note;
    try {
      ({ session: this.session, note } = await terms(pc, new URL(`/whep/${room}?${query}`, location.href).href));
    } catch (error) {
      error.final = error.status === 403; // the room's rules have said no, and would again
      throw error;
    }
    await up;
    return note;
  }

  told(turn, said) {
    if (turn !== this.turn) return;
    if (said.event === "closed") this.over(turn, reason(said.reason));
    if (said.event === "slots") this.hooks.slots(said.slots);
  }

  /** Who of these slots is in the tile of a number, by kind. */
  static in(number, slots) {
    const who = {};
    for (const slot of slots) {
      if (slot.track === `${slot.kind}-${number}`) who[slot.kind] = slot.who;
    }
    return who;
  }

  // --- HTTP ------------------------------------------------------------------------------------------------------------------------------

  async address(path) {
    const { room, query } = await this.hooks.ticket("play");
    return new URL(`/live/${room}${path}?${query}`, location.href).href;
  }

  async flv(turn) {
    const { mpegts } = await players();
    if (!mpegts.isSupported()) throw new Error("This browser plays no HTTP-FLV.");
    const url = await this.address(".flv");
    const { video } = this.tile(0);
    mpegts.LoggingControl.enableAll = false;
    const player = this.player = mpegts.createPlayer({ type: "flv", isLive: true, url },
      { enableStashBuffer: false, lazyLoad: false, liveBufferLatencyChasing: true, autoCleanupSourceBuffer: true });
    player.attachMediaElement(video);
    const begun = this.begun(video);
    player.on(mpegts.Events.ERROR, (_kind, detail, info) => {
      const error = new Error(info?.code === 403 ? "The room does not let you in." : info?.code === 404 ? "Nobody is on air." : `HTTP-FLV: ${info?.msg || detail}`);
      begun.fail(error);
      this.over(turn, error.message);
    });
    player.on(mpegts.Events.LOADING_COMPLETE, () => this.over(turn, "The stream has ended."));
    player.load();
    void this.start(video);
    await begun.done;
    return "";
  }

  async hls(turn) {
    const { Hls } = await players();
    const url = await this.address("/index.m3u8");
    const { video } = this.tile(0);
    const begun = this.begun(video);
    if (Hls.isSupported()) {
      const hls = this.player = new Hls({ lowLatencyMode: true, enableWorker: false, liveDurationInfinity: true });
      hls.on(Hls.Events.ERROR, (_, data) => {
        if (!data.fatal) return;
        const status = data.response?.code;
        const error = new Error(status === 403 ? "The room does not let you in." : status === 404 || status === 503 ? "Nobody is on air." : `HLS: ${data.details}`);
        begun.fail(error);
        this.over(turn, error.message);
      });
      hls.loadSource(url);
      hls.attachMedia(video);
    } else if (video.canPlayType("application/vnd.apple.mpegurl")) {
      video.src = url;
      this.player = { destroy: () => video.removeAttribute("src") };
      video.onerror = () => begun.fail(new Error("HLS: the browser can't play this."));
      video.onended = () => this.over(turn, "The stream has ended.");
    } else {
      throw new Error("This browser plays no HLS.");
    }
    void this.start(video);
    await begun.done;
    return "";
  }

  /** When the first picture, or sound, is there. */
  begun(video) {
    let fail;
    const done = new Promise((resolve, reject) => {
      fail = reject;
      video.onplaying = resolve;
      setTimeout(() => reject(new Error("Nothing comes.")), 2 * START);
    });
    done.catch(() => {});
    return { done, fail };
  }
}
