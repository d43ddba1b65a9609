/**
 * A journal of unsaved masks, written after every stroke: a crash loses nothing. Each editing has
 * a draft of its own, so two tabs on one patch never write over each other. What the browser will
 * not keep stays in this page's memory, and the page can say so.
 */

import { within, type Stores } from "./database";
import { askToPersist } from "./persistence";
import type { Outcome, SavedTile } from "./saving";
import { dropDraft, newer, readDraft, readDrafts, writeDraft } from "./shelf";
import { broadcast, onTabMessage } from "./browser_tabs";
import type { Source } from "../api/types";

/** Names a draft: `id` is that of the editing that drew it. */
export interface DraftKey {
  userId: string;
  patchId: string;
  id: string;
}

/** A tile's upper left corner, level-0 px. */
export interface Corner {
  x: number;
  y: number;
}

/** The same tile: corners that are not whole are reckoned here and by the service. */
export function isSameTile(a: Corner, b: Corner): boolean {
  return Math.abs(a.x - b.x) < 0.5 && Math.abs(a.y - b.y) < 0.5;
}

/** What is painted on a tile around the patch in hand. */
export interface TileDraft extends Corner {
  row: number;
  column: number;
  /** Null where there is no patch yet. */
  patchId: string | null;
  /** The revision that `diff` goes on top of. */
  base: number;
  /** What its pixels become; UNCHANGED where they stay. */
  diff: Uint8Array;
}

export interface Draft extends DraftKey {
  slideId: string;
  width: number;
  height: number;
  data: Uint8Array;
  /** The revision the person began from. */
  etag: string;
  source: Source;
  /** The model version whose proposal was shown; null: none was. Older pages did not note it. */
  model?: string | null;
  seconds: number;
  changedAt: string;
  /** Counts the changes: two states of one draft are told apart by it. */
  version: number;
  /** The person asked to save it and the service could not be reached. */
  pending: boolean;
  /** States sent on top of `etag` as PNG bytes, oldest first: any of them may have arrived. */
  unanswered?: Uint8Array<ArrayBuffer>[];
  /** Of the patch in hand nothing was painted: it is not written, only what is around it. */
  onlyAround?: boolean;
  /** Tiles that were painted in the same strokes: saved with the patch in hand, all or none. */
  around?: Around;
  /** What was sent of tiles around, oldest first. */
  tilesSent?: SentTile[];
}

/** What was sent of a tile: as its answer may never come, it may have arrived. */
export interface SentTile extends Corner {
  /** The revision that it was sent on top of. */
  base: number;
  /** What was to become of its pixels, as a PNG. */
  diff: Uint8Array<ArrayBuffer>;
}

/** Where the patch in hand lies, level-0 px, and what is painted around it. */
export interface Around extends Corner {
  tiles: TileDraft[];
}

/** How many of those are kept: each stroke writes them anew. */
const MOST_UNANSWERED = 16;
/** Of tiles: an edit has 64 at most. */
const MOST_TILES_SENT = 64 * MOST_UNANSWERED;

/** Drafts that the browser did not keep, by id; gone with the page. */
const inMemory = new Map<string, Draft>();
/** What was last told of each draft, so that a stroke alone is no news. */
const announced = new Map<string, string>();
const listeners = new Set<() => void>();

/** Call `listener` when a draft appears, goes, or waits, in any tab. Returns the stop. */
export function onDrafts(listener: () => void): () => void {
  listeners.add(listener);
  const stop = onTabMessage((message) => message.kind === "drafts" && listener());
  return () => {
    listeners.delete(listener);
    stop();
  };
}

function announce(id: string, news: string): void {
  if (announced.get(id) === news) return;
  if (news) announced.set(id, news);
  else announced.delete(id);
  broadcast({ kind: "drafts" });
  for (const listener of [...listeners]) listener();
}

/** Whether a draft would outlive this page. */
export function isStored(id: string): boolean {
  return !inMemory.has(id);
}

export function anyUnstored(): boolean {
  return inMemory.size > 0;
}

/** A draft with what is known of sending it, which who draws does not know. */
function withUnanswered(draft: Draft, before: Draft | undefined): Draft {
  const { tilesSent } = before ?? {};
  const unanswered = before?.etag === draft.etag ? before?.unanswered : undefined;
  // tiles around have revisions of their own
  return { ...draft, ...(unanswered ? { unanswered } : {}), ...(tilesSent ? { tilesSent } : {}) };
}

/** Write a draft; false if it lives in this page's memory only. */
export async function storeDraft(draft: Draft): Promise<boolean> {
  let stored = true;
  try {
    await within("readwrite", async ({ drafts }) => {
      const before = newer(await readDraft(drafts, draft), inMemory.get(draft.id));
      return writeDraft(drafts, withUnanswered(draft, before));
    });
    inMemory.delete(draft.id);
  } catch (error) {
    console.warn("draft not stored", error);
    inMemory.set(draft.id, withUnanswered(draft, inMemory.get(draft.id)));
    stored = false;
  }
  if (stored) void askToPersist();
  announce(draft.id, `${draft.pending} ${stored}`);
  return stored;
}

/** All drafts of a person in this browser, newest first. */
export async function draftsOf(userId: string): Promise<Draft[]> {
  const stored = await within<Draft[]>("readonly", ({ drafts }) =>
    readDrafts(drafts, userId),
  ).catch(() => []);
  const all = new Map(stored.map((draft) => [draft.id, draft]));
  for (const draft of inMemory.values()) {
    if (draft.userId === userId) all.set(draft.id, newer(all.get(draft.id), draft)!);
  }
  return [...all.values()].sort((a, b) => b.changedAt.localeCompare(a.changedAt));
}

/** Change what is kept under a key, seen as it is at that moment; null takes it away. */
async function change(
  key: DraftKey,
  by: (now: Draft, stores: Stores | null) => Draft | null | Promise<null>,
): Promise<void> {
  let left: Draft | null | undefined;
  await within("readwrite", async (stores) => {
    const now = newer(await readDraft(stores.drafts, key), inMemory.get(key.id));
    if (!now) return;
    left = await by(now, stores);
    await (left ? writeDraft(stores.drafts, left) : dropDraft(stores.drafts, key));
  }).then(
    () => inMemory.delete(key.id),
    async () => {
      const now = inMemory.get(key.id);
      if (!now) return;
      left = await by(now, null);
      if (left) inMemory.set(key.id, left);
      else inMemory.delete(key.id);
    },
  );
  if (left !== undefined) announce(key.id, left ? `${left.pending} ${isStored(key.id)}` : "");
}

export async function findDraft(key: DraftKey): Promise<Draft | null> {
  const stored = await within<Draft | undefined>("readonly", ({ drafts }) =>
    readDraft(drafts, key),
  ).catch(() => undefined);
  return newer(stored, inMemory.get(key.id)) ?? null;
}

export const forgetDraft = (key: DraftKey): Promise<void> => change(key, () => null);

/** Give the draft of an editing that is no more to another; null if somebody else has it now. */
export async function takeOver(from: DraftKey, id: string): Promise<Draft | null> {
  let taken: Draft | null = null;
  await change(from, async (now, stores) => {
    taken = { ...now, id };
    if (stores) await writeDraft(stores.drafts, taken);
    else inMemory.set(id, taken);
    return null;
  });
  return taken;
}

/** Write down that a state of a draft is on its way: its answer may never come. */
export function rememberSent(draft: Draft, png: Uint8Array<ArrayBuffer>): Promise<void> {
  return change(draft, (now) => {
    if (now.etag !== draft.etag) return now;
    const others = (now.unanswered ?? []).filter((each) => !sameBytes(each, png));
    return { ...now, unanswered: [...others, png].slice(-MOST_UNANSWERED) };
  });
}

/** Write down what is on its way to tiles around: in doubt it is looked for there. */
export function rememberTiles(draft: Draft, tiles: SentTile[]): Promise<void> {
  return change(draft, (now) => {
    const again = (one: SentTile): boolean => tiles.some((each) => isSameSent(each, one));
    const others = (now.tilesSent ?? []).filter((each) => !again(each));
    return { ...now, tilesSent: [...others, ...tiles].slice(-MOST_TILES_SENT) };
  });
}

const isSameSent = (one: SentTile, other: SentTile): boolean =>
  isSameTile(one, other) && one.base === other.base && sameBytes(one.diff, other.diff);

const sameBytes = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, i) => byte === other[i]);

/** The tiles on top of what was saved of them; one that was merged with others' merges again. */
function ontoSaved(around: Around | undefined, saved: SavedTile[] = []): { around?: Around } {
  if (!around) return {};
  const tiles = around.tiles.map((tile) => {
    const written = saved.find((each) => isSameTile(each, tile));
    if (!written || written.merged) return tile;
    return { ...tile, base: written.revision, patchId: written.patchId };
  });
  return { around: { ...around, tiles } };
}

/**
 * Write down what became of a draft that was sent. What was drawn since then stays, on top of the
 * revision that the sent state has become.
 */
export function conclude(sent: Draft, outcome: Outcome): Promise<void> {
  return change(sent, (now) => {
    const same = now.version === sent.version;
    if (outcome.kind === "saved") {
      if (same) return null;
      const { unanswered: _, tilesSent = [], ...rest } = now;
      // those that were merged are still on top of what they were drawn on
      const merged = (outcome.tiles ?? []).filter((tile) => tile.merged);
      const kept = tilesSent.filter((tile) => merged.some((each) => isSameTile(each, tile)));
      const on = ontoSaved(now.around, outcome.tiles);
      return { ...rest, etag: outcome.etag, ...on, ...(kept.length > 0 ? { tilesSent: kept } : {}) };
    }
    if (outcome.kind === "waiting" || !same) return now;
    return { ...now, pending: false };
  });
}
