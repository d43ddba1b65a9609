// Bundle the page into ../static: index.html and assets whose names carry their content's hash.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.resolve(here, "../static");
const GZIPPED_BUDGET = 170_000; // bytes before the first sight; OpenSeadragon alone is 90 kB

await rm(path.join(target, "assets"), { recursive: true, force: true });
await mkdir(target, { recursive: true });
const { metafile, outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  bundle: true,
  format: "esm",
  splitting: true, // what is imported when it is needed is a file of its own
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "linked",
  entryNames: "assets/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  outdir: target,
  metafile: true,
  write: false,
});

const named = (file) => path.relative(here, file).split(path.sep).join("/");
const [entry, { cssBundle }] = Object.entries(metafile.outputs).find(
  ([, { entryPoint }]) => entryPoint === "src/main.tsx",
);
/** What the page reads before it shows anything: the entry, its styles, what they import at once. */
const first = new Set([entry, cssBundle]);
for (const name of first) {
  for (const { path: imported, kind } of metafile.outputs[name].imports) {
    if (kind === "import-statement") first.add(imported);
  }
}

let weight = 0;
let later = 0;
for (const file of outputFiles) {
  await mkdir(path.dirname(file.path), { recursive: true });
  await writeFile(file.path, file.contents);
  if (!/\.(js|css)$/.test(file.path)) continue;
  const bytes = gzipSync(file.contents).length;
  if (first.has(named(file.path))) weight += bytes;
  else later += bytes;
}
const asset = (name) =>
  `./${path.relative(target, path.resolve(here, name)).split(path.sep).join("/")}`;
const page = (await readFile(path.join(here, "index.html"), "utf8"))
  .replace("{{script}}", asset(entry))
  .replace("{{style}}", asset(cssBundle));
await writeFile(path.join(target, "index.html"), page);
const kilobytes = (bytes) => (bytes / 1000).toFixed(1);
console.log(
  `annotator built: ${kilobytes(weight)} kB gzipped, and ${kilobytes(later)} kB when they are needed`,
);
if (weight > GZIPPED_BUDGET) {
  console.error(`The page is over its budget of ${GZIPPED_BUDGET / 1000} kB gzipped.`);
  process.exit(1);
}
