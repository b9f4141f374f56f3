// Tracks as WebCodecs names them (WebCodecs Codec Registry; RFC 6381; ISO/IEC 14496-15, annex E).

/** A sequence of frames: pictures or sound. */
export interface Track {
  /** Its number in the room; of a publisher its index. */
  readonly id: number;
  readonly kind: "video" | "audio";
  /** h264, h265, av1, vp8, vp9, aac, opus or mp3. */
  readonly codec: string;
  /** The codec's record, which WebCodecs calls a description: avcC, hvcC, AudioSpecificConfig. */
  readonly config?: Uint8Array;
  readonly group: number;
  readonly layer: number;
  readonly width: number; // 0: not known, as of the other two
  readonly height: number;
  readonly sampleRate: number;
  readonly channels: number;
}

/** What a publisher says of a track. */
export interface TrackInit {
  codec: string;
  config?: Uint8Array | ArrayBuffer | ArrayBufferView;
  group?: number;
  layer?: number;
  width?: number;
  height?: number;
  sampleRate?: number;
  channels?: number;
}

/** The configuration of a VideoDecoder, as far as it follows from a track. */
export interface VideoConfig {
  codec: string;
  codedWidth?: number;
  codedHeight?: number;
  description?: Uint8Array;
}

/** That of an AudioDecoder. */
export interface AudioConfig {
  codec: string;
  sampleRate: number;
  numberOfChannels: number;
  description?: Uint8Array;
}

/** What `new VideoDecoder(...).configure` takes for a track of pictures. */
export function videoConfig(t: Track): VideoConfig {
  const config: VideoConfig = { codec: codecString(t) };
  if (t.width > 0 && t.height > 0) Object.assign(config, { codedWidth: t.width, codedHeight: t.height });
  if ((t.codec === "h264" || t.codec === "h265") && t.config) config.description = t.config;
  return config;
}

/** What `new AudioDecoder(...).configure` takes for a track of sound. */
export function audioConfig(t: Track): AudioConfig {
  const config: AudioConfig = { codec: codecString(t), sampleRate: t.sampleRate || 48_000, numberOfChannels: t.channels || 2 };
  if (t.codec !== "mp3" && t.config?.length) config.description = t.config;
  return config;
}

/** The name of a track's codec in WebCodecs and in MIME types. */
export function codecString(t: Track): string {
  const c = t.config ?? new Uint8Array(0);
  switch (t.codec) {
    case "h264":
      return c.length >= 4 ? `avc1.${hex(c[1]!)}${hex(c[2]!)}${hex(c[3]!)}` : "avc1.42e01e";
    case "h265":
      return c.length >= 13 ? hevc(c) : "hvc1.1.6.L93.B0";
    case "av1":
      return c.length >= 4 ? av1(c) : "av01.0.04M.08";
    case "vp9":
      return c.length >= 7 ? `vp09.${two(c[4]!)}.${two(c[5]!)}.${two(c[6]! >> 4)}` : "vp09.00.10.08";
    case "aac":
      return `mp4a.40.${c.length >= 2 ? objectType(c) : 2}`;
    default:
      return t.codec; // vp8, opus, mp3
  }
}

const hex = (n: number) => n.toString(16).padStart(2, "0");
const two = (n: number) => String(n).padStart(2, "0");

function hevc(c: Uint8Array): string {
  const space = ["", "A", "B", "C"][c[1]! >> 6]!;
  let flags = 0; // in reverse order
  for (let i = 0; i < 32; i++) flags += (c[2 + (i >> 3)]! >> (7 - (i & 7))) & 1 ? 2 ** i : 0;
  let constraints = [...c.subarray(6, 12)];
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  const tail = constraints.map((b) => `.${b.toString(16).toUpperCase()}`).join("");
  return `hvc1.${space}${c[1]! & 0x1f}.${flags.toString(16).toUpperCase()}.${c[1]! & 0x20 ? "H" : "L"}${c[12]}${tail}`;
}

function av1(c: Uint8Array): string {
  const [profile, level, tier] = [c[1]! >> 5, c[1]! & 0x1f, c[2]! >> 7 ? "H" : "M"];
  const depth = c[2]! & 0x40 ? (profile === 2 && c[2]! & 0x20 ? 12 : 10) : 8;
  return `av01.${profile}.${two(level)}${tier}.${two(depth)}`;
}

function objectType(c: Uint8Array): number {
  const type = c[0]! >> 3;
  return type === 31 ? 32 + (((c[0]! & 7) << 3) | (c[1]! >> 5)) : type;
}
