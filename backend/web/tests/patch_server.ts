/** Patches on a server: revisions with If-Match, a line that can break. The network edge only. */

import { vi } from "vitest";
import { emptyMask, type Mask } from "../src/masks/mask";
import { decodeGray, encodeGray } from "../src/masks/png";

export interface PatchServer {
  /** By patch, oldest first. */
  revisions: Map<string, { author: string; mask: Mask }[]>;
  broken: boolean;
  /** Patches whose saves the service answers with 500. */
  failing: Set<string>;
  /** Patches whose saves are taken, but the answer never arrives. */
  silent: Set<string>;
  /** Called when a save arrives, before it is looked at. */
  onPut: (patch: string) => Promise<void> | void;
  puts: string[];
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });

async function answer(server: PatchServer, url: string, init: RequestInit): Promise<Response> {
  if (server.broken) throw new TypeError("Failed to fetch");
  const { pathname } = new URL(url);
  const [, patch = "", what = ""] = /\/patches\/([^/]+)(?:\/(.*))?$/.exec(pathname) ?? [];
  if (init.method === "PUT") {
    server.puts.push(patch);
    await server.onPut(patch);
    if (server.broken) throw new TypeError("Failed to fetch");
    if (server.failing.has(patch)) return json({ title: "Broken" }, 500);
  }
  const saved = server.revisions.get(patch) ?? [];
  const etag = { ETag: `"r${saved.length}"` };
  if (init.method === "PUT") {
    const asked = new Headers(init.headers).get("If-Match");
    const mask = await decodeGray(init.body as Uint8Array<ArrayBuffer>);
    if (asked !== etag.ETag) return json({ title: "Stale", code: "stale" }, 412);
    server.revisions.set(patch, [...saved, { author: "me", mask }]);
    if (server.silent.has(patch)) throw new TypeError("Failed to fetch");
    return json({}, 200, { ETag: `"r${saved.length + 1}"` });
  }
  if (what === "annotation.png" && saved.length > 0) {
    return new Response(await encodeGray(saved.at(-1)!.mask));
  }
  if (what.endsWith(".png")) return json({ title: "Nothing here" }, 404);
  if (what.startsWith("annotations")) {
    const items = saved.map(({ author }, i) => ({
      id: `a${i + 1}`,
      revision: i + 1,
      base_revision: i,
      author: { id: author, username: author },
      source: "edited",
      created_at: "2026-11-23T09:00:00Z",
    }));
    return json({ items: items.reverse(), next_cursor: null });
  }
  const row = {
    ...{ id: patch, slide_id: "s", x: 0, y: 0, size: 256, state: "proposed" },
    model_version_id: null,
  };
  return json({ ...row, revision: saved.length }, 200, etag);
}

/** Serve the page of this test; put the network and what node lacks of a browser in its place. */
export function servePatches(): PatchServer {
  const server: PatchServer = {
    revisions: new Map(),
    broken: false,
    failing: new Set(),
    silent: new Set(),
    onPut: () => undefined,
    puts: [],
  };
  vi.stubGlobal("document", { baseURI: "http://lab.example/" });
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("removeEventListener", () => undefined);
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => answer(server, url, init));
  vi.stubGlobal(
    "Image",
    class {
      src = "";
      decode = () => Promise.resolve();
    },
  );
  return server;
}

/** Which of the rows that tests draw are in a mask. */
export function rowsOf(mask: Mask): number[] {
  const rows = Array.from({ length: mask.height }, (_, y) => y);
  return rows.filter((y) => mask.data[y * mask.width + 100] === 255 && y % 20 === 0);
}

export const empty = (): Mask => emptyMask(256, 256);
