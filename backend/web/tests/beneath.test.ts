/** What others save below one's own strokes, on the patches around the one in hand. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Editing } from "../src/editing/editing";
import type { Tile } from "../src/editing/surroundings";
import { MEMBRANE, paintSegment, UNCHANGED, UNSEEN, type Mask } from "../src/masks/mask";
import type { Patch } from "../src/api/types";
import { freshIndexedDB, newTab } from "./browser_stubs";
import { empty, servePatches, type PatchServer } from "./patch_server";

let server: PatchServer;
let editing: Editing;
/** What the page's list says of the patch on the right. */
let q: Patch;

beforeEach(async () => {
  server = servePatches();
  server.places.set("p", { x: 0, y: 0 });
  server.places.set("q", { x: 256, y: 0 });
  freshIndexedDB();
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  q = { id: "q", revision: 0, state: "proposed" } as Patch;
  editing = await (await newTab()).openEditing("p", "me", undefined, {
    width: 512,
    height: 256,
    patchAt: ({ row, column }) => (row === 0 && column === 1 ? q : undefined),
    say: () => undefined,
  });
});
afterEach(() => {
  editing.close();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Paint over the border, and 40 pixels into the patch on the right. */
function stroke(y: number): void {
  editing.stroke("brush", { x: 200, y }, { x: 296, y }, 5);
  editing.endStroke();
}
const around = (): Tile => editing.tiles.value[0]!;
const read = (): Promise<void> =>
  vi.waitFor(() => expect(around().mask.data.includes(UNCHANGED)).toBe(false));
const newest = (): Mask => server.revisions.get("q")!.at(-1)!.mask;
/** The pixels on these rows, 20 and 60 from the border. */
const near = (mask: Mask, y: number): number => mask.data[y * 256 + 20]!;
const far = (mask: Mask, y: number): number => mask.data[y * 256 + 60]!;

function byNoor(draw: (mask: Mask) => void): void {
  const before = server.revisions.get("q") ?? [];
  const mask = { ...empty(), data: before.at(-1)?.mask.data.slice() ?? empty().data.fill(UNSEEN) };
  draw(mask);
  server.revisions.set("q", [...before, { author: "noor", mask }]);
}
const along = (y: number, label: 0 | 255) => (mask: Mask) =>
  void paintSegment(mask, { x: 0, y }, { x: 120, y }, 9, label);

/** Requests for what `path` names are held until this is called. */
function hold(path: RegExp): () => void {
  let go = (): void => undefined;
  const promise = new Promise<void>((resolve) => (go = resolve));
  const ask = fetch;
  vi.stubGlobal("fetch", async (url: string, init?: RequestInit) => {
    if (path.test(url)) await promise;
    return ask(url, init);
  });
  return () => go();
}

describe("what a colleague has saved stays when one's own strokes are undone", () => {
  test("after theirs was taken", async () => {
    stroke(60);
    await read();
    byNoor((mask) => {
      along(60, 0)(mask);
      along(160, MEMBRANE)(mask);
    });
    await editing.save();
    await vi.waitFor(() => expect(editing.theirsReady).toBe(true));
    editing.takeTheirs();
    editing.undo();
    await editing.save();
    expect(editing.state).toBe("saved");
    expect([near(newest(), 60), far(newest(), 60), near(newest(), 160)]).toEqual([MEMBRANE, 0, MEMBRANE]);
  });

  test("after it came under a stroke that was under way", async () => {
    stroke(60);
    await read();
    byNoor(along(160, MEMBRANE));
    const go = hold(/annotations\/2\.png/); // put together, and read
    const saving = editing.save();
    await vi.waitFor(() => expect(server.edits).toHaveLength(1));
    editing.stroke("brush", { x: 200, y: 100 }, { x: 296, y: 200 }, 5); // aslant, theirs beside it
    go();
    await saving;
    editing.endStroke();
    expect([near(around().mask, 160), near(around().mask, 179)]).toEqual([MEMBRANE, MEMBRANE]);
    editing.undo();
    expect([near(around().mask, 160), near(around().mask, 179)]).toEqual([MEMBRANE, UNSEEN]);
    expect(near(around().mask, 60)).toBe(MEMBRANE);
  });
});

describe("an undo after one's own strokes were saved", () => {
  beforeEach(async () => {
    stroke(60);
    await read();
    await editing.save();
    expect(editing.state).toBe("saved");
  });
  const hear = async (): Promise<void> => {
    editing.heard("q", server.revisions.get("q")!.length);
    await vi.waitFor(() => expect(around().mask.data).toEqual(newest().data));
  };

  test("leaves a patch that a colleague has completed since", async () => {
    byNoor(({ data }) => void data.set(data.map((value) => (value === UNSEEN ? 0 : value))));
    await hear();
    editing.undo();
    await editing.save();
    expect([near(newest(), 60), far(newest(), 60)]).toEqual([MEMBRANE, 0]);
  });

  test("leaves it also where the undo came first", async () => {
    byNoor(({ data }) => void data.set(data.map((value) => (value === UNSEEN ? 0 : value))));
    editing.undo();
    await editing.save();
    expect(editing.state).toBe("saved");
    expect(newest().data.includes(UNSEEN)).toBe(false);
    expect(around().mask.data).toEqual(newest().data);
  });

  test("leaves pixels that a colleague has corrected since, and so does a redo", async () => {
    byNoor((mask) => void paintSegment(mask, { x: 15, y: 60 }, { x: 60, y: 60 }, 9, 0));
    await hear();
    editing.undo();
    const start = 60 * 256 + 4;
    expect([around().mask.data[start], near(around().mask, 60)]).toEqual([UNSEEN, 0]);
    editing.redo();
    expect([around().mask.data[start], near(around().mask, 60)]).toEqual([MEMBRANE, 0]);
  });
});

test("strokes that were kept on top of a colleague's are undone to theirs, and done again", async () => {
  stroke(60);
  await read();
  byNoor(along(60, 0));
  await editing.save();
  await vi.waitFor(() => expect(editing.theirsReady).toBe(true));
  await editing.keepMine();
  expect([editing.state, near(newest(), 60)]).toEqual(["saved", MEMBRANE]);
  editing.undo();
  expect(near(around().mask, 60)).toBe(0);
  editing.redo();
  expect(near(around().mask, 60)).toBe(MEMBRANE);
});

test("the pixels of a patch may come while its first save is put together with a colleague's", async () => {
  byNoor(along(200, 0));
  let show = (): void => undefined;
  const isShown = new Promise<void>((resolve) => (show = resolve));
  vi.stubGlobal("Image", class { decode = () => isShown; });
  stroke(60);
  await vi.waitFor(() => expect(editing.tiles.value).toHaveLength(1));
  await new Promise((later) => setTimeout(later, 20)); // it rests on revision 1
  byNoor(along(160, MEMBRANE));
  const readMerged = hold(/annotations\/3\.png/);
  const saving = editing.save();
  await vi.waitFor(() => expect(server.edits).toHaveLength(1));
  await new Promise((later) => setTimeout(later, 20));
  show();
  await read();
  readMerged();
  await saving;
  expect(editing.state).toBe("saved");
  expect(around().mask.data).toEqual(newest().data);
});

test("a patch that is read while its strokes are saved is not taken for what lay below them", async () => {
  const readPatch = hold(/patches\/q$/);
  let answer = (): void => undefined;
  const isAnswered = new Promise<void>((resolve) => (answer = resolve));
  const ask = fetch;
  vi.stubGlobal("fetch", async (url: string, init?: RequestInit) => {
    const got = await ask(url, init);
    if (url.endsWith("/edits")) await isAnswered;
    return got;
  });
  stroke(60);
  const saving = editing.save();
  await vi.waitFor(() => expect(server.edits).toHaveLength(1));
  readPatch();
  await read();
  answer();
  await saving;
  editing.undo();
  await editing.save();
  expect([editing.state, near(newest(), 60)]).toEqual(["saved", UNSEEN]);
});

describe("a patch around that could not be read", () => {
  let isAway: boolean;
  beforeEach(() => {
    byNoor(along(200, 0));
    q = { ...q, revision: 1 };
    isAway = true;
    const ask = fetch;
    vi.stubGlobal("fetch", (url: string, init?: RequestInit) =>
      isAway && url.includes("patches/q") ? Promise.reject(new TypeError("away")) : ask(url, init),
    );
  });

  test("is read when its strokes are saved, so that they can be undone", async () => {
    stroke(60);
    await vi.waitFor(() => expect(console.warn).toHaveBeenCalled());
    isAway = false;
    await editing.save();
    expect([editing.state, near(newest(), 60)]).toEqual(["saved", MEMBRANE]);
    await read();
    editing.undo();
    expect(editing.state).toBe("unsaved");
    await editing.save();
    expect([near(newest(), 60), near(newest(), 200)]).toEqual([UNSEEN, 0]);
  });

  test("nor when they were saved: it stays to be saved, and shows what is there then", async () => {
    stroke(60);
    await vi.waitFor(() => expect(console.warn).toHaveBeenCalled());
    await editing.save();
    expect([editing.state, editing.painted.value]).toEqual(["unsaved", 1]);
    editing.undo();
    expect(editing.state).toBe("unsaved");
    isAway = false;
    await editing.save();
    expect(editing.state).toBe("saved");
    expect(around().mask.data).toEqual(newest().data);
  });

  test.each([
    ["with the next stroke", () => stroke(100)],
    ["when the line is back", () => void editing.catchUp()],
  ])("is read %s", async (_, again) => {
    stroke(60);
    await vi.waitFor(() => expect(console.warn).toHaveBeenCalled());
    isAway = false;
    again();
    await read();
    expect([near(around().mask, 60), near(around().mask, 200)]).toEqual([MEMBRANE, 0]);
  });
});
