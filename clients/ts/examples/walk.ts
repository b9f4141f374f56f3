// Walks about in the arena: `skua run` in one window, `npm ci && npm run example` in clients/ts in another.
import { WebSocket } from "ws"; // Node has a WebSocket of its own from 22 on
import { RequestError, connect } from "../src/index.js"; // in your own program: from "@skua-go/client"

interface Arena {
  requests: {
    enter: { request: object; response: { name: string; x: number; y: number } };
    move: { request: { dx: number; dy: number }; response: { x: number; y: number; n: number } };
    chat: { request: { text: string }; response: object };
  };
  pushes: {
    chat: { name: string; text: string };
  };
}

const [url = "ws://127.0.0.1:7080/ws", name = `walker${process.pid}`] = process.argv.slice(2);

const client = connect<Arena>(url, {
  WebSocket,
  // Runs at the begin of each session; one that comes back after a lost connection goes on without it.
  enter: async (session) => {
    const { uid } = await session.login({ name, password: `the secret of ${name}` });
    const seat = await session.request("enter", {});
    console.log(`${name}, player ${uid}, stands at ${seat.x},${seat.y}`);
  },
  onState: (state) => console.log(`state: ${state.name}`),
});

client.on("chat", (said) => console.log(`${said.name} says: ${said.text}`));

await client.ready(); // or rejects with the reason, if the name is somebody else's
for (const [dx, dy] of [[1, 0], [0, 1], [-1, 0], [0, -1]] as const) {
  const at = await client.request("move", { dx, dy });
  console.log(`step ${at.n}: ${at.x},${at.y}`);
}
try {
  await client.request("chat", { text: "" });
} catch (error) {
  if (error instanceof RequestError) console.log(`refused with ${error.code}: ${error.message}`);
}
await client.request("chat", { text: "hello from Node" }, { timeout: 3000 });
client.close();
