// Makes the files that pages load as they are: those of the arena and of the live rooms. `node bundle.mjs --check` only says whether they are up to date.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const client = {
  entryPoints: [here("src/index.ts")],
  target: "es2022",
  legalComments: "none",
  banner: { js: "// The client of Skua as one file. Made from clients/ts/src by `npm run bundle` in clients/ts; don't change it here." },
};
const players = {
  stdin: {
    contents: `export { default as mpegts } from "mpegts.js"; export { default as Hls } from "hls.js/light";`,
    resolveDir: here("."),
  },
  target: "es2020",
  minify: true,
  legalComments: "eof",
  banner: {
    js: "// mpegts.js (https://github.com/xqq/mpegts.js) and hls.js (https://github.com/video-dev/hls.js) as one file, unchanged; both Apache-2.0:\n" +
      "// http://www.apache.org/licenses/LICENSE-2.0. Made by `npm run bundle` in clients/ts, whose package.json has their versions; don't change it here.",
  },
};
const targets = {
  "../../examples/arena/web/skua.js": client,
  "../../examples/live/web/skua.js": client,
  "../../examples/live/web/players.js": players,
};

for (const [path, options] of Object.entries(targets)) {
  const { outputFiles } = await build({ bundle: true, write: false, format: "esm", platform: "browser", charset: "utf8", absWorkingDir: here("."), ...options });
  const target = here(path), made = outputFiles[0].text;
  if (!process.argv.includes("--check")) {
    await writeFile(target, made);
  } else if (made !== (await readFile(target, "utf8").catch(() => ""))) {
    console.error(`${target} is not what clients/ts makes: npm run bundle`);
    process.exitCode = 1;
  }
}
