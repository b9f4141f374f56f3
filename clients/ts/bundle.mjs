// Makes the one file that a page can load as it is: the arena's. `node bundle.mjs --check` only says whether it is up to date.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../../examples/arena/web/skua.js");

const { outputFiles } = await build({
  entryPoints: [here("src/index.ts")],
  bundle: true,
  write: false,
  format: "esm",
  platform: "browser",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  absWorkingDir: here("."),
  banner: { js: "// The client of Skua as one file. Made from clients/ts/src by `npm run bundle` in clients/ts; don't change it here." },
});
const made = outputFiles[0].text;

if (process.argv.includes("--check")) {
  const there = await readFile(target, "utf8").catch(() => "");
  if (there !== made) {
    console.error(`${target} is not what clients/ts/src makes: npm run bundle`);
    process.exit(1);
  }
} else {
  await writeFile(target, made);
}
