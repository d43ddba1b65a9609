/** Edits whose answers were lost: what arrived of them is known again, and others' work stays. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Editing } from "../src/editing/editing";
import type { SlideAround } from "../src/editing/surroundings";
import { MEMBRANE, paintSegment, UNSEEN, type Mask } from "../src/masks/mask";
import type { Patch } from "../src/api/types";
import { freshIndexedDB, newTab, type Tab } from "./browser_stubs";
import { empty, servePatches, type PatchServer } from "./patch_server";

let server: PatchServer;
let factory: ReturnType<typeof freshIndexedDB>;
let stops: (() => void)[] = [];

const slide: SlideAround = {
  width: 512,
  height: 512,
  patchAt: ({ row, column }) =>
    row === 0 && column === 1 ? ({ id: "q", revision: 0, state: "proposed" } as Patch) : undefined,
  say: () => undefined,
};
const open = async (tab: Tab): Promise<Editing> => {
  const editing = await tab.openEditing("p", "me", undefined, slide);
  stops.push(editing.close);
  return editing;
};
/** A row that is painted from `from` to 300: those beyond 256 lie on the patch to the right. */
const row = (editing: Editing, y: number, from = 200, to = 300): void => {
  editing.stroke("brush", { x: from, y: y + 0.5 }, { x: to, y: y + 0.5 }, 5);
  editing.endStroke();
};
const newest = (patch: string): Mask => server.revisions.get(patch)!.at(-1)!.mask;
/** The pixel of the right patch that a row reaches. */
const onRight = (y: number): number => newest("q").data[y * 256 + 20]!;
const byNoor = (patch: string, draw: (mask: Mask) => void): void => {
  const before = server.revisions.get(patch) ?? [];
  const mask = structuredClone(before.at(-1)?.mask ?? empty());
  if (before.length === 0) mask.data.fill(UNSEEN);
  draw(mask);
  server.revisions.set(patch, [...before, { author: "noor", mask }]);
};
const paints = (y: number, label: 0 | 255) => (mask: Mask) => {
  paintSegment(mask, { x: 0, y: y + 0.5 }, { x: 120, y: y + 0.5 }, 9, label);
};
const read = (editing: Editing): Promise<void> =>
  vi.waitFor(() => {
    const unknown = editing.tiles.value.filter(({ mask }) => mask.data.includes(191));
    expect(unknown).toEqual([]);
  });

beforeEach(() => {
  server = servePatches();
  server.places.set("p", { x: 0, y: 0 });
  server.places.set("q", { x: 256, y: 0 });
  factory = freshIndexedDB();
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});
afterEach(() => {
  for (const stop of stops) stop();
  stops = [];
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("others' work on a tile is never taken for one's own", () => {
  test("when the patch in hand arrived before the tile was painted", async () => {
    const editing = await open(await newTab());
    row(editing, 60, 100, 200);
    server.silent.add("p");
    await editing.save();
    server.silent.clear();
    row(editing, 120);
    await read(editing);
    byNoor("q", paints(40, 255));
    await editing.save();
    expect(editing.state).toBe("saved");
    expect([onRight(40), onRight(120)]).toEqual([MEMBRANE, MEMBRANE]);
  });

  test("when they have erased what arrived: it is not drawn again", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const editing = await open(one);
    row(editing, 60);
    row(editing, 120);
    await read(editing);
    server.losesEdit = true;
    await editing.save();
    editing.close(); // the tab is gone
    byNoor("q", paints(120, 0));
    const told: string[] = [];
    stops.push(two.startOutbox("me", (_, outcome) => told.push(outcome.kind)));
    await vi.waitFor(() => expect(told).toEqual(["saved"]));
    expect([onRight(60), onRight(120)]).toEqual([MEMBRANE, 0]);
    expect(server.revisions.get("q")!.map(({ author }) => author)).toEqual(["me", "noor"]);
  });
});

describe("strokes around the patch alone", () => {
  test("leave the patch in hand as it was, and say so", async () => {
    byNoor("p", (mask) => void mask.data.fill(0));
    server.approved.add("p");
    const tab = await newTab();
    const editing = await open(tab);
    row(editing, 60, 280);
    await editing.save();
    expect([editing.state, editing.painted.value]).toEqual(["clean", 0]);
    expect(editing.message).toContain("The patches around are saved.");
    expect(onRight(60)).toBe(UNSEEN);
    expect(newest("q").data[60 * 256 + 40]).toBe(MEMBRANE);
    expect(server.revisions.get("p")!.map(({ author }) => author)).toEqual(["noor"]);
    expect(await tab.draftsOf("me")).toEqual([]);
    // and what comes next goes on top of it
    row(editing, 120, 280);
    await editing.save();
    expect([editing.state, server.edits]).toEqual(["clean", [["256,0"], ["256,0"]]]);
    editing.undo();
    editing.undo();
    await editing.save();
    expect(newest("q").data.includes(MEMBRANE)).toBe(false);
  });

  test("go with it where the person says that it is complete", async () => {
    const editing = await open(await newTab());
    row(editing, 60, 280);
    await editing.save(true);
    expect([editing.state, server.edits]).toEqual(["saved", [["0,0", "256,0"]]]);
  });

  test("go with it where a state of it may have arrived", async () => {
    const editing = await open(await newTab());
    row(editing, 60);
    server.losesEdit = true;
    await editing.save();
    editing.undo();
    row(editing, 120, 280);
    await editing.save();
    expect(editing.state).toBe("saved");
    expect(newest("p").data.includes(MEMBRANE)).toBe(false);
    expect(onRight(60)).toBe(UNSEEN);
  });

  test("are sent later, alone, when the service is away", async () => {
    const editing = await open(await newTab());
    row(editing, 60, 280);
    server.broken = true;
    await editing.save();
    expect(editing.state).toBe("waiting");
    server.broken = false;
    await editing.save();
    expect([editing.state, server.edits]).toEqual(["clean", [["256,0"]]]);
  });
});

describe("what was undone while the answer was missing is undone at the service, too", () => {
  const lost = async (tab: Tab): Promise<Editing> => {
    const editing = await open(tab);
    row(editing, 60, 100, 200);
    row(editing, 120);
    await read(editing);
    server.losesEdit = true;
    await editing.save();
    expect(editing.state).toBe("waiting");
    return editing;
  };

  test("where nothing is left on the neighbour", async () => {
    const editing = await lost(await newTab());
    editing.undo();
    await editing.save();
    expect([editing.state, editing.painted.value]).toEqual(["saved", 0]);
    expect(newest("p").data[60 * 256 + 150]).toBe(MEMBRANE);
    expect([newest("p").data[120 * 256 + 230], onRight(120)]).toEqual([0, UNSEEN]);
  });

  test("where nothing is left at all, on a patch that was made by it", async () => {
    const editing = await open(await newTab());
    editing.stroke("brush", { x: 60, y: 280 }, { x: 90, y: 280 }, 5);
    editing.endStroke();
    await read(editing);
    server.losesEdit = true;
    await editing.save();
    editing.undo();
    expect([editing.state, editing.painted.value]).toEqual(["unsaved", 0]);
    await editing.save();
    expect(editing.state).toBe("clean");
    expect(newest("made 0,256").data.includes(MEMBRANE)).toBe(false);
  });

  test("where nothing had arrived: nothing is written", async () => {
    const editing = await open(await newTab());
    row(editing, 60, 280);
    await read(editing);
    server.broken = true;
    await editing.save();
    server.broken = false;
    editing.undo();
    await editing.save();
    expect([editing.state, server.edits]).toEqual(["clean", []]);
  });

  test("where the page looks before it saves", async () => {
    const editing = await lost(await newTab());
    editing.undo();
    await editing.catchUp();
    await editing.save();
    expect(editing.state).toBe("saved");
    expect([newest("p").data[120 * 256 + 230], onRight(120)]).toEqual([0, UNSEEN]);
  });

  test("where a colleague has saved the patch in hand since, and mine goes on top", async () => {
    const editing = await lost(await newTab());
    editing.undo();
    byNoor("p", paints(200, 255));
    await editing.save();
    expect(editing.state).toBe("conflict");
    await vi.waitFor(() => expect(editing.theirsReady).toBe(true));
    await editing.keepMine();
    expect(editing.state).toBe("saved");
    expect(onRight(120)).toBe(UNSEEN);
  });

  test("where the tab is gone, and the next one saves", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await lost(one);
    first.undo();
    await vi.waitFor(() => expect(first.written).toBe(true));
    first.close();
    const second = await open(two);
    expect(second.state).toBe("unsaved");
    await read(second);
    await second.save();
    expect(second.state).toBe("saved");
    expect([newest("p").data[120 * 256 + 230], onRight(120)]).toEqual([0, UNSEEN]);
  });
});

/** What a page finds that knows nothing of strokes around a patch. */
const foundByOlder = (): Promise<unknown[]> =>
  new Promise((resolve) => {
    const asked = factory.open("membrana-drafts", 1);
    asked.onsuccess = () => {
      const range = IDBKeyRange.bound(["me"], ["me", []]);
      const all = asked.result.transaction("drafts").objectStore("drafts").getAll(range);
      all.onsuccess = () => {
        asked.result.close();
        resolve(all.result);
      };
    };
  });

test("a page of before never sends a draft that reaches over the border", async () => {
  const tab = await newTab();
  const editing = await open(tab);
  const stored = () => vi.waitFor(() => expect(editing.written).toBe(true));
  row(editing, 60, 100, 200);
  await stored();
  expect(await foundByOlder()).toHaveLength(1);
  row(editing, 120);
  await read(editing);
  await stored();
  expect(await foundByOlder()).toEqual([]);
  expect(await tab.draftsOf("me")).toEqual([expect.objectContaining({ userId: "me", patchId: "p" })]);
  editing.undo();
  await stored();
  expect(await foundByOlder()).toHaveLength(1);
  expect(await tab.draftsOf("me")).toHaveLength(1);
  editing.undo();
  await vi.waitFor(async () => expect(await tab.draftsOf("me")).toEqual([]));
});

test("a draft that comes back over a patch approved since can be saved without its strokes there", async () => {
  const [one, two] = [await newTab(), await newTab()];
  const first = await open(one);
  row(first, 60);
  await read(first);
  await vi.waitFor(() => expect(first.written).toBe(true));
  first.close();
  server.approved.add("q");
  const second = await open(two);
  await read(second);
  await second.save();
  expect([second.state, second.refused]).toEqual(["refused", [expect.objectContaining({})]]);
  second.leaveOut();
  expect([second.state, second.painted.value, second.refused]).toEqual(["unsaved", 0, []]);
  await second.save();
  expect([second.state, server.puts]).toEqual(["saved", ["p"]]);
  second.undo();
  expect([second.state, second.painted.value]).toEqual(["unsaved", 1]);
});
