// Bundle the page into ../static: index.html and assets whose names carry their content's hash.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.resolve(here, "../static");
const GZIPPED_BUDGET = 170_000; // bytes; OpenSeadragon alone is 90 kB

await rm(path.join(target, "assets"), { recursive: true, force: true });
await mkdir(target, { recursive: true });
const { metafile, outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "linked",
  entryNames: "assets/[name]-[hash]",
  outdir: target,
  metafile: true,
  write: false,
});

let weight = 0;
for (const file of outputFiles) {
  await mkdir(path.dirname(file.path), { recursive: true });
  await writeFile(file.path, file.contents);
  if (/\.(js|css)$/.test(file.path)) weight += gzipSync(file.contents).length;
}
const asset = (ending) => {
  const found = Object.keys(metafile.outputs).find((name) => name.endsWith(ending));
  return `./${path.relative(target, path.resolve(here, found)).split(path.sep).join("/")}`;
};
const page = (await readFile(path.join(here, "index.html"), "utf8"))
  .replace("{{script}}", asset(".js"))
  .replace("{{style}}", asset(".css"));
await writeFile(path.join(target, "index.html"), page);
console.log(`annotator built: ${(weight / 1000).toFixed(0)} kB gzipped`);
if (weight > GZIPPED_BUDGET) {
  console.error(`The page is over its budget of ${GZIPPED_BUDGET / 1000} kB gzipped.`);
  process.exit(1);
}
