import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { freshIndexedDB, newTab } from "./browser_stubs";
import { empty, rowsOf, servePatches, type PatchServer } from "./patch_server";

let server: PatchServer;
let factory: ReturnType<typeof freshIndexedDB>;

beforeEach(() => {
  server = servePatches();
  factory = freshIndexedDB();
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** The database as pages before this one made it. */
function older(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const asked = factory.open("membrana", 1);
    asked.onupgradeneeded = () =>
      asked.result.createObjectStore("drafts", { keyPath: ["userId", "patchId"] });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error!);
  });
}
function put(database: IDBDatabase, patchId: string, more: object = {}): Promise<void> {
  const mask = empty();
  mask.data[40 * 256 + 100] = 255;
  const writing = database.transaction("drafts", "readwrite");
  writing.objectStore("drafts").put({
    ...{ patchId, userId: "me", slideId: "s", ...mask, etag: '"r0"', source: "edited" },
    ...{ seconds: 5, changedAt: "2026-11-23T09:00:00Z", pending: false, ...more },
  });
  return new Promise((resolve) => (writing.oncomplete = () => resolve()));
}

describe("drafts of a page before this one", () => {
  test("come over, all of them, while a tab still runs the older page", async () => {
    const database = await older();
    await put(database, "p");
    await put(database, "q", { pending: true });
    const tab = await newTab();
    const found = await tab.draftsOf("me");
    expect(found.map(({ patchId, pending }) => [patchId, pending]).sort()).toEqual([
      ["p", false],
      ["q", true],
    ]);
    const editing = await tab.openEditing("p", "me");
    expect(rowsOf(editing.mask)).toEqual([40]);
    expect(editing.restored).toBe("2026-11-23T09:00:00Z");
    // the older tab draws on: its next draft is another one
    await put(database, "p", { changedAt: "2026-11-23T10:00:00Z" });
    const later = await newTab();
    expect(await later.draftsOf("me")).toHaveLength(3);
    expect(await (await newTab()).draftsOf("me")).toHaveLength(3); // once, not at each start
    editing.close();
    database.close();
  });

  test("that never were leave no empty database behind", async () => {
    await (await newTab()).draftsOf("me");
    expect((await factory.databases()).map(({ name }) => name)).toEqual(["membrana-drafts"]);
  });
});

describe("a browser that keeps nothing", () => {
  beforeEach(() => {
    vi.spyOn(factory, "open").mockImplementation(() => {
      throw new DOMException("not in a private window", "InvalidStateError");
    });
  });

  test("still saves, and says what is not kept", async () => {
    const tab = await newTab();
    const editing = await tab.openEditing("p", "me");
    editing.stroke("brush", { x: 30, y: 40.5 }, { x: 200, y: 40.5 }, 1);
    editing.endStroke();
    await vi.waitFor(() => expect(editing.message).toContain("keeps no copy"));
    expect(editing.isStored()).toBe(false);
    expect(tab.anyUnstored()).toBe(true);
    await editing.save();
    expect(editing.state).toBe("saved");
    expect(tab.anyUnstored()).toBe(false);
    editing.close();
  });

  test("sends what waits as soon as the line is back, and finds it on the patch again", async () => {
    const tab = await newTab();
    const editing = await tab.openEditing("p", "me");
    editing.stroke("brush", { x: 30, y: 40.5 }, { x: 200, y: 40.5 }, 1);
    editing.endStroke();
    editing.close();
    const again = await tab.openEditing("p", "me");
    expect(rowsOf(again.mask)).toEqual([40]);
    server.broken = true;
    await again.save();
    expect(again.state).toBe("waiting");
    expect(again.message).toContain("leave this page open");
    again.close();
    server.broken = false;
    const stop = tab.startOutbox("me", () => undefined);
    await vi.waitFor(() => expect(server.revisions.get("p")).toHaveLength(1));
    await vi.waitFor(async () => expect(await tab.draftsOf("me")).toEqual([]));
    stop();
  });
});

test("a database that never answers keeps nobody waiting twice", async () => {
  vi.spyOn(factory, "open").mockImplementation(() => ({}) as never);
  vi.useFakeTimers();
  const tab = await newTab();
  const first = tab.draftsOf("me");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await first).toEqual([]);
  vi.useRealTimers();
  const editing = await tab.openEditing("p", "me");
  editing.stroke("brush", { x: 30, y: 40.5 }, { x: 200, y: 40.5 }, 1);
  editing.endStroke();
  await vi.waitFor(() => expect(editing.message).toContain("keeps no copy"));
  await editing.save();
  expect(editing.state).toBe("saved");
  editing.close();
});

test("a disk that runs full keeps the newest strokes in the page, and empties itself later", async () => {
  const tab = await newTab();
  const editing = await tab.openEditing("p", "me");
  const row = (y: number): void => {
    editing.stroke("brush", { x: 30, y: y + 0.5 }, { x: 200, y: y + 0.5 }, 1);
    editing.endStroke();
  };
  row(40);
  expect(editing.written).toBe(false);
  await vi.waitFor(() => expect(editing.written).toBe(true));
  expect(await tab.draftsOf("me")).toHaveLength(1);
  const store = (await import("fake-indexeddb")).IDBObjectStore;
  const full = vi.spyOn(store.prototype, "put").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  row(80);
  await vi.waitFor(() => expect(editing.isStored()).toBe(false));
  const [draft] = await tab.draftsOf("me");
  expect(rowsOf(draft!)).toEqual([40, 80]);
  full.mockRestore();
  row(120);
  await vi.waitFor(() => expect(editing.isStored()).toBe(true));
  expect(editing.message).toContain("kept in this browser");
  await editing.save();
  expect(await tab.draftsOf("me")).toEqual([]);
  editing.close();
});

test("undoing every stroke leaves no draft behind", async () => {
  const tab = await newTab();
  const editing = await tab.openEditing("p", "me");
  editing.stroke("brush", { x: 30, y: 40.5 }, { x: 200, y: 40.5 }, 1);
  editing.endStroke();
  editing.undo();
  expect(editing.state).toBe("clean");
  expect(editing.isUnsaved()).toBe(false);
  await vi.waitFor(async () => expect(await tab.draftsOf("me")).toEqual([]));
  editing.close();
});

test("a save that fails in a way nobody thought of leaves Save within reach", async () => {
  const tab = await newTab();
  const editing = await tab.openEditing("p", "me");
  editing.stroke("brush", { x: 30, y: 40.5 }, { x: 200, y: 40.5 }, 1);
  editing.endStroke();
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  const without = vi.stubGlobal("CompressionStream", undefined);
  await editing.save();
  expect(editing.state).toBe("refused");
  expect(editing.message).toContain("could not be sent");
  without.unstubAllGlobals();
  server = servePatches();
  vi.stubGlobal("indexedDB", factory);
  await editing.save();
  expect(editing.state).toBe("saved");
  editing.close();
});
