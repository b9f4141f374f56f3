// Paints pictures that the browser encodes, publishes them, and watches them over other connections, where the browser decodes them: page_test.go looks at studio.state.
import { connect, videoConfig } from "./skua.js";

const [PICTURES, GOP, WIDTH, HEIGHT, STEP] = [60, 30, 320, 240, 33_333]; // STEP in µs
const PATIENCE = 25_000; // ms
const url = location.origin.replace("http", "ws") + "/ws";
const state = { done: false, errors: [], shows: [] };
globalThis.studio = { state };

// The upper half says which picture it is, in two colors. The lower one is hard to encode, so that frames need more than one package.
const colors = (n) => [[n * 4, 255 - n * 4, 128], [255 - n * 4, 64, n * 4]];
const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

function noise() {
  const image = new ImageData(WIDTH, HEIGHT / 2);
  let seed = 1;
  for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : (seed = (seed * 48271) % 2147483647) & 255;
  return image;
}

/** Encodes the pictures; config is the codec's record, of codecs that have one. */
async function encode(codec) {
  const made = { chunks: [], config: undefined };
  let failed;
  const encoder = new VideoEncoder({
    error: (e) => (failed = e),
    output: (chunk, meta) => {
      made.chunks.push(chunk);
      made.config ??= meta?.decoderConfig?.description;
    },
  });
  encoder.configure(codec);
  const board = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d");
  board.putImageData(noise(), 0, HEIGHT / 2);
  for (let n = 0; n < PICTURES; n++) {
    colors(n).forEach((color, half) => {
      board.fillStyle = css(color);
      board.fillRect((half * WIDTH) / 2, 0, WIDTH / 2, HEIGHT / 2);
    });
    const picture = new VideoFrame(board.canvas, { timestamp: n * STEP });
    encoder.encode(picture, { keyFrame: n % GOP === 0 });
    picture.close();
  }
  await encoder.flush().catch((e) => { throw failed ?? e; });
  encoder.close();
  return made;
}

/** What a viewer sees of a room. */
class Screen {
  seen = { began: -1, frames: 0, keys: 0, largest: 0, decoded: 0, codec: "", wrong: [] };
  #track;
  #failed;
  #look = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { willReadFrequently: true });
  #decoder = new VideoDecoder({ error: (e) => (this.#failed = e), output: (picture) => this.#show(picture) });

  async watch(client, room) {
    await client.watch(room, { onFrame: (frame) => this.#take(frame), onEvent: (e) => { if (e.name !== "waiting") this.#failed ??= `${room}: ${JSON.stringify(e)}`; } });
  }

  /** Waits until so many frames have come, and been decoded. */
  async until(frames) {
    for (const end = performance.now() + PATIENCE; this.seen.frames < frames; await new Promise((next) => setTimeout(next, 5))) {
      if (this.#failed) throw this.#failed;
      if (performance.now() > end) throw new Error(`not in time: ${JSON.stringify(this.seen)}`);
    }
    await this.#decoder.flush().catch((e) => { throw this.#failed ?? e; });
    this.#decoder.close();
  }

  #take(frame) {
    if (this.#decoder.state === "closed") return;
    if (frame.track !== this.#track) {
      const config = videoConfig((this.#track = frame.track));
      this.seen.codec = config.codec;
      this.#decoder.configure(config);
    }
    if (this.seen.frames++ === 0) this.seen.began = Math.round(frame.timestamp / STEP);
    if (frame.type === "key") this.seen.keys++;
    this.seen.largest = Math.max(this.seen.largest, frame.data.length);
    this.#decoder.decode(new EncodedVideoChunk(frame));
  }

  #show(picture) {
    const n = this.seen.began + this.seen.decoded++;
    this.#look.drawImage(picture, 0, 0);
    if (Math.abs(picture.timestamp - n * STEP) > 1) this.seen.wrong.push(`picture ${n} is shown at ${picture.timestamp} µs`);
    picture.close();
    colors(n).forEach((want, half) => {
      const got = this.#look.getImageData(((1 + 2 * half) * WIDTH) / 4, HEIGHT / 4, 1, 1).data;
      if (want.some((c, i) => Math.abs(c - got[i]) > 24)) this.seen.wrong.push(`picture ${n}: ${css(got)}, expected ${css(want)}`);
    });
  }
}

const enter = (name) => connect(url, { enter: (session) => session.login({ name, password: `the secret of ${name}` }) });

/** One viewer is there from the begin, one comes when everything was published, and has to begin at the newest key frame. */
async function show(name, codec) {
  const { chunks, config } = await encode(codec);
  const clients = ["publisher", "viewer", "latecomer"].map((who) => enter(`${name}-${who}`));
  const publish = await clients[0].publish(name, { tracks: [{ codec: name, config, width: WIDTH, height: HEIGHT }] });
  const [early, late] = [new Screen(), new Screen()];
  await early.watch(clients[1], name);
  for (const [n, chunk] of chunks.entries()) if (!publish.write(0, chunk)) throw new Error(`picture ${n} of ${chunk.byteLength} bytes was left out`);
  await early.until(PICTURES);
  await late.watch(clients[2], name);
  await late.until(PICTURES - chunks.findLastIndex((chunk) => chunk.type === "key"));
  for (const client of clients) client.close();
  state.shows.push({ name, early: early.seen, late: late.seen });
}

const common = { width: WIDTH, height: HEIGHT, bitrate: 6_000_000, framerate: 30 };
const codecs = { vp8: { codec: "vp8", ...common }, h264: { codec: "avc1.42e01e", avc: { format: "avc" }, ...common } };
try {
  for (const [name, codec] of Object.entries(codecs)) {
    if (name === "vp8" || (await VideoEncoder.isConfigSupported(codec)).supported) await show(name, codec);
  }
} catch (e) {
  state.errors.push(String(e?.stack ?? e));
}
state.done = true;
