// Types of a game's routes. A game declares one interface, and requests, notifies and pushes are checked against it:
//
//   interface Arena {
//     requests: { move: { request: { dx: number; dy: number }; response: { x: number; y: number } } };
//     notifies: { look: { angle: number } };
//     pushes: { moved: { id: string; x: number; y: number } };
//   }
//   const client = connect<Arena>("wss://...");
//   const { x } = await client.request("move", { dx: 1, dy: 0 });

/** What such an interface may have; a part that is missing means that there are none. */
export interface Routes {
  requests?: object;
  notifies?: object;
  pushes?: object;
}

/** The routes of a game that has not said which it has: all, with any body. */
export interface AnyRoutes {
  requests: Record<string, { request: any; response: any }>;
  notifies: Record<string, any>;
  pushes: Record<string, any>;
}

type Part<R, P extends keyof Routes> = R extends { [K in P]: infer M } ? M : {};

/** The names of a game's requests, notifies and pushes. */
export type RequestRoute<R> = keyof Part<R, "requests"> & string;
export type NotifyRoute<R> = keyof Part<R, "notifies"> & string;
export type PushRoute<R> = keyof Part<R, "pushes"> & string;

/** The bodies of a route. */
export type RequestBody<R, K extends RequestRoute<R>> = Part<R, "requests">[K] extends { request: infer B } ? B : undefined;
export type ResponseBody<R, K extends RequestRoute<R>> = Part<R, "requests">[K] extends { response: infer B } ? B : unknown;
export type NotifyBody<R, K extends NotifyRoute<R>> = Part<R, "notifies">[K];
export type PushBody<R, K extends PushRoute<R>> = Part<R, "pushes">[K];

/** A body and what follows it, where the body may be left out if its type lets it. */
export type Args<B, Rest extends unknown[]> = undefined extends B ? [body?: B, ...rest: Rest] : [body: B, ...rest: Rest];

/** Any route where none were declared, else none. */
export type UndeclaredRoute<R> = string extends RequestRoute<R> ? string : never;
