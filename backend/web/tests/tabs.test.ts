import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Editing } from "../src/editing/editing";
import type { Outcome } from "../src/drafts/saving";
import { freshIndexedDB, newTab, type Tab } from "./browser_stubs";
import { rowsOf, servePatches, type PatchServer } from "./patch_server";

let server: PatchServer;
let stops: (() => void)[] = [];

const draw = (editing: Editing, row: number): void => {
  editing.stroke("brush", { x: 30, y: row + 0.5 }, { x: 200, y: row + 0.5 }, 1);
  editing.endStroke();
};
const saved = (patch = "p") => (server.revisions.get(patch) ?? []).map(({ mask }) => rowsOf(mask));
async function open(tab: Tab, patch = "p", wanted?: string): Promise<Editing> {
  const editing = await tab.openEditing(patch, "me", wanted);
  stops.push(editing.close);
  return editing;
}
/** The outbox of a tab; resolves to what it tells first. */
function outbox(tab: Tab, told: (outcome: Outcome) => void = () => undefined): void {
  stops.push(tab.startOutbox("me", (_, outcome) => told(outcome)));
}
/** Follow what is told of an editing's draft, as the page does. */
function follow(tab: Tab, editing: Editing): void {
  stops.push(
    tab.onDelivered((sent, outcome) => {
      if (sent.id === editing.id) void editing.receive(sent, outcome);
      else if (sent.patchId === editing.patch.id) void editing.catchUp();
    }),
  );
}
const kept = async (tab: Tab) => (await tab.draftsOf("me")).length;

describe.each(["locks", "no locks"])("tabs with %s", (kind) => {
  beforeEach(() => {
    server = servePatches();
    freshIndexedDB();
    if (kind === "no locks") vi.stubGlobal("navigator", {});
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
  });
  afterEach(() => {
    for (const stop of stops) stop();
    stops = [];
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  test("one's save is no reason for the other to write over it", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await open(one);
    const second = await open(two);
    draw(first, 40);
    draw(second, 80);
    server.broken = true;
    await first.save();
    expect(first.state).toBe("waiting");
    expect(await kept(one)).toBe(2);
    server.broken = false;
    follow(one, first);
    follow(two, second);
    // the second tab is the one that sends
    outbox(two);
    await vi.waitFor(() => expect(first.state).toBe("saved"));
    await vi.waitFor(() => expect(second.state).toBe("conflict"));
    expect(saved()).toEqual([[40]]);
    expect(rowsOf(second.mask)).toEqual([80]);
    expect(second.etag).toBe('"r0"');
    await second.save();
    expect(saved()).toEqual([[40]]);
    await second.keepMine();
    expect(saved()).toEqual([[40], [80]]);
    first.close();
    second.close();
  });

  test("a second tab learns that the patch is open, and when it no longer is", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await open(one);
    draw(first, 40);
    const second = await open(two);
    await vi.waitFor(() => expect(second.beside).toMatchObject({ tabs: 1, unsaved: 1, left: [] }));
    expect(rowsOf(second.mask)).toEqual([]); // not shown here, not taken away there
    first.close();
    await vi.waitFor(() => expect(second.beside).toMatchObject({ tabs: 0, left: [{ id: first.id }] }));
    second.close();
    const third = await open(one);
    expect(rowsOf(third.mask)).toEqual([40]);
    third.close();
  });

  test("two drafts of tabs that are gone: both come back, one after the other", async () => {
    const [one, two, three] = [await newTab(), await newTab(), await newTab()];
    const first = await open(one);
    const second = await open(two);
    draw(first, 40);
    draw(second, 80);
    first.close();
    second.close();
    const newer = await open(three);
    const [shown] = rowsOf(newer.mask);
    expect([40, 80]).toContain(shown); // drawn in one millisecond
    const hidden = shown === 40 ? 80 : 40;
    await vi.waitFor(() => expect(newer.beside.left).toHaveLength(1));
    const [other] = newer.beside.left;
    newer.close();
    const older = await open(three, "p", other!.id);
    expect(rowsOf(older.mask)).toEqual([hidden]);
    await vi.waitFor(() => expect(older.beside.left).toHaveLength(1));
    await older.save();
    expect(saved()).toEqual([[hidden]]);
    older.close();
    // the other was drawn on the revision before: asked from the start
    const last = await open(one);
    expect(rowsOf(last.mask)).toEqual([shown]);
    expect(last.state).toBe("conflict");
    last.close();
    expect(await kept(one)).toBe(1);
  });

  test("two outboxes send a draft once", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await open(one);
    draw(first, 40);
    server.broken = true;
    await first.save();
    first.close();
    server.broken = false;
    const told: Outcome[] = [];
    server.onPut = () => new Promise((resolve) => setTimeout(resolve, 50));
    outbox(one, (outcome) => told.push(outcome));
    outbox(two, (outcome) => told.push(outcome));
    await vi.waitFor(() => expect(told).toHaveLength(1));
    await vi.waitFor(async () => expect(await kept(two)).toBe(0));
    expect(server.puts).toHaveLength(1);
    expect(saved()).toEqual([[40]]);
  });

  test("a draft that can't be sent keeps nobody behind it waiting", async () => {
    const tab = await newTab();
    server.broken = true;
    for (const patch of ["damaged", "failing", "good"]) {
      const editing = await (async () => {
        server.broken = false;
        const opened = await open(tab, patch);
        server.broken = true;
        return opened;
      })();
      draw(editing, 40);
      await editing.save();
      editing.close();
    }
    const damaged = (await tab.draftsOf("me")).find(({ patchId }) => patchId === "damaged")!;
    await tab.storeDraft({ ...damaged, data: damaged.data.slice(9) });
    server.broken = false;
    server.failing.add("failing");
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    const told: Outcome[] = [];
    outbox(tab, (outcome) => told.push(outcome));
    await vi.waitFor(() => expect(saved("good")).toEqual([[40]]));
    expect(told[0]).toMatchObject({ kind: "refused" });
    const left = await tab.draftsOf("me");
    expect(left.map(({ patchId, pending }) => [patchId, pending]).sort()).toEqual([
      ["damaged", false],
      ["failing", true],
    ]);
  });

  test("strokes made while another tab sends the state before go on top of it", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await open(one);
    draw(first, 40);
    server.broken = true;
    await first.save();
    server.broken = false;
    follow(one, first);
    let arrived = (): void => undefined;
    const sending = new Promise<void>((resolve) => (arrived = resolve));
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    server.onPut = () => (arrived(), held);
    outbox(two);
    await sending;
    draw(first, 80);
    goOn();
    await vi.waitFor(() => expect(first.etag).toBe('"r1"'));
    expect(first.state).toBe("unsaved");
    await first.save();
    expect(first.state).toBe("saved");
    expect(saved()).toEqual([[40], [40, 80]]);
    first.close();
  });

  test("a save without an answer, drawn on: whichever tab goes on, it is no conflict", async () => {
    const tabs = [await newTab(), await newTab(), await newTab()] as const;
    const first = await open(tabs[0]);
    server.silent.add("p");
    draw(first, 40);
    await first.save();
    draw(first, 80);
    await vi.waitFor(async () => {
      expect((await tabs[1].draftsOf("me")).map(rowsOf)).toEqual([[40, 80]]);
    });
    first.close();
    expect(saved()).toEqual([[40]]);
    // opened by the next: the strokes lie on top of what arrived
    const second = await open(tabs[1]);
    expect([second.state, second.etag]).toEqual(["unsaved", '"r1"']);
    await second.save();
    expect(second.state).toBe("waiting");
    expect(saved()).toEqual([[40], [40, 80]]);
    draw(second, 120);
    server.broken = true;
    await second.save();
    second.close();
    server.broken = false;
    server.silent.clear();
    // and nobody opens it again: the outbox of a third sends it
    const told: Outcome[] = [];
    outbox(tabs[2], (outcome) => told.push(outcome));
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(told[0]).toMatchObject({ kind: "saved", etag: '"r3"' });
    expect(saved()).toEqual([[40], [40, 80], [40, 80, 120]]);
    await vi.waitFor(async () => expect(await kept(tabs[2])).toBe(0));
  });

  test("a save whose tab is gone is sent by another", async () => {
    const [one, two] = [await newTab(), await newTab()];
    const first = await open(one);
    draw(first, 40);
    server.broken = true;
    await first.save();
    first.close();
    server.broken = false;
    outbox(two);
    await vi.waitFor(() => expect(saved()).toEqual([[40]]));
    await vi.waitFor(async () => expect(await kept(two)).toBe(0));
  });
});
