// What a client needs of the place that it runs in: sockets, time, chance, and the page's comings and goings.
import { SkuaError } from "./errors.js";

/** The part of a WebSocket that is used: browsers', Node's, that of the package `ws`, and of game engines. */
export interface SocketLike {
  binaryType: any; // "arraybuffer", in each implementation's own type
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null; // event.data: ArrayBuffer
  onclose: ((event: any) => void) | null; // event.code, event.reason
  onerror: ((event: any) => void) | null;
  send(data: any): void;
  close(code?: number, reason?: string): void;
}

/** A class of such sockets. */
export type SocketConstructor = new (url: string) => SocketLike;

/** Where the client runs. Tests have one with a clock of their own, a game engine may have timers or events of its own. */
export interface Environment {
  /** Opens a socket. It throws when the URL is none. */
  connect(url: string): SocketLike;
  /** A clock that only goes forward, in ms. */
  now(): number;
  /** Calls f once, ms later, unless the returned function was called before. */
  after(ms: number, f: () => void): () => void;
  /** At random, from 0 up to but not 1. */
  random(): number;
  /**
   * Calls wake when it is worth trying at once, because the network or the page's window is back, and offline when the network is gone. Returns what ends
   * that.
   */
  watch(wake: () => void, offline: () => void): () => void;
}

/** The environment of a browser, a worker or Node, with what is given in its place. */
export function environment(own: Partial<Environment> = {}, constructor?: SocketConstructor): Environment {
  return {
    connect(url) {
      const Socket = constructor ?? (globalThis.WebSocket as SocketConstructor | undefined);
      if (!Socket) {
        throw new SkuaError("unsupported", "this platform has no WebSocket: pass one as options.WebSocket (in Node below 22 that of the package ws)");
      }
      return new Socket(url);
    },
    now: () => performance.now(),
    after(ms, f) {
      const timer = setTimeout(f, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    watch: watchPage,
    ...own,
  };
}

function watchPage(wake: () => void, offline: () => void): () => void {
  if (typeof globalThis.addEventListener !== "function") return () => {};
  const page = typeof document === "object" ? document : null;
  const visible = () => {
    if (page?.visibilityState === "visible") wake();
  };
  globalThis.addEventListener("online", wake);
  globalThis.addEventListener("offline", offline);
  globalThis.addEventListener("pageshow", wake);
  page?.addEventListener("visibilitychange", visible);
  return () => {
    globalThis.removeEventListener("online", wake);
    globalThis.removeEventListener("offline", offline);
    globalThis.removeEventListener("pageshow", wake);
    page?.removeEventListener("visibilitychange", visible);
  };
}
