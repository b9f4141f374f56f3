// A client and a server in a world, for tests.
import { connect, type Client, type Options, type State } from "../src/index.js";
import { Server, type ServerOptions } from "./server.js";

export interface Play {
  server: Server;
  client: Client;
  states: State[];
  errors: unknown[];
  /** The names of the states so far, each once in a row. */
  names(): string;
}

export function play(options: Options = {}, serverOptions: ServerOptions = {}): Play {
  const server = new Server(serverOptions);
  return join(server, options);
}

export function join(server: Server, options: Options = {}): Play {
  const states: State[] = [];
  const errors: unknown[] = [];
  const client = connect("ws://server/ws", {
    environment: server.world.environment(),
    onError: (e) => errors.push(e),
    ...options,
    onState: (s) => {
      states.push(s);
      options.onState?.(s);
    },
  });
  return { server, client, states, errors, names: () => states.map((s) => s.name).filter((n, i, all) => n !== all[i - 1]).join(" ") };
}

/** What became of a promise. */
export function watch<T>(p: Promise<T>): { done: boolean; value?: T; error?: any } {
  const w: { done: boolean; value?: T; error?: any } = { done: false };
  p.then((value) => Object.assign(w, { done: true, value }), (error) => Object.assign(w, { done: true, error }));
  return w;
}
