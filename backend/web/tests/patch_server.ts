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
  /** Where patches lie, by their ids; any other at the origin. */
  places: Map<string, { x: number; y: number }>;
  /** What each edit wrote: the places of its tiles. */
  edits: string[][];
  /** Patches whose mask a second person has approved. */
  approved: Set<string>;
  /** The next edit is taken, but its answer never arrives. */
  losesEdit: boolean;
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });

interface TileIn {
  x: number;
  y: number;
  base_revision: number;
  mask_png_base64?: string;
  diff?: string;
}

const UNSEEN = 63;
const UNCHANGED = 191;

/** Tiles painted together, as the service takes them: all, or none. */
async function edit(server: PatchServer, tiles: TileIn[]): Promise<Response> {
  if (server.broken) throw new TypeError("Failed to fetch");
  const idAt = ({ x, y }: TileIn): string =>
    [...server.places].find(([, at]) => at.x === x && at.y === y)?.[0] ?? `made ${x},${y}`;
  // a corner that is not whole is reckoned otherwise here than in the page
  const told = ({ x, y }: TileIn) => ({ x: x + 1e-9, y: y - 1e-9 });
  const revisions = (tile: TileIn) => server.revisions.get(idAt(tile)) ?? [];
  const written = await Promise.all(
    tiles.map(async (tile) => {
      const png = Uint8Array.from(atob(tile.mask_png_base64 ?? tile.diff!), (c) => c.charCodeAt(0));
      const mask = await decodeGray(png);
      const base = revisions(tile)[tile.base_revision - 1]?.mask.data;
      const data = mask.data.map((value, i) =>
        value === UNCHANGED ? (base?.[i] ?? UNSEEN) : value,
      );
      return { ...mask, data };
    }),
  );
  const isAgain = tiles.every((tile, n) => {
    const newest = revisions(tile).at(-1);
    const same = newest?.author === "me" && newest.mask.data.every((v, i) => v === written[n]!.data[i]);
    return same && revisions(tile).length === tile.base_revision + 1;
  });
  const moved = tiles.filter((tile) => revisions(tile).length !== tile.base_revision);
  if (!isAgain && moved.length > 0) {
    const now = moved.map((tile) => ({
      ...{ ...told(tile), patch_id: idAt(tile), revision: revisions(tile).length },
      author: { id: revisions(tile).at(-1)?.author, username: revisions(tile).at(-1)?.author },
    }));
    return json({ title: "Stale", code: "stale", tiles: now }, 412);
  }
  const refused = tiles.filter((tile) => server.approved.has(idAt(tile)));
  if (refused.length > 0) {
    const named = refused.map((tile) => ({ ...told(tile), patch_id: idAt(tile) }));
    return json({ detail: "This patch is approved.", code: "patch_state", tiles: named }, 409);
  }
  if (!isAgain) {
    server.edits.push(tiles.map(({ x, y }) => `${x},${y}`));
    tiles.forEach((tile, n) => {
      const [id, mask] = [idAt(tile), written[n]!];
      server.places.set(id, { x: tile.x, y: tile.y });
      server.revisions.set(id, [...revisions(tile), { author: "me", mask }]);
    });
  }
  if (server.losesEdit) {
    server.losesEdit = false;
    throw new TypeError("Failed to fetch");
  }
  const saved = tiles.map((tile) => {
    const revision = revisions(tile).length;
    return { ...told(tile), patch_id: idAt(tile), revision, etag: `"r${revision}"` };
  });
  return json({ tiles: saved }, 201);
}

async function answer(server: PatchServer, url: string, init: RequestInit): Promise<Response> {
  if (server.broken) throw new TypeError("Failed to fetch");
  const pathname = decodeURIComponent(new URL(url).pathname);
  if (pathname.endsWith("/edits")) {
    return edit(server, (JSON.parse(init.body as string) as { tiles: TileIn[] }).tiles);
  }
  if (pathname.endsWith("/slides/s/patches")) {
    const items = [...server.places].map(([id, place]) => ({
      ...{ id, ...place, revision: server.revisions.get(id)?.length ?? 0 },
    }));
    return json({ items, next_cursor: null });
  }
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
  const revision = /^annotations\/(\d+)\.png$/.exec(what)?.[1];
  if (revision) return new Response(await encodeGray(saved[Number(revision) - 1]!.mask));
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
    ...server.places.get(patch),
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
    places: new Map(),
    edits: [],
    approved: new Set(),
    losesEdit: false,
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
