import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openEditing, type Editing } from "../src/editing/editing";
import { emptyMask, MEMBRANE, paintSegment, type Mask } from "../src/masks/mask";
import { decodeGray, encodeGray } from "../src/masks/png";

/** One patch on a server: revisions with If-Match, a line that can break. The network edge only. */
interface Server {
  proposal: Mask;
  revisions: { author: string; source: string; mask: Mask; seconds?: number }[];
  /** The version whose proposal the patch shows; and what each save said of it. */
  model: string | null;
  models: (string | null)[];
  broken: boolean;
  /** The next PUT is taken but its answer never arrives. */
  losesAnswer: boolean;
  /** What happens at the service between taking a save and its answer. */
  afterPut: () => void;
  /** Reading the newest mask fails. */
  unreadable: boolean;
  puts: number;
  /** What each save said of the time it took. */
  seconds: number[];
}
let server: Server;

const someMask = (y: number): Mask => {
  const mask = emptyMask(256, 256);
  paintSegment(mask, { x: 20, y }, { x: 200, y }, 7, MEMBRANE);
  return mask;
};
const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });

async function answer(url: string, init: RequestInit = {}): Promise<Response> {
  if (server.broken) throw new TypeError("Failed to fetch");
  const { pathname, searchParams } = new URL(url);
  const revision = server.revisions.length;
  const newest = server.revisions.at(-1);
  const etag = { ETag: `"r${revision}"` };
  const png = async (mask: Mask | undefined) =>
    mask ? new Response(await encodeGray(mask)) : json({ title: "Nothing here" }, 404);
  if (pathname.endsWith("/proposal.png")) {
    return png(searchParams.get("model_version") === server.model ? server.proposal : undefined);
  }
  if (pathname.endsWith("/uncertain_pixels.png")) return png(undefined);
  if (pathname.endsWith("/annotation.png") && server.unreadable) throw new TypeError("cut off");
  if (pathname.endsWith("/annotation.png")) return png(newest?.mask);
  if (pathname.endsWith("/annotations")) {
    const items = server.revisions.map(({ author, source, seconds }, i) => ({
      id: `a${i + 1}`,
      revision: i + 1,
      base_revision: i,
      author: { id: author, username: author },
      source,
      seconds_spent: seconds ?? null,
      created_at: "2026-11-23T09:00:00Z",
    }));
    return json({ items: items.reverse(), next_cursor: null });
  }
  if (init.method === "PUT") {
    server.puts += 1;
    const seconds = Number(searchParams.get("seconds_spent"));
    server.seconds.push(seconds);
    server.models.push(searchParams.get("model_version"));
    if (new Headers(init.headers).get("If-Match") !== etag.ETag)
      return json({ title: "Stale", code: "stale" }, 412);
    const mask = await decodeGray(init.body as Uint8Array<ArrayBuffer>);
    server.revisions.push({ author: "me", source: searchParams.get("source")!, mask, seconds });
    server.afterPut();
    if (server.losesAnswer) {
      server.losesAnswer = false;
      throw new TypeError("Failed to fetch");
    }
    return json({}, 200, { ETag: `"r${revision + 1}"` });
  }
  return json(
    {
      ...{ id: "p", slide_id: "s", x: 0, y: 0, size: 256, state: "proposed", revision },
      model_version_id: server.model,
    },
    200,
    etag,
  );
}

const open = (): Promise<Editing> => openEditing("p", "me");
const draw = (editing: Editing, y: number): void => {
  editing.stroke("brush", { x: 30, y }, { x: 120, y }, 5);
  editing.endStroke();
};
const byNoor = (y: number): number =>
  server.revisions.push({ author: "noor", source: "edited", mask: someMask(y) });

beforeEach(() => {
  server = {
    proposal: someMask(50),
    model: "m1",
    models: [],
    revisions: [],
    broken: false,
    losesAnswer: false,
    afterPut: () => undefined,
    unreadable: false,
    puts: 0,
    seconds: [],
  };
  vi.stubGlobal("document", { baseURI: "http://lab.example/" });
  vi.stubGlobal("fetch", answer);
  vi.stubGlobal(
    "Image",
    class {
      src = "";
      decode = () => Promise.resolve();
    },
  );
  vi.stubGlobal("indexedDB", undefined); // as in a browser that keeps nothing: saving still works
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});
afterEach(() => vi.unstubAllGlobals());

describe("what a save says of its origin", () => {
  test("the proposal as it was is accepted bit for bit", async () => {
    const editing = await open();
    expect(editing.isProposal()).toBe(true);
    await editing.save();
    expect(editing.state).toBe("saved");
    expect(server.revisions).toMatchObject([
      { author: "me", source: "proposal", mask: server.proposal },
    ]);
  });

  test("a corrected proposal is edited; all strokes undone, it is the proposal again", async () => {
    const editing = await open();
    draw(editing, 120);
    await editing.save();
    editing.undo();
    await editing.save();
    expect(server.revisions.map(({ source }) => source)).toEqual(["edited", "proposal"]);
  });

  test("a mask drawn on an empty patch is from scratch", async () => {
    const editing = await open();
    editing.clear();
    draw(editing, 10);
    await editing.save();
    expect(server.revisions[0]?.source).toBe("scratch");
    expect(server.revisions[0]?.mask).toEqual(editing.mask);
  });
});

describe("the model version that a save names", () => {
  test("is the one that was shown at opening, whatever is newest at saving", async () => {
    const editing = await open();
    draw(editing, 120);
    server.model = "m2";
    await editing.save();
    expect(server.models).toEqual(["m1"]);
    draw(editing, 130);
    await editing.save();
    expect(server.models).toEqual(["m1", "m1"]);
  });

  test("goes with a draft that is taken up when another version is shown", async () => {
    const editing = await open();
    draw(editing, 120);
    editing.close();
    server.model = "m2";
    const again = await open();
    expect(again.restored).not.toBeNull();
    await again.save();
    draw(again, 130); // on what is shown now
    await again.save();
    expect(server.models).toEqual(["m1", "m2"]);
  });

  test("is the one whose proposal was gone back to", async () => {
    const editing = await open();
    draw(editing, 120);
    editing.close();
    server.model = "m2";
    server.proposal = someMask(60);
    const again = await open();
    again.reset();
    draw(again, 130);
    await again.save();
    expect(server.models).toEqual(["m2"]);
  });

  test("is none where no proposal was shown", async () => {
    server.model = null;
    const editing = await open();
    expect(editing.proposal).toBeNull();
    server.model = "m1"; // proposed meanwhile, unseen
    draw(editing, 120);
    await editing.save();
    expect(server.models).toEqual([null]);
  });
});

describe("two people on one patch", () => {
  test("mine on top: both revisions stay, mine the newest", async () => {
    const editing = await open();
    draw(editing, 120);
    const mine = editing.mask.data.slice();
    byNoor(80);
    await editing.save();
    expect(editing.state).toBe("conflict");
    expect(editing.message).toContain("noor saved revision 1");
    expect(editing.theirs).toEqual(someMask(80));
    expect(editing.mask.data).toEqual(mine);
    await editing.keepMine();
    expect(editing.state).toBe("saved");
    expect(server.revisions.map(({ author }) => author)).toEqual(["noor", "me"]);
    expect(server.revisions[1]?.mask.data).toEqual(mine);
  });

  test("theirs: shown at once, one undo brings mine back, and a save goes on top of theirs", async () => {
    const editing = await open();
    draw(editing, 120);
    const mine = editing.mask.data.slice();
    byNoor(80);
    await editing.save();
    editing.takeTheirs();
    expect(editing.mask).toEqual(someMask(80));
    expect(server.revisions).toHaveLength(1);
    editing.undo();
    expect(editing.mask.data).toEqual(mine);
    await editing.save();
    expect(editing.state).toBe("saved");
  });

  test("somebody faster again during the decision: asked again, nothing overwritten", async () => {
    const editing = await open();
    draw(editing, 120);
    byNoor(80);
    await editing.save();
    byNoor(90);
    await editing.keepMine();
    expect(editing.state).toBe("conflict");
    expect(editing.theirs).toEqual(someMask(90));
    expect(server.revisions.map(({ author }) => author)).toEqual(["noor", "noor"]);
  });
});

describe("another's save is heard of", () => {
  test("in mid-stroke: asked at once, and the whole stroke is in what is saved on top", async () => {
    const editing = await open();
    editing.stroke("brush", { x: 30, y: 120 }, { x: 60, y: 120 }, 5);
    byNoor(80);
    expect(await editing.catchUp()).toBe(false);
    expect(editing.state).toBe("conflict");
    editing.stroke("brush", { x: 60, y: 120 }, { x: 120, y: 120 }, 5);
    editing.endStroke();
    const mine = editing.mask.data.slice();
    expect(mine[120 * 256 + 110]).toBe(MEMBRANE);
    await editing.keepMine();
    expect(editing.state).toBe("saved");
    expect(server.revisions.map(({ author }) => author)).toEqual(["noor", "me"]);
    expect(server.revisions[1]?.mask.data).toEqual(mine);
  });

  test("and a stroke is made while it is read: a conflict, the stroke stays", async () => {
    const editing = await open();
    byNoor(80);
    const asked = editing.catchUp();
    draw(editing, 120);
    const mine = editing.mask.data.slice();
    expect(await asked).toBe(false);
    expect(editing.state).toBe("conflict");
    expect(editing.mask.data).toEqual(mine);
    editing.takeTheirs();
    editing.undo();
    expect(editing.mask.data).toEqual(mine);
  });

  test("while one's own, which it goes on top of, is under way: it is shown afterwards", async () => {
    const editing = await open();
    draw(editing, 120);
    server.afterPut = () => byNoor(80);
    const saving = editing.save();
    expect(await editing.catchUp()).toBe(true);
    await saving;
    expect(server.revisions.map(({ author }) => author)).toEqual(["me", "noor"]);
  });

  test("and a save begins while it is read: the save meets it, and mine goes on top", async () => {
    const editing = await open();
    draw(editing, 120);
    byNoor(80);
    const asked = editing.catchUp();
    await editing.save();
    expect(await asked).toBe(false);
    expect(editing.state).toBe("conflict");
    await editing.keepMine();
    expect(editing.state).toBe("saved");
  });

  test("with nothing drawn: the patch is to be opened anew", async () => {
    const editing = await open();
    byNoor(80);
    expect(await editing.catchUp()).toBe(true);
    expect(editing.state).toBe("clean");
  });

  test("once more during the decision: what is chosen is what was seen", async () => {
    const editing = await open();
    draw(editing, 120);
    byNoor(80);
    await editing.catchUp();
    byNoor(90);
    const asked = editing.catchUp();
    editing.takeTheirs(); // before the second is heard of
    expect(editing.mask).toEqual(someMask(80));
    expect(await asked).toBe(true); // the newest is shown, nothing is unsaved
  });

  test("but it can't be read: it is asked for again until it can", async () => {
    const editing = await open();
    draw(editing, 120);
    byNoor(80);
    server.unreadable = true;
    await editing.catchUp();
    expect([editing.state, editing.theirs, editing.theirsUnread]).toEqual(["conflict", null, true]);
    await editing.readTheirs();
    expect([editing.theirs, editing.theirsUnread]).toEqual([null, true]);
    server.unreadable = false;
    await editing.readTheirs();
    expect([editing.theirs, editing.theirsUnread]).toEqual([someMask(80), false]);
    editing.takeTheirs();
    expect(editing.mask).toEqual(someMask(80));
  });
});

describe("a broken line", () => {
  test("keeps the pixels and says so; the next try saves them", async () => {
    const editing = await open();
    draw(editing, 120);
    const mine = editing.mask.data.slice();
    server.broken = true;
    await editing.save();
    expect(editing.state).toBe("waiting");
    expect(editing.isUnsaved()).toBe(true);
    server.broken = false;
    await editing.save();
    expect(server.revisions.map(({ mask }) => mask.data)).toEqual([mine]);
  });

  test("that swallows the answer makes no second revision", async () => {
    const editing = await open();
    draw(editing, 120);
    server.losesAnswer = true;
    await editing.save();
    expect(editing.state).toBe("waiting");
    await editing.save();
    expect(editing.state).toBe("saved");
    expect([server.puts, server.revisions.length]).toEqual([2, 1]);
  });
});

describe("a save whose answer is lost, and strokes after it", () => {
  async function lostAndDrawnOn(): Promise<Editing> {
    const editing = await open();
    draw(editing, 120);
    server.losesAnswer = true;
    await editing.save();
    expect(editing.state).toBe("waiting");
    draw(editing, 160);
    expect(editing.state).toBe("unsaved");
    return editing;
  }
  const mine = (editing: Editing) => {
    expect(editing.state).toBe("saved");
    expect(server.revisions.map(({ author }) => author)).toEqual(["me", "me"]);
    expect(server.revisions[1]?.mask).toEqual(editing.mask);
  };

  test("Save goes on top of one's own: no conflict with oneself", async () => {
    const editing = await lostAndDrawnOn();
    await editing.save();
    mine(editing);
  });

  test("nor when the service tells of it", async () => {
    const editing = await lostAndDrawnOn();
    expect(await editing.catchUp()).toBe(false);
    expect([editing.state, editing.etag]).toEqual(["unsaved", '"r1"']);
    await editing.save();
    mine(editing);
  });

  test("nor in mid-stroke", async () => {
    const editing = await lostAndDrawnOn();
    editing.stroke("brush", { x: 30, y: 200 }, { x: 60, y: 200 }, 5);
    await editing.catchUp();
    editing.stroke("brush", { x: 60, y: 200 }, { x: 120, y: 200 }, 5);
    editing.endStroke();
    expect(editing.state).toBe("unsaved");
    await editing.save();
    mine(editing);
    expect(editing.mask.data[200 * 256 + 110]).toBe(MEMBRANE);
  });

  test("nor when the patch is opened anew", async () => {
    const editing = await lostAndDrawnOn();
    editing.close();
    const again = await open();
    expect([again.state, again.etag]).toEqual(["unsaved", '"r1"']);
    await again.save();
    mine(again);
  });

  test("also when a later save never arrived", async () => {
    const editing = await lostAndDrawnOn();
    server.broken = true;
    await editing.save();
    server.broken = false;
    draw(editing, 200);
    await editing.save();
    mine(editing);
  });

  test("somebody's on top of it is a conflict as ever", async () => {
    const editing = await lostAndDrawnOn();
    byNoor(80);
    await editing.save();
    expect(editing.state).toBe("conflict");
    expect(editing.message).toContain("noor saved revision 2");
  });

  test("one's own of elsewhere, drawn otherwise, is a conflict as ever", async () => {
    const editing = await open();
    draw(editing, 120);
    server.broken = true;
    await editing.save();
    server.broken = false;
    server.revisions.push({ author: "me", source: "edited", mask: someMask(80) });
    draw(editing, 160);
    await editing.save();
    expect(editing.state).toBe("conflict");
    expect(editing.message).toContain("You, elsewhere, saved revision 1");
  });

  test("its seconds are in its revision, and not in the next one", async () => {
    let ms = 0;
    vi.spyOn(performance, "now").mockImplementation(() => ms);
    for (const heard of [false, true]) {
      server.revisions = [];
      server.seconds = [];
      const editing = await open();
      editing.touch();
      ms += 5000;
      draw(editing, 120);
      server.losesAnswer = true;
      await editing.save();
      draw(editing, 160);
      editing.touch();
      ms += 3000;
      if (heard) await editing.catchUp();
      await editing.save();
      expect(server.revisions.map(({ seconds }) => seconds)).toEqual([5, 3]);
      editing.touch();
      ms += 2000;
      draw(editing, 200);
      await editing.save();
      expect(server.seconds.at(-1)).toBe(2);
      editing.close();
    }
    vi.mocked(performance.now).mockRestore();
  });
});

describe("the same mask saved by another", () => {
  test("is no conflict: whose it is, is said", async () => {
    const editing = await open();
    server.revisions.push({ author: "noor", source: "proposal", mask: server.proposal });
    await editing.save(); // accepted by both
    expect([editing.state, editing.etag]).toEqual(["saved", '"r1"']);
    expect(editing.message).toContain("noor accepted the proposal of this patch as revision 1");
    expect(editing.message).toContain("nothing is left to save");
    expect(server.revisions).toHaveLength(1);
    draw(editing, 160);
    await editing.save();
    expect(editing.message).toBe("Saved as revision 2.");
  });

  test("nor when it is heard of before one saves", async () => {
    const editing = await open();
    draw(editing, 120);
    server.revisions.push({ author: "noor", source: "edited", mask: structuredClone(editing.mask) });
    expect(await editing.catchUp()).toBe(false);
    expect([editing.state, editing.etag]).toEqual(["saved", '"r1"']);
    expect(editing.message).toContain("noor saved revision 1");
  });
});

test("a lease that the service ends while a save over it is under way stays ended", async () => {
  const editing = await open();
  const lease = { user_id: "n", username: "noor", mine: false, expires_at: "2999-01-01T00:00:00Z" };
  editing.update({ lease });
  server.afterPut = () => editing.update({ lease: null }); // its event is faster than the answer
  await editing.save();
  expect(editing.state).toBe("saved");
  expect(editing.patch.lease).toBe(null);
});

test("strokes made while a save is under way stay unsaved and go into the next", async () => {
  const editing = await open();
  draw(editing, 120);
  const saving = editing.save();
  draw(editing, 200);
  await saving;
  expect(editing.state).toBe("unsaved");
  await editing.save();
  expect(editing.state).toBe("saved");
  expect(server.revisions).toHaveLength(2);
  expect(server.revisions[1]?.mask).toEqual(editing.mask);
});

describe("the seconds of a save", () => {
  let ms = 0;
  beforeEach(() => {
    ms = 0;
    vi.spyOn(performance, "now").mockImplementation(() => ms);
  });
  afterEach(() => void vi.mocked(performance.now).mockRestore());

  test("run from when the patch is shown, also without any stroke", async () => {
    const editing = await open();
    ms = 60_000; // opened, not shown yet
    editing.touch();
    ms += 8500;
    await editing.save();
    expect(server.seconds).toEqual([8.5]);
  });

  test("a second save counts only what came after the first", async () => {
    const editing = await open();
    editing.touch();
    ms = 5000;
    const saving = editing.save();
    ms = 7000; // the answer takes two seconds, and the person goes on drawing
    draw(editing, 200);
    await saving;
    ms = 10_000;
    await editing.save();
    expect(server.seconds).toEqual([5, 5]);
  });

  test("that was not taken go with the next try", async () => {
    const editing = await open();
    editing.touch();
    ms = 4000;
    server.broken = true;
    await editing.save();
    server.broken = false;
    ms = 6000;
    await editing.save();
    expect(server.seconds).toEqual([6]);
  });
});
