// The errors that an application meets. All are SkuaErrors: `code` is for programs, `message` for people.

/** What every error of this package is. Its own direct instances are faults of use: no WebSocket on this platform, a body that can't be encoded. */
export class SkuaError extends Error {
  /** For programs; which codes there are is with each class. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message || code, options);
    this.name = "SkuaError";
    this.code = code;
  }
}

/** The answer to a request is an error: what the game, or the gate in its place, says to it. The codes are the game's, and those of docs/protocol.md. */
export class RequestError extends SkuaError {
  readonly route: string;

  constructor(route: string, code: string, message: string) {
    super(code || "error", message);
    this.name = "RequestError";
    this.route = route;
  }
}

/** No answer came in time (code `timeout`). Whether the request was handled is not known. */
export class TimeoutError extends SkuaError {
  readonly route: string;
  /** How long it was waited for, in ms. */
  readonly timeout: number;

  constructor(route: string, timeout: number) {
    super("timeout", `no answer to "${route}" within ${timeout} ms`);
    this.name = "TimeoutError";
    this.route = route;
    this.timeout = timeout;
  }
}

/** Too much waits to be sent, or for answers (code `backlog`): the request or notify was not sent. */
export class BacklogError extends SkuaError {
  constructor(message: string) {
    super("backlog", message);
    this.name = "BacklogError";
  }
}

/**
 * The session is gone: what was in flight was handled or not, nobody knows. Codes: the server's `resume_unknown`, `resume_overflow`, `resume_replaced`,
 * `resume_ended`, `resume_lost` (its server is dead); and `no_resume`, when the server keeps no sessions and the connection was lost (`cause` tells how).
 */
export class SessionLostError extends SkuaError {
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = "SessionLostError";
  }
}

/** The server has closed the connection and says why. The codes are those of docs/protocol.md, and the game's. */
export class KickedError extends SkuaError {
  /** Where the client goes on after the code `moved`; it goes there by itself. */
  readonly addresses: readonly string[];

  constructor(code: string, message: string, addresses: readonly string[] = []) {
    super(code || "kicked", message || "the server gives no reason");
    this.name = "KickedError";
    this.addresses = addresses;
  }
}

/** There is no connection: it could not be made, or is broken. Codes: `unreachable`, `handshake_timeout`, `silent`, `server_closed`, `unsendable`. */
export class ConnectionError extends SkuaError {
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = "ConnectionError";
  }
}

/** The connection has ended, and nobody said why (code `server_closed`). */
export class ServerClosedError extends ConnectionError {
  /** The WebSocket's close code; 1006 when it broke off. */
  readonly closeCode: number;

  constructor(closeCode: number, reason: string) {
    super("server_closed", `the connection was closed with code ${closeCode}${reason ? `: ${reason}` : ""}`);
    this.name = "ServerClosedError";
    this.closeCode = closeCode;
  }
}

/** The server refuses the handshake. Codes: `client_too_old`, `refused`, `serializer` (it encodes bodies otherwise than this client). */
export class HandshakeError extends SkuaError {
  /** The `code` of the server's handshake, 501 for a client that is too old. */
  readonly status: number;

  constructor(code: string, status: number, message: string) {
    super(code, message);
    this.name = "HandshakeError";
    this.status = status;
  }
}

/** The server's bytes make no sense (code `protocol`), or a body can't be read (code `body`). */
export class ProtocolError extends SkuaError {
  constructor(message: string, options?: ErrorOptions & { code?: "protocol" | "body" }) {
    super(options?.code ?? "protocol", message, options);
    this.name = "ProtocolError";
  }
}

/** The client was closed by close() (code `closed`), or its `enter` has failed (code `enter_failed`, `cause` has the error). */
export class ClosedError extends SkuaError {
  constructor(code: "closed" | "enter_failed", message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.name = "ClosedError";
  }
}

/** A room can't be watched or published to, or it has ended. Codes: `no_rooms` (the server has none), `closed` (by close()), and the server's, which docs/protocol.md has. */
export class RoomError extends SkuaError {
  readonly room: string;

  constructor(room: string, code: string, message: string, options?: ErrorOptions) {
    super(code || "ended", message, options);
    this.name = "RoomError";
    this.room = room;
  }
}
