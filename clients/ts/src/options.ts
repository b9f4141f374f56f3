// What an application gives to a client, and what it gets to speak through.
import type { RequestOptions } from "./calls.js";
import type { Environment, SocketConstructor } from "./environment.js";
import type { SkuaError } from "./errors.js";
import type { AnyRoutes, Args, NotifyBody, NotifyRoute, RequestBody, RequestRoute, ResponseBody, Routes, UndeclaredRoute } from "./routes.js";
import type { Serializer } from "./serializer.js";
import type { State } from "./state.js";

/** What `login` is answered. Other fields may join these. */
export interface LoginAnswer {
  uid: string; // 64 bits do not fit a number
  name: string;
  new?: boolean; // this login has made the account
  token?: string; // for the next login, where the node gives them: {token} is all that it takes. The client keeps it for lost sessions
  expires?: number; // of the token, in Unix seconds
  [field: string]: unknown;
}

/** What a player logs in with, or what asks for that. */
export type Credentials = unknown | (() => unknown);

/** Requests and notifies in one session. In `enter` it goes before all others; later it is the client itself. */
export interface Session<R extends Routes = AnyRoutes> {
  /**
   * Sends a request and gives its answer. It is rejected with a RequestError (the game refuses), TimeoutError, BacklogError, SessionLostError, the reason that
   * the client was closed for, a ProtocolError (the answer's body can't be read), what the serializer throws, or the reason of options.signal.
   */
  request<K extends RequestRoute<R>>(route: K, ...args: Args<RequestBody<R, K>, [options?: RequestOptions]>): Promise<ResponseBody<R, K>>;
  request<T>(route: UndeclaredRoute<R>, body?: unknown, options?: RequestOptions): Promise<T>;
  /** Sends a message that is not answered. It throws a BacklogError, or the reason that the client was closed for. */
  notify<K extends NotifyRoute<R>>(route: K, ...args: Args<NotifyBody<R, K>, []>): void;
  /**
   * The request `login` of the gate: with `{name, password}`, a token, or whatever its login takes; a function is called for that only when it is needed, to ask
   * the player for example.
   *
   * A client is one player's: where the node gives tokens, a login behind the first goes by the token of the one before, and credentials count only when that is not
   * good any more. Errors as for request, and what that function throws.
   */
  login(credentials: Credentials, options?: RequestOptions): Promise<LoginAnswer>;
}

/** How a client is. All of it is optional. */
export interface Options<R extends Routes = AnyRoutes> {
  /**
   * Runs at the begin of each session, the first and any that follows a lost one: log in here, and do what the game wants first. It speaks through the session
   * that it is given: what is asked of the client itself waits until enter is through.
   *
   * When it rejects with a RequestError that is no passing trouble, or with an error of the program, the client closes with that; after a TimeoutError and codes
   * like `busy` or `unavailable` it tries again with back-off. Give each try its own state: one that was cut short begins anew.
   */
  enter?: (session: Session<R>) => unknown;
  /**
   * Without `enter`: whether the client logs the same player in again by itself, with the token of its login, when a session was lost. Default true. When the token is not good any more,
   * the new session is nobody's, and its state has no `relogin`.
   */
  relogin?: boolean;
  /** Further addresses of the server, "wss://host/ws", tried in this order when the one of connect does not answer. What nodes tell of each other's addresses comes behind them. */
  also?: readonly string[];
  /** Is told each change of the client's state, the first while connect runs. */
  onState?: (state: State) => void;
  /** What handlers of the application throw, and pushes whose bodies can't be read. Default: reported as an uncaught error. */
  onError?: (error: unknown) => void;
  /** Says whether to come back after a loss or a kick with that reason; undefined: as the client would. */
  retry?: (reason: SkuaError) => boolean | undefined;
  /** How bodies are encoded. Default JSON. */
  serializer?: Serializer;
  /** Deadline of requests in ms. Default 10,000. */
  timeout?: number;
  /** How long a connection and its handshake may take, in ms. Default 10,000. */
  handshakeTimeout?: number;
  /** The longest package, and the longest inflated body, that is accepted, in bytes. Default 1 MiB. */
  maxPackage?: number;
  /** How many requests may wait for their answers. Default 128, as the gate has it. */
  maxPending?: number;
  /** What the handshake tells of the program. Default "skua-ts" and the version of this package. */
  name?: string;
  version?: string;
  /** Sent in the handshake as JSON, for the game. */
  user?: unknown;
  /** The class of sockets. Default: the platform's; Node has one from 22 on, before that use the package ws. */
  WebSocket?: SocketConstructor;
  /** Time, sockets and the page's events, for platforms with their own, and for tests. */
  environment?: Partial<Environment>;
}

/** Counters of a client. */
export interface Stats {
  requests: number;
  notifies: number;
  answers: number;
  late: number; // answers to requests that were given up
  pushes: number;
  unhandled: number; // pushes without a handler
  connections: number; // whose handshake was finished
  resumed: number; // of them
  lost: number; // sessions
  bytesIn: number; // of packages
  bytesOut: number;
}
