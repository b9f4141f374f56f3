// The client: one session after the other, each over one connection after the other, and an application that need not know.
import { Addresses } from "./addresses.js";
import { Calls, checkTimeout, type RequestOptions } from "./calls.js";
import { environment, type Environment } from "./environment.js";
import {
  BacklogError, ClosedError, ConnectionError, HandshakeError, KickedError, ProtocolError, RequestError, SessionLostError, SkuaError, TimeoutError,
} from "./errors.js";
import { encodeHello, type Resume, type Welcome } from "./handshake.js";
import { Inbox } from "./inbox.js";
import { Link } from "./link.js";
import { Numbering } from "./numbering.js";
import type { MediaOffer } from "./media.js";
import type { Credentials, LoginAnswer, Options, Session, Stats } from "./options.js";
import { Dictionary, HEADER, RESPONSE, checkMessage, decodeMessage, decodeReason, encodeMessage, type Incoming, type Outgoing } from "./packet.js";
import { Relogin, reenter } from "./relogin.js";
import { Rooms, type Publish, type PublishOptions, type Watch, type WatchOptions } from "./rooms.js";
import type {
  AnyRoutes, Args, NotifyBody, NotifyRoute, PushBody, PushRoute, RequestBody, RequestRoute, ResponseBody, Routes, UndeclaredRoute,
} from "./routes.js";
import { json, type Serializer } from "./serializer.js";
import { AFTER_KICK, STABLE, backoff, temporary, welcomeBack, type State } from "./state.js";
import { Waiting } from "./waiting.js";

const VERSION = "0.1.0";

/** What may wait before there is a session. */
const WAITING = { packages: 1024, bytes: 1 << 18 };
const MAX_UNSENT = 1 << 20; // bytes in the socket, when the server keeps no sessions
const MAX_INBOX = 4 << 20; // bytes

type Handler = (body: any) => void;

/** Opens a client for "ws://host/ws" or "wss://host/ws". It throws for a URL that is none, and where there is no WebSocket; all else are states. */
export function connect<R extends Routes = AnyRoutes>(url: string, options: Options<R> = {}): Client<R> {
  return new Client<R>(url, options);
}

/** A client of one server, from connect to close. It may be used right away: what is asked of it waits until there is a session. */
export class Client<R extends Routes = AnyRoutes> implements Session<R> {
  readonly #addresses: Addresses;
  readonly #relogin = new Relogin();
  readonly #options: Options<R>;
  readonly #env: Environment;
  readonly #serializer: Serializer;
  readonly #inbox: Inbox;
  readonly #calls: Calls;
  readonly #rooms: Rooms;
  #offer: MediaOffer | null = null; // of the connection
  readonly #stats: Stats = {
    requests: 0, notifies: 0, answers: 0, late: 0, pushes: 0, unhandled: 0, connections: 0, resumed: 0, lost: 0, bytesIn: 0, bytesOut: 0,
  };
  readonly #handlers = new Map<string, Set<Handler>>();
  readonly #anyHandlers = new Set<(route: string, body: any) => void>();
  readonly #stateHandlers = new Set<(state: State) => void>();

  #state: State = { name: "connecting", attempt: 0, retryIn: 0, reason: null };
  #link: Link | null = null;
  #retry: (() => void) | null = null; // cancels the next attempt
  #attempt = 0;
  #dictionary = new Dictionary();
  #numbering: Numbering | null = null; // of the session, if the server keeps it
  #entered = false; // the session is the application's,
  #announced = false; // and it has been told so
  #session = 0; // goes up with each session
  readonly #waiting = new Waiting(WAITING);
  #rtt = 0;
  #unwatch: () => void = () => {};

  /** Use connect. */
  constructor(url: string, options: Options<R>) {
    this.#addresses = new Addresses([url, ...(options.also ?? [])]);
    this.#options = { ...options };
    this.#env = environment(options.environment, options.WebSocket);
    this.#serializer = options.serializer ?? json;
    checkTimeout(options.timeout ?? 1);
    checkTimeout(options.handshakeTimeout ?? 1);
    this.#calls = new Calls(this.#env);
    this.#rooms = new Rooms(this.#env, {
      send: (pkg) => this.#link?.send(pkg),
      buffered: () => this.#link?.buffered ?? 0,
      call: (f) => this.#call(f),
    });
    this.#inbox = new Inbox(this.#maxPackage, Math.max(MAX_INBOX, this.#maxPackage), {
      deliver: (message, body) => this.#deliver(message, body),
      unreadable: (message, error) => this.#unreadable(message, error),
      broken: (error) => this.#finish(error),
      ended: (reason) => this.#ended(reason),
    });
    if (options.onState) this.#stateHandlers.add(options.onState);
    this.#link = this.#open();
    this.#unwatch = this.#env.watch(() => this.#wake(), () => this.#link?.probe());
    this.#set(this.#state);
  }

  /** What the client is doing. */
  get state(): State {
    return this.#state;
  }

  /** There is a session, and a connection. */
  get online(): boolean {
    return this.#state.name === "connected" || this.#state.name === "resumed";
  }

  /** Round trip of the last heartbeat, in ms; 0 while unknown. Servers that do not answer heartbeats leave it so. */
  get rtt(): number {
    return this.#rtt;
  }

  /** The counters so far, a copy. */
  get stats(): Stats {
    const { bytesIn = 0, bytesOut = 0 } = this.#link ?? {};
    return { ...this.#stats, bytesIn: this.#stats.bytesIn + bytesIn, bytesOut: this.#stats.bytesOut + bytesOut };
  }

  request<K extends RequestRoute<R>>(route: K, ...args: Args<RequestBody<R, K>, [options?: RequestOptions]>): Promise<ResponseBody<R, K>>;
  request<T>(route: UndeclaredRoute<R>, body?: unknown, options?: RequestOptions): Promise<T>;
  request(route: string, body?: unknown, options: RequestOptions = {}): Promise<any> {
    return this.#request(route, body, options, null);
  }

  notify<K extends NotifyRoute<R>>(route: K, ...args: Args<NotifyBody<R, K>, []>): void;
  notify(route: string, body?: unknown): void {
    this.#notify(route, body, null);
  }

  login(credentials: Credentials, options: RequestOptions = {}): Promise<LoginAnswer> {
    return this.#login(credentials, options, null);
  }

  /**
   * Watches a room over this connection: resolves when the server has let us in, rejects with a RoomError when it has not. Frames begin at the newest key frame, and do so again after a lost
   * connection.
   */
  watch(room: string, options: WatchOptions = {}): Promise<Watch> {
    return this.#state.name === "closed" ? Promise.reject(this.#state.reason) : this.#rooms.watch(room, options);
  }

  /** Publishes to a room over this connection, likewise. */
  publish(room: string, options: PublishOptions): Promise<Publish> {
    return this.#state.name === "closed" ? Promise.reject(this.#state.reason) : this.#rooms.publish(room, options);
  }

  /**
   * Calls handler with each push of a route, in the order of arrival, until the returned function is called. A route may have several. An await of an answer
   * that came before a push goes on before the push's handlers run.
   */
  on<K extends PushRoute<R>>(route: K, handler: (body: PushBody<R, K>) => void): () => void {
    const handlers = this.#handlers.get(route) ?? new Set();
    this.#handlers.set(route, handlers);
    return listen(handlers, handler as Handler);
  }

  /** The same for all pushes, after the handlers of their routes. */
  onAny(handler: (route: string, body: any) => void): () => void {
    return listen(this.#anyHandlers, handler);
  }

  /** Calls handler with each change of the state. */
  onState(handler: (state: State) => void): () => void {
    return listen(this.#stateHandlers, handler);
  }

  /** Resolves when the client is online, at once if it is; rejects with the reason when it closes before. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = (state: State) => {
        if (this.online) resolve();
        else if (state.name === "closed") reject(state.reason);
        else return false;
        return true;
      };
      if (settled(this.#state)) return;
      const off = this.onState((state) => settled(state) && off());
    });
  }

  /**
   * Leaves for good: what waits for answers is rejected with a ClosedError, and the server forgets the session. It can't be told while there is no connection;
   * then the session waits there until its window is over. A second call does nothing.
   */
  close(): void {
    this.#finish(new ClosedError("closed", "the client was closed"));
  }

  // --- Out: session is the one of an `enter` that speaks, null the application ---

  #login(credentials: Credentials, options: RequestOptions, session: number | null): Promise<LoginAnswer> {
    return this.#relogin.login(credentials, (body) => this.#request("login", body, options, session));
  }

  #request(route: string, body: unknown, options: RequestOptions, session: number | null): Promise<any> {
    try {
      const timeout = checkTimeout(options.timeout ?? this.#options.timeout ?? 10_000);
      options.signal?.throwIfAborted();
      this.#usable(session);
      const most = this.#options.maxPending ?? 128;
      if (this.#calls.size >= most) throw new BacklogError(`${most} requests wait for their answers already`);
      const bytes = this.#encode(body, "request", route);
      const { id, promise } = this.#calls.add(route, timeout, options.signal, (given) => this.#waiting.withdraw(given));
      try {
        this.#send({ id, route, body: bytes }, session !== null);
        this.#stats.requests++;
      } catch (error) {
        this.#calls.take(id)?.settle((_, reject) => reject(error));
      }
      return promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #notify(route: string, body: unknown, session: number | null): void {
    this.#usable(session);
    this.#send({ id: 0, route, body: this.#encode(body, "notify", route) }, session !== null);
    this.#stats.notifies++;
  }

  #usable(session: number | null): void {
    if (this.#state.name === "closed") throw this.#state.reason;
    if (session !== null && session !== this.#session) throw new SessionLostError("no_resume", "the session that this speaks in has ended");
  }

  #encode(body: unknown, kind: "request" | "notify", route: string): Uint8Array {
    return body instanceof Uint8Array ? body.slice() : this.#serializer.encode(body, { kind, route });
  }

  #send(m: Outgoing, first: boolean): void {
    checkMessage(m);
    if (!this.#entered && !first) {
      this.#waiting.add(m);
      return;
    }
    if (this.#numbering) this.#numbering.ring.push(m);
    else if (this.#link && this.#link.buffered > MAX_UNSENT) throw new BacklogError(`${this.#link.buffered} bytes wait in the socket`);
    this.#link?.send(encodeMessage(m, this.#dictionary));
  }

  #flush(): void {
    for (const m of this.#waiting.take()) {
      try {
        this.#send(m, false);
      } catch (error) {
        if (m.id > 0) this.#calls.take(m.id)?.settle((_, reject) => reject(error));
        else this.#report(error);
      }
    }
  }

  // --- In ---

  #data(body: Uint8Array): void {
    const message = decodeMessage(body, this.#dictionary);
    const due = this.#numbering?.count(HEADER + body.length) ?? false;
    this.#inbox.push(message);
    if (due) this.#tell();
  }

  // Acknowledges what has come, if there is news.
  #tell(): void {
    const n = this.#numbering?.news() ?? 0;
    if (n > 0) this.#link?.ack(n);
  }

  #deliver(message: Incoming, bytes: Uint8Array): boolean {
    if (message.type === RESPONSE) return this.#answer(message, bytes);
    this.#stats.pushes++;
    const handlers = this.#handlers.get(message.route);
    if (!handlers?.size && !this.#anyHandlers.size) {
      this.#stats.unhandled++;
      return false;
    }
    let body: unknown;
    try {
      body = this.#serializer.decode(bytes, { kind: "push", route: message.route });
    } catch (cause) {
      this.#unreadable(message, new ProtocolError(`the body of the push "${message.route}" can't be read: ${String(cause)}`, { cause, code: "body" }));
      return false;
    }
    for (const handler of [...(handlers ?? [])]) this.#call(() => handler(body));
    for (const handler of [...this.#anyHandlers]) this.#call(() => handler(message.route, body));
    return false;
  }

  #answer(message: Incoming, bytes: Uint8Array): boolean {
    const call = this.#calls.take(message.id);
    if (!call) {
      this.#stats.late++;
      return false;
    }
    this.#stats.answers++;
    const { route } = call;
    call.settle((resolve, reject) => {
      try {
        if (message.error) {
          const { code, message: msg } = this.#serializer.decodeError?.(bytes) ?? decodeReason(bytes);
          reject(new RequestError(route, code, msg));
          return;
        }
        const answer = this.#serializer.decode(bytes, { kind: "response", route });
        if (route === "login") this.#relogin.admitted(answer);
        resolve(answer);
      } catch (cause) {
        reject(new ProtocolError(`the body of the answer to "${route}" can't be read: ${String(cause)}`, { cause, code: "body" }));
      }
    });
    return true;
  }

  #unreadable(message: Incoming, error: SkuaError): void {
    const call = message.type === RESPONSE ? this.#calls.take(message.id) : undefined;
    if (call) call.settle((_, reject) => reject(error));
    else this.#report(error);
  }

  // --- Connections and sessions ---

  #open(): Link {
    const { name = "skua-ts", version = VERSION, user, handshakeTimeout = 10_000 } = this.#options;
    const hello = encodeHello({ name, version, user, resume: this.#numbering?.claim() ?? null });
    const config = { url: this.#addresses.next(), hello, maxPackage: this.#maxPackage, handshakeTimeout };
    const link: Link = new Link(this.#env, config, {
      welcome: (w) => this.#welcome(link, w),
      data: (body) => this.#data(body),
      media: (body) => this.#rooms.receive(body),
      ack: (n) => {
        if (!this.#numbering) throw new ProtocolError("an ack from a server that keeps no sessions");
        this.#numbering.ring.acknowledge(n);
      },
      beat: () => this.#tell(),
      rtt: (ms) => {
        this.#rtt = ms;
      },
      ended: (reason) => this.#inbox.end(reason),
    });
    return link;
  }

  get #maxPackage(): number {
    return this.#options.maxPackage ?? 1 << 20;
  }

  #welcome(link: Link, w: Welcome): void {
    if (w.serializer && w.serializer !== this.#serializer.name) {
      throw new HandshakeError("serializer", 200, `the server's bodies are ${w.serializer}, this client's ${this.#serializer.name}`);
    }
    this.#addresses.answered(w.resume?.addresses ?? [], this.#env.random());
    this.#offer = w.media;
    const before = this.#numbering;
    if (w.resume?.resumed) {
      if (!before) throw new ProtocolError("the server resumes a session that there was not");
      this.#resume(link, w, w.resume, before);
      return;
    }
    if (w.resume?.refused?.code === "resume_replaced") { // the kick that said so has not reached us; we don't throw the other out in turn
      this.#finish(new KickedError("replaced", w.resume.refused.message));
      return;
    }
    if (before) {
      this.#lose(refusal(w.resume));
      if (this.#link !== link) return; // the application has closed us
    }
    this.#dictionary = w.dictionary;
    this.#numbering = w.resume && new Numbering(w.resume);
    link.acknowledge(w.heartbeat);
    this.#stats.connections++;
    this.#enter();
  }

  #resume(link: Link, w: Welcome, r: Resume, numbering: Numbering): void {
    if (!numbering.ring.reaches(r.received)) {
      throw new ProtocolError(`the server resumes with ${r.received} of our messages, of which it had acknowledged more or which were not sent`);
    }
    this.#dictionary = w.dictionary;
    numbering.resume(r);
    link.acknowledge(w.heartbeat);
    for (const m of numbering.ring) link.send(encodeMessage(m, w.dictionary));
    this.#stats.connections++;
    this.#stats.resumed++;
    this.#openRooms();
    if (this.#announced && this.#link === link && link.open) this.#set({ name: "resumed" });
    else this.#announce(); // enter was through when there was no connection
  }

  #enter(): void {
    const session = ++this.#session;
    this.#relogin.begin();
    const { enter = this.#relogin.possible && this.#options.relogin !== false ? reenter : undefined } = this.#options;
    if (!enter) {
      this.#opened();
      return;
    }
    const speak = {
      request: (route: string, body?: unknown, options: RequestOptions = {}) => this.#request(route, body, options, session),
      notify: (route: string, body?: unknown) => this.#notify(route, body, session),
      login: (credentials: Credentials, options: RequestOptions = {}) => this.#login(credentials, options, session),
    } as Session<R>;
    (async () => enter(speak))().then(
      () => session === this.#session && this.#opened(),
      (error: unknown) => session === this.#session && this.#notEntered(error),
    );
  }

  #opened(): void {
    this.#entered = true;
    this.#flush();
    this.#openRooms();
    this.#announce();
  }

  #openRooms(): void {
    if (this.#entered && this.#link?.open) this.#rooms.opened(this.#offer);
  }

  #announce(): void {
    if (!this.#entered || this.#announced || !this.#link?.open) return;
    this.#announced = true;
    this.#set(this.#relogin.done ? { name: "connected", relogin: true } : { name: "connected" });
  }

  #notEntered(error: unknown): void {
    if (!(error instanceof SkuaError)) {
      this.#finish(new ClosedError("enter_failed", `enter has failed: ${String(error)}`, { cause: error }));
      return;
    }
    if (!(error instanceof TimeoutError) && !(error instanceof RequestError && temporary(error.code))) {
      this.#finish(error);
      return;
    }
    // The session is of no use to anybody: the next attempt begins with a new one.
    this.#lose(new SessionLostError("no_resume", `enter has failed: ${error.message}`, { cause: error }));
    this.#drop(true);
    this.#later(error);
  }

  #ended(reason: SkuaError): void {
    const stable = (this.#link?.age ?? 0) >= STABLE;
    this.#drop(false);
    const otherwise = reason instanceof KickedError ? welcomeBack(reason.code) : reason instanceof ConnectionError;
    if (!(this.#options.retry?.(reason) ?? otherwise)) {
      this.#finish(reason);
      return;
    }
    if (!this.#numbering) this.#lose(new SessionLostError("no_resume", `the server keeps no sessions, and ${reason.message}`, { cause: reason }));
    if (this.#state.name === "closed") return; // by a handler
    if (stable) this.#attempt = 0;
    if (reason instanceof KickedError && reason.code === "moved") {
      this.#addresses.moved(reason.addresses, this.#env.random());
      this.#attempt = 0;
    } else if (reason instanceof KickedError) this.#attempt = Math.max(this.#attempt, AFTER_KICK);
    this.#later(reason);
  }

  // Ends the session: what was sent in it fails, what was not waits on.
  #lose(reason: SessionLostError): void {
    const announced = this.#announced;
    this.#numbering = null;
    this.#entered = this.#announced = false;
    this.#session++;
    this.#inbox.clear();
    this.#calls.fail(reason, (id) => !this.#waiting.has(id));
    if (!announced) return;
    this.#stats.lost++;
    this.#set({ name: "lost", reason });
  }

  #drop(goodbye: boolean): void {
    const link = this.#link;
    this.#link = null;
    this.#rtt = 0;
    this.#rooms.away();
    if (!link) return;
    this.#stats.bytesIn += link.bytesIn;
    this.#stats.bytesOut += link.bytesOut;
    link.close(goodbye);
  }

  #later(reason: SkuaError): void {
    const wait = backoff(this.#attempt, this.#env.random());
    this.#attempt++;
    this.#retry?.();
    this.#retry = this.#env.after(wait, () => this.#again());
    const trying = { attempt: this.#attempt, retryIn: wait, reason };
    if (this.#announced && this.#numbering) this.#set({ name: "away", ...trying, window: this.#numbering.window });
    else this.#set({ name: "connecting", ...trying });
  }

  #again(): void {
    this.#retry = null;
    try {
      this.#link = this.#open();
    } catch (cause) {
      this.#later(new ConnectionError("unreachable", `can't connect to ${this.#addresses.at}: ${String(cause)}`, { cause }));
    }
  }

  // The network or the page's window is back.
  #wake(): void {
    if (!this.#retry) {
      this.#link?.probe();
      return;
    }
    this.#retry();
    this.#attempt = 0;
    this.#again();
  }

  #finish(reason: SkuaError): void {
    if (this.#state.name === "closed") return;
    this.#retry?.();
    this.#retry = null;
    this.#unwatch();
    this.#drop(true);
    this.#numbering = null;
    this.#entered = this.#announced = false;
    this.#session++;
    this.#inbox.clear();
    this.#waiting.take();
    this.#state = { name: "closed", reason };
    this.#calls.fail(reason);
    this.#rooms.end(reason);
    this.#set(this.#state);
  }

  // --- The application's handlers ---

  // Calls the handlers of the state. It is the last thing that its callers do: a handler may close the client.
  #set(state: State): void {
    this.#state = state;
    for (const handler of [...this.#stateHandlers]) {
      if (this.#state !== state) return; // a handler has changed it, and they have heard
      this.#call(() => handler(state));
    }
  }

  #call(f: () => void): void {
    try {
      f();
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    if (this.#options.onError) {
      try {
        this.#options.onError(error);
        return;
      } catch (worse) {
        error = worse;
      }
    }
    queueMicrotask(() => {
      throw error;
    });
  }
}

function listen<H>(handlers: Set<H>, handler: H): () => void {
  if (typeof handler !== "function") throw new TypeError(`a handler of type ${typeof handler}, expected a function`);
  handlers.add(handler);
  return () => void handlers.delete(handler);
}

function refusal(r: Resume | null): SessionLostError {
  if (!r) return new SessionLostError("no_resume", "the server keeps no sessions any more");
  return new SessionLostError(r.refused?.code || "resume_unknown", r.refused?.message || "the server does not know the session");
}
