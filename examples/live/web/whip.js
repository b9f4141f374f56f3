// whip.js publishes a camera and a microphone, or a microphone alone, by WHIP (RFC 9725).

/** Describes why the browser gives no camera or microphone, for people. */
export function deviceProblem(error) {
  switch (error.name) {
    case "NotAllowedError": return "The browser may not use the camera or microphone. Allow it next to the page's address, then try again.";
    case "NotFoundError": return "There is no camera or microphone on this device.";
    case "NotReadableError": return "The camera or microphone is in use by another program.";
    default: return error.message;
  }
}

/** Brings an offer to a path, and gives where the session is and what the node has to say of it. */
export async function terms(pc, url) {
  await pc.setLocalDescription();
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: pc.localDescription.sdp });
  if (answer.status !== 201) throw await refusal(answer);
  await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  return { session: new URL(answer.headers.get("Location"), url).href, note: answer.headers.get("Skua-Note") || "" };
}

/** What a node that refuses says, as an error with `status`, which is 0 if it has no WebRTC. */
async function refusal(answer) {
  const error = new Error("This node has no WebRTC.");
  error.status = 0;
  if ((answer.headers.get("Content-Type") || "").startsWith("application/problem+json")) {
    const problem = await answer.json();
    error.status = answer.status;
    error.message = reason(problem.detail || problem.title || answer.statusText);
  }
  return error;
}

/** The last part of the node's reason is what the rules of the room have said. */
export const reason = (text) => text.split(": ").pop();

/** H.264 first: it is what viewers by HTTP-FLV and HLS can see. */
function preferH264(line) {
  const codecs = RTCRtpSender.getCapabilities?.("video")?.codecs;
  if (!codecs || !line.setCodecPreferences) return;
  const h264 = (c) => c.mimeType === "video/H264";
  line.setCodecPreferences([...codecs.filter(h264), ...codecs.filter((c) => !h264(c))]);
}

export class Publication {
  /** @param ended is told why it has ended, if that was not asked for. */
  constructor(stream, ended) {
    this.stream = stream;
    this.ended = ended;
  }

  async begin(url) {
    const pc = this.pc = new RTCPeerConnection();
    const events = pc.createDataChannel("events");
    events.onmessage = (e) => {
      const said = JSON.parse(e.data);
      if (said.event === "closed") this.#over(reason(said.reason));
    };
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === "failed" || pc.connectionState === "closed") this.#over("the connection is lost");
    };
    for (const track of this.stream.getTracks()) {
      const line = pc.addTransceiver(track, { direction: "sendonly", streams: [this.stream] });
      if (track.kind === "video") preferH264(line);
    }
    try {
      ({ session: this.session } = await terms(pc, url));
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  hush(on) {
    for (const track of this.stream.getAudioTracks()) track.enabled = !on;
  }

  end() {
    if (!this.pc) return;
    this.#stop();
    if (this.session) void fetch(this.session, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  #over(why) {
    if (!this.pc) return;
    this.#stop();
    this.ended(why);
  }

  #stop() {
    this.pc?.close();
    this.pc = null;
    for (const track of this.stream.getTracks()) track.stop();
  }
}
