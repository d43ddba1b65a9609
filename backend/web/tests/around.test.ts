import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Editing } from "../src/editing/editing";
import type { SlideAround } from "../src/editing/surroundings";
import type { Outcome } from "../src/drafts/saving";
import { MEMBRANE, paintSegment, UNSEEN, type Mask } from "../src/masks/mask";
import type { Patch } from "../src/api/types";
import { freshIndexedDB, newTab, type Tab } from "./browser_stubs";
import { empty, servePatches, type PatchServer } from "./patch_server";

let server: PatchServer;
let stops: (() => void)[] = [];
let sentences: string[] = [];
/** What the page's list says of the patches around, where it has them. */
let listed = new Map<string, Partial<Patch>>();

/** Four patches; those on the right are listed, below there are none yet. */
const slide: SlideAround = {
  width: 512,
  height: 512,
  patchAt: ({ row, column }) => listed.get(`${row},${column}`) as Patch | undefined,
  say: (sentence) => sentences.push(sentence),
};

const open = async (tab: Tab, patch = "p"): Promise<Editing> => {
  const editing = await tab.openEditing(patch, "me", undefined, slide);
  stops.push(editing.close);
  return editing;
};
/** Over the corner where four tiles meet. */
const cross = (editing: Editing, tool: "brush" | "eraser" = "brush"): void => {
  editing.stroke(tool, { x: 240, y: 240 }, { x: 272, y: 272 }, 20);
  editing.endStroke();
};
const newest = (patch: string): Mask => server.revisions.get(patch)!.at(-1)!.mask;
const seen = (mask: Mask): number => mask.data.filter((value) => value !== UNSEEN).length;
const byNoor = (patch: string, draw: (mask: Mask) => void): void => {
  const before = server.revisions.get(patch) ?? [];
  const mask = before.at(-1)?.mask ?? empty();
  const next = { ...mask, data: before.length ? mask.data.slice() : mask.data.map(() => UNSEEN) };
  draw(next);
  server.revisions.set(patch, [...before, { author: "noor", mask: next }]);
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
  listed = new Map([["0,1", { id: "q", revision: 0, state: "proposed" }]]);
  sentences = [];
  freshIndexedDB();
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});
afterEach(() => {
  for (const stop of stops) stop();
  stops = [];
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const FOUR = ["0,0", "256,0", "0,256", "256,256"];

describe("a stroke over four tiles", () => {
  test("is saved as one edit; a tile only touched stays unseen but for the strokes", async () => {
    const editing = await open(await newTab());
    cross(editing);
    expect(editing.painted.value).toBe(3);
    await editing.save();
    expect([editing.state, editing.painted.value]).toEqual(["saved", 0]);
    expect(server.edits.map((tiles) => tiles.sort())).toEqual([[...FOUR].sort()]);
    expect(server.puts).toEqual([]);
    expect(seen(newest("p"))).toBe(256 * 256);
    for (const made of ["q", "made 0,256", "made 256,256"]) {
      const membrane = newest(made).data.filter((value) => value === MEMBRANE).length;
      expect(membrane).toBeGreaterThan(20);
      expect(seen(newest(made))).toBe(membrane);
    }
  });

  test("is undone and done again as one, also once it is saved", async () => {
    const editing = await open(await newTab());
    cross(editing);
    await read(editing);
    editing.undo();
    expect([editing.state, editing.canUndo(), editing.painted.value]).toEqual(["clean", false, 0]);
    editing.redo();
    await editing.save();
    const saved = structuredClone(newest("q"));
    editing.undo();
    await editing.save();
    expect(server.edits).toHaveLength(2);
    expect(seen(newest("q"))).toBe(0);
    expect(newest("p").data.includes(MEMBRANE)).toBe(false);
    editing.redo();
    await editing.save();
    expect(newest("q")).toEqual(saved);
  });

  test("that stays within the patch is saved as ever", async () => {
    const editing = await open(await newTab());
    editing.stroke("brush", { x: 40, y: 40 }, { x: 90, y: 40 }, 5);
    editing.endStroke();
    await editing.save();
    expect([server.puts, server.edits]).toEqual([["p"], []]);
  });

  test("outside the slide, or on what a second person approved, paints nothing and says why", async () => {
    listed.set("0,1", { id: "q", revision: 1, state: "approved" });
    const editing = await open(await newTab());
    editing.stroke("brush", { x: -40, y: 20 }, { x: 600, y: 20 }, 9);
    editing.endStroke();
    expect(editing.tiles.value).toEqual([]);
    expect(sentences).toEqual([expect.stringContaining("approved")]);
    editing.stroke("brush", { x: 300, y: 20 }, { x: 400, y: 20 }, 9);
    editing.endStroke();
    expect(sentences).toHaveLength(2); // once a stroke
    await editing.save();
    expect(editing.state).toBe("saved");
  });

  test("on what has been approved since is not taken: it says where, and undone it is saved", async () => {
    const editing = await open(await newTab());
    editing.stroke("brush", { x: 40, y: 40 }, { x: 90, y: 40 }, 5);
    editing.endStroke();
    cross(editing);
    server.approved.add("q");
    await editing.save();
    expect([editing.state, server.edits]).toEqual(["refused", []]);
    expect(editing.message).toContain("Of a patch around this one: This patch is approved.");
    editing.undo();
    await editing.save();
    expect([editing.state, server.puts]).toEqual(["saved", ["p"]]);
  });
});

describe("nothing of it is lost", () => {
  test("when the tab is gone: the next one goes on with all tiles", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await open(one);
    cross(first);
    await read(first);
    const drawn = first.tiles.value.map(({ mask }) => mask.data.slice());
    await vi.waitFor(async () => {
      const [draft] = await two.draftsOf("me");
      expect(draft?.around?.tiles).toHaveLength(3);
    });
    first.close();
    const second = await open(two);
    expect(second.state).toBe("unsaved");
    await read(second);
    expect(second.tiles.value.map(({ mask }) => mask.data)).toEqual(drawn);
    await second.save();
    expect(second.state).toBe("saved");
    expect(server.edits.map((tiles) => tiles.sort())).toEqual([[...FOUR].sort()]);
  });

  test("when the service is away: another tab sends it, and the page hears of it", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await open(one);
    cross(first);
    server.broken = true;
    await first.save();
    expect(first.state).toBe("waiting");
    stops.push(
      one.onDelivered((sent, outcome) => {
        if (sent.id === first.id) void first.receive(sent, outcome);
      }),
    );
    server.broken = false;
    const told: Outcome[] = [];
    stops.push(two.startOutbox("me", (_, outcome) => told.push(outcome)));
    await vi.waitFor(() => expect(first.state).toBe("saved"));
    expect(server.edits).toHaveLength(1);
    expect(first.painted.value).toBe(0);
    // and what is painted next goes on top of it
    cross(first, "eraser");
    await first.save();
    expect(first.state).toBe("saved");
    expect(newest("q").data.includes(MEMBRANE)).toBe(false);
  });

  test("when the answer is lost: the next save, undone meanwhile, goes on top of one's own", async () => {
    const editing = await open(await newTab());
    editing.stroke("brush", { x: 200, y: 60 }, { x: 300, y: 60 }, 5);
    editing.endStroke();
    editing.stroke("brush", { x: 200, y: 120 }, { x: 300, y: 120 }, 5);
    editing.endStroke();
    await read(editing);
    server.losesEdit = true;
    await editing.save();
    expect(editing.state).toBe("waiting");
    editing.undo();
    await editing.save();
    expect(editing.state).toBe("saved");
    const { data } = newest("q");
    expect([data[60 * 256 + 20], data[120 * 256 + 20]]).toEqual([MEMBRANE, UNSEEN]);
  });

  test("when strokes are made while it is sent", async () => {
    const editing = await open(await newTab());
    cross(editing);
    const saving = editing.save();
    editing.stroke("brush", { x: 240, y: 100 }, { x: 290, y: 100 }, 5);
    editing.endStroke();
    await saving;
    expect(editing.state).toBe("unsaved");
    await editing.save();
    expect(editing.state).toBe("saved");
    const { data } = newest("q");
    expect([data[100 * 256 + 20], data[255 * 256 + 2]]).toEqual([MEMBRANE, MEMBRANE]);
  });
});

describe("a colleague on one of the tiles", () => {
  const row = (y: number) => (mask: Mask) => {
    paintSegment(mask, { x: 0, y: y + 0.5 }, { x: 120, y: y + 0.5 }, 3, MEMBRANE);
  };

  test("who painted elsewhere on it: both are there, and nobody is asked", async () => {
    const editing = await open(await newTab());
    cross(editing);
    await read(editing);
    byNoor("q", row(40));
    await editing.save();
    expect(editing.state).toBe("saved");
    const { data } = newest("q");
    expect([data[40 * 256 + 60], data[255 * 256 + 2]]).toEqual([MEMBRANE, MEMBRANE]);
    // shown here, too, and undo takes back one's own strokes alone
    const shown = editing.tiles.value.find(({ x, y }) => x === 256 && y === 0)!;
    expect(shown.mask.data).toEqual(data);
    editing.undo();
    expect(shown.mask.data).toEqual(server.revisions.get("q")![0]!.mask.data);
  });

  test("who painted the same pixels otherwise: nothing is saved before one has said which", async () => {
    const editing = await open(await newTab());
    cross(editing);
    await read(editing);
    byNoor("q", (mask) => void paintSegment(mask, { x: 0, y: 240 }, { x: 60, y: 250 }, 30, 0));
    await editing.save();
    expect(editing.state).toBe("conflict");
    expect(editing.message).toContain("noor changed pixels that you have painted on a patch around");
    expect(server.edits).toEqual([]);
    await vi.waitFor(() => expect(editing.theirsReady).toBe(true));
    await editing.keepMine();
    expect(editing.state).toBe("saved");
    expect(server.edits.map((tiles) => tiles.sort())).toEqual([[...FOUR].sort()]);
    const { data } = newest("q");
    // mine where I painted, theirs where only they did
    expect([data[255 * 256 + 2], data[245 * 256 + 50]]).toEqual([MEMBRANE, 0]);
    expect(server.revisions.get("q")!.map(({ author }) => author)).toEqual(["noor", "me"]);
  });

  test("and theirs is taken: the other strokes stay, and an undo brings one's own back", async () => {
    const editing = await open(await newTab());
    cross(editing);
    await read(editing);
    byNoor("q", (mask) => void paintSegment(mask, { x: 0, y: 240 }, { x: 60, y: 250 }, 30, 0));
    await editing.save();
    await vi.waitFor(() => expect(editing.theirsReady).toBe(true));
    editing.takeTheirs();
    expect([editing.state, editing.painted.value]).toEqual(["unsaved", 2]);
    await editing.save();
    expect(editing.state).toBe("saved");
    expect(server.revisions.get("q")).toHaveLength(1);
    expect(newest("p").data[250 * 256 + 250]).toBe(MEMBRANE);
    editing.undo();
    await editing.save();
    expect(editing.state).toBe("clean");
    expect(newest("q").data[255 * 256 + 2]).toBe(MEMBRANE);
  });

  test("who saves one on which nothing is unsaved: it is shown", async () => {
    const editing = await open(await newTab());
    cross(editing);
    await read(editing);
    await editing.save();
    byNoor("q", row(40));
    editing.heard("q", 2);
    const shown = editing.tiles.value.find(({ x, y }) => x === 256 && y === 0)!;
    await vi.waitFor(() => expect(shown.mask.data[40 * 256 + 60]).toBe(MEMBRANE));
    expect(editing.state).toBe("saved");
  });
});
