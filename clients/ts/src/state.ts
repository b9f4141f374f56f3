// Where a client is between its server and its application.
import type { SessionLostError, SkuaError } from "./errors.js";

/** What a client is doing. See docs/clients.md for the picture. */
export type State =
  /** There is no session yet, or not again: requests wait. attempt counts connections that have failed in a row, retryIn is the ms until the next. */
  | { readonly name: "connecting"; readonly attempt: number; readonly retryIn: number; readonly reason: SkuaError | null }
  /** There is a new session, and `enter` is through. relogin: the player of the session before is in again, by the token of its login and without its credentials. */
  | { readonly name: "connected"; readonly relogin?: true }
  /** The connection is lost, the session waits for window ms at the server, and the client is on its way back. Nothing is lost so far. */
  | { readonly name: "away"; readonly attempt: number; readonly retryIn: number; readonly reason: SkuaError; readonly window: number }
  /** Back in the same session: nothing was lost, nothing came twice. */
  | { readonly name: "resumed" }
  /** The session is gone; requests in flight have failed. A new one follows, and `enter` with it, or a login by token. */
  | { readonly name: "lost"; readonly reason: SessionLostError }
  /** The end: close() was called, or coming back makes no sense. */
  | { readonly name: "closed"; readonly reason: SkuaError };

/** Kicks after which coming back makes sense, later if not at once. After others the server does not want us, or somebody else has our place. */
const WELCOME_BACK: ReadonlySet<string> = new Set([
  "shutdown", "moved", "idle", "slow", "too_slow", "expired", "internal", "unavailable", "agent_ended", "handshake_timeout", "login_timeout", "full", "too_many_connections",
]);

/** Answers to a login by token of which the token is the reason: another way has to be taken. */
const STALE: ReadonlySet<string> = new Set(["bad_token", "expired", "revoked", "bad_request", "denied"]);

export function stale(code: string): boolean {
  return STALE.has(code);
}

/** Errors of `enter` that are over soon. */
const TEMPORARY: ReadonlySet<string> = new Set(["busy", "unavailable", "shutdown", "timeout", "internal"]);

export function welcomeBack(code: string): boolean {
  return WELCOME_BACK.has(code);
}

export function temporary(code: string): boolean {
  return TEMPORARY.has(code);
}

const FIRST = 100; // ms
const LONGEST = 5000;

/** How long to wait before the next attempt: twice as long each time, and never all clients at the same moment. random is from 0 up to 1. */
export function backoff(attempt: number, random: number): number {
  return Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 16)) * (0.5 + random);
}

/** A connection that has held for so long, in ms, was good: the next loss counts from the begin. */
export const STABLE = LONGEST;

/** After a kick the first attempt waits as if so many had failed: the server has just said that it can't have us. */
export const AFTER_KICK = 3;
