import assert from "node:assert/strict";
import { test } from "node:test";
import { join, play, watch } from "./play.js";
import { Server, response, type ServerOptions } from "./server.js";

const ERROR = 0x20; // flag of an answer

/** A server that gives tokens: each is good until it is in `stale`, with the code that it is refused with. */
function issuing(options: ServerOptions = {}) {
  const asked: any[] = []; // the bodies of logins
  const refuse: string[] = []; // the codes of the next logins by token
  const server = new Server({
    ...options,
    handle: (s, m, srv) => {
      if (m.route !== "login") {
        if (m.id) srv.answer(s, m.id, m.body ?? null);
        return;
      }
      asked.push(m.body);
      const code = m.body.token ? refuse.shift() : undefined;
      if (code) srv.data(s, response(m.id, { code, msg: "no" }, ERROR));
      else srv.answer(s, m.id, m.body.token ? { uid: "7", name: "ann" } : { uid: "7", name: "ann", token: `t${asked.length}`, expires: 2e9 });
    },
  });
  return { server, asked, refuse };
}

const lose = (server: Server, code = "resume_lost") => {
  server.session.ended = code;
  server.line.connection.cut();
};

test("a client whose session is lost is in again by the token of its login, and says so", async () => {
  const { server, asked } = issuing();
  const { client, states, names } = join(server);
  const login = watch(client.login({ name: "ann", password: "x" }));
  await server.world.until(() => login.done);
  lose(server);
  const flying = watch(client.request("echo", 1));
  await server.world.until(() => states.at(-1)?.name === "lost" || client.state.name === "connected");
  const next = watch(client.request("echo", 2)); // waits for the login
  await server.world.until(() => next.done);
  assert.deepEqual([flying.error?.name, flying.error?.code, next.value], ["SessionLostError", "resume_lost", 2]);
  assert.deepEqual(asked, [{ name: "ann", password: "x" }, { token: "t1" }]);
  assert.equal(names(), "connecting connected away lost connected");
  assert.deepEqual(states.at(-1), { name: "connected", relogin: true });
  assert.deepEqual(server.session.handled.map((m) => m.route), ["login", "echo"]);
  assert.deepEqual(await client.login({ name: "ann", password: "x" }), { uid: "7", name: "ann" }, "an application that logs in at each session is in already");
  assert.equal(asked.length, 2);
  lose(server);
  await server.world.until(() => asked.length === 3 && client.online);
  assert.deepEqual(asked[2], { token: "t1" }, "a login by token gives no new one");
  client.close();
});

test("enter asks the player once, and again only when the token is not good any more", async () => {
  for (const code of ["expired", "revoked", "bad_token"]) {
    const { server, asked, refuse } = issuing();
    let prompts = 0;
    const { client, states } = join(server, { enter: (session) => session.login(async () => ({ name: "ann", password: `x${++prompts}` })) });
    await server.world.until(() => client.online);
    assert.deepEqual(states.at(-1), { name: "connected" });
    lose(server);
    await server.world.until(() => states.filter((s) => s.name === "connected").length === 2);
    assert.deepEqual([prompts, states.at(-1)], [1, { name: "connected", relogin: true }]);
    refuse.push(code);
    lose(server);
    await server.world.until(() => states.filter((s) => s.name === "connected").length === 3);
    assert.deepEqual([prompts, states.at(-1)], [2, { name: "connected" }], code);
    assert.deepEqual(asked.slice(1), [{ token: "t1" }, { token: "t1" }, { name: "ann", password: "x2" }]);
    client.close();
  }
});

test("without enter a token that is not good leaves the login to the application, one that can't be looked at now is shown again", async () => {
  const { server, asked, refuse } = issuing();
  const { client, states } = join(server);
  const login = watch(client.login({ name: "ann" }));
  await server.world.until(() => login.done);
  refuse.push("busy", "unavailable");
  lose(server);
  await server.world.until(() => asked.length === 4 && client.online);
  assert.deepEqual(states.at(-1), { name: "connected", relogin: true });
  refuse.push("revoked");
  lose(server);
  await server.world.until(() => asked.length === 5 && client.online);
  assert.deepEqual(states.at(-1), { name: "connected" });
  const again = watch(client.login({ name: "ann" }));
  await server.world.until(() => again.done);
  assert.deepEqual([again.value?.uid, asked.at(-1)], ["7", { name: "ann" }]);
  client.close();
});

test("a player who is shut out stays out, and relogin: false asks for no login", async () => {
  const { server, refuse } = issuing();
  const { client } = join(server);
  const login = watch(client.login({ name: "ann" }));
  await server.world.until(() => login.done);
  refuse.push("banned");
  lose(server);
  await server.world.until(() => client.state.name === "closed");
  assert.deepEqual([(client.state as any).reason.name, (client.state as any).reason.code], ["RequestError", "banned"]);

  const other = issuing();
  const plain = join(other.server, { relogin: false });
  const first = watch(plain.client.login({ name: "ann" }));
  await other.server.world.until(() => first.done);
  lose(other.server);
  await other.server.world.until(() => plain.names().endsWith("lost connected"));
  await other.server.world.pass(100);
  assert.equal(other.asked.length, 1);
  plain.client.close();
});

test("a client that finds its player logged in elsewhere stays out", async () => {
  const { server, asked } = issuing();
  const { client } = join(server, { enter: (session) => session.login({ name: "ann" }) });
  await server.world.until(() => client.online);
  lose(server, "resume_replaced");
  await server.world.until(() => client.state.name === "closed");
  assert.deepEqual([(client.state as any).reason.name, (client.state as any).reason.code, asked.length], ["KickedError", "replaced", 1]);
});

test("when its node does not answer a client goes to the others that the node has told of, and to its own", async () => {
  const { server, client } = play({ also: ["ws://second/ws"] }, {
    welcome: (answer) => ({ ...answer, sys: { ...answer.sys, resume: { ...answer.sys.resume, addresses: ["tcp://third:1", "ws://third/ws", 7, "ws://server/ws"] } } }),
  });
  await server.world.until(() => client.online);
  const urls = () => server.world.connections.map((c) => c.url.slice(5, -3));
  server.world.cuts = ["refused", "refused"];
  server.line.connection.cut();
  await server.world.until(() => client.state.name === "resumed");
  assert.deepEqual(urls(), ["server", "server", "second", "third"]);
  server.world.cuts = ["refused"];
  server.line.connection.cut();
  await server.world.until(() => client.state.name === "away");
  await server.world.until(() => client.state.name === "resumed");
  assert.deepEqual(urls().slice(4), ["third", "server"], "the one that worked comes first");
  client.close();
});
