// The client of Skua for browsers and Node. README.md has an example, docs/clients.md the concepts, docs/protocol.md the bytes.
export { connect, type Client } from "./client.js";
export type { RequestOptions } from "./calls.js";
export type { Environment, SocketConstructor, SocketLike } from "./environment.js";
export {
  BacklogError, ClosedError, ConnectionError, HandshakeError, KickedError, ProtocolError, RequestError, RoomError, ServerClosedError, SessionLostError, SkuaError,
  TimeoutError,
} from "./errors.js";
export { audioConfig, codecString, videoConfig, type AudioConfig, type Track, type TrackInit, type VideoConfig } from "./codecs.js";
export type { EncodedChunk, Frame, FrameInit, Publish, PublishOptions, RoomEvent, Watch, WatchOptions } from "./rooms.js";
export type { Credentials, LoginAnswer, Options, Session, Stats } from "./options.js";
export { json, raw, type BodyOf, type Serializer } from "./serializer.js";
export type {
  AnyRoutes, NotifyBody, NotifyRoute, PushBody, PushRoute, RequestBody, RequestRoute, ResponseBody, Routes,
} from "./routes.js";
export type { State } from "./state.js";
