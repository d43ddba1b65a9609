/**
 * A draft that reaches over the borders of its patch, brought to the service as one edit: all of
 * its tiles are saved, or none. Where somebody else has changed other pixels of a tile meanwhile,
 * both changes are put together; where they have changed the same, the person is asked.
 */

import { ApiError, listAnnotations, listPatches, readPatch } from "../api/client";
import { base64, movedTiles, saveEdit, type MovedTile, type TileChange } from "../api/edits";
import { changedBy, rebased } from "../masks/merging";
import { UNCHANGED } from "../masks/mask";
import { TILE_PX } from "../masks/mask_store";
import { decodeGray, encodeGray } from "../masks/png";
import { kinshipOf, readCurrent, readRevisionPixels } from "./current";
import {
  findDraft,
  isSameTile,
  rememberTiles,
  type Around,
  type Corner,
  type Draft,
  type SentTile,
  type TileDraft,
} from "./journal";
import { revisionOf, unsaved, type Outcome, type OvertakenTile, type SavedTile } from "./saving";

/** Others who save the same tiles at the same moment are waited out so often. */
const TRIES = 6;
/** The most seconds of work that the service believes. */
const A_DAY = 24 * 3600;

const UNDO_THERE = "Leave out the strokes there, or undo them; then save.";

/** What is to be written now: the draft, on top of what was found there. */
interface Attempt {
  etag: string;
  /** The patch in hand is to be written; not if nothing of it was painted, or the service has its pixels. */
  hand: boolean;
  seconds: number;
  tiles: TileDraft[];
  /** Tiles where nothing is left to change. */
  settled: SavedTile[];
}

export async function attemptEdit(
  draft: Draft,
  around: Around,
  png: Uint8Array<ArrayBuffer>,
): Promise<Outcome> {
  const { etag, seconds } = draft;
  const hand = !draft.onlyAround;
  let now: Attempt = { etag, seconds, hand, tiles: around.tiles, settled: [] };
  // what earlier attempts have sent; of this one, what is refused has not arrived
  const sent = (await findDraft(draft))?.tilesSent ?? [];
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      if (tries === 0) {
        const next = await withDoubtful(draft, around, now, sent);
        if ("kind" in next) return next;
        now = next;
      }
      let moved: MovedTile[];
      try {
        return await write(draft, around, png, now);
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 412) throw error;
        moved = movedTiles(error);
      }
      const next = await onto(draft, around, now, moved, sent);
      if ("kind" in next) return next;
      now = next;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const outcome = unsaved(error);
      const refused = movedTiles(error);
      const isAround = refused.length > 0 && !of(refused, around);
      if (!isAround || outcome.kind !== "refused") return outcome;
      const message = `Of a patch around this one: ${outcome.message} ${UNDO_THERE}`;
      return { ...outcome, message, tiles: refused.map(({ x, y }) => ({ x, y })) };
    }
  }
  return { kind: "waiting", message: "Others are saving the same patches at this moment." };
}

async function write(
  draft: Draft,
  around: Around,
  png: Uint8Array<ArrayBuffer>,
  now: Attempt,
): Promise<Outcome> {
  const hand: TileChange = {
    ...{ x: around.x, y: around.y, base_revision: revisionOf(now.etag) },
    mask_png_base64: base64(png),
  };
  const tiles: TileChange[] = now.hand ? [hand] : [];
  const sent: SentTile[] = [];
  for (const { x, y, base, diff: data } of now.tiles) {
    const diff = await encodeGray({ width: TILE_PX, height: TILE_PX, data });
    tiles.push({ x, y, base_revision: base, diff: base64(diff) });
    sent.push({ x, y, base, diff });
  }
  if (tiles.length === 0) return { kind: "saved", etag: now.etag, tiles: now.settled };
  await rememberTiles(draft, sent);
  const written = await saveEdit(draft.slideId, {
    tiles,
    source: draft.source,
    seconds_spent: Math.min(now.seconds, A_DAY),
    ...(draft.model ? { model_version: draft.model } : {}),
  });
  const isHand = (tile: Corner): boolean => isSameTile(tile, around);
  return {
    kind: "saved",
    etag: written.find(isHand)?.etag ?? now.etag,
    tiles: [
      ...now.settled,
      ...written
        .filter((tile) => !isHand(tile))
        .map((tile) => ({
          ...{ x: tile.x, y: tile.y, patchId: tile.patch_id, revision: tile.revision },
          merged: tile.revision !== (of(around.tiles, tile)?.base ?? 0) + 1,
        })),
    ],
  };
}

const of = <T extends Corner>(tiles: T[], corner: Corner): T | undefined =>
  tiles.find((tile) => isSameTile(tile, corner));

/** Tiles where all is undone are written only where an earlier state of them has arrived. */
async function withDoubtful(
  draft: Draft,
  around: Around,
  now: Attempt,
  sent: SentTile[],
): Promise<Attempt | Outcome> {
  const isUndone = ({ diff }: TileDraft): boolean => diff.every((value) => value === UNCHANGED);
  const undone = now.tiles.filter(isUndone);
  if (undone.length === 0) return now;
  const listed = undone.every(({ patchId }) => patchId) ? [] : await listPatches(draft.slideId);
  const moved: MovedTile[] = [];
  for (const { x, y, patchId, base } of undone) {
    const patch = patchId ? (await readPatch(patchId)).patch : of(listed, { x, y });
    if (!patch || patch.revision <= base) continue;
    moved.push({ x, y, patch_id: patch.id, revision: patch.revision });
  }
  const next = await onto(draft, around, now, moved, sent);
  if ("kind" in next) return next;
  return { ...next, tiles: next.tiles.filter((tile) => !isUndone(tile)) };
}

/** What is to be written on top of the tiles that have moved; a conflict, if that is not sure. */
async function onto(
  draft: Draft,
  around: Around,
  now: Attempt,
  moved: MovedTile[],
  sent: SentTile[],
): Promise<Attempt | Outcome> {
  const next = { ...now, tiles: [] as TileDraft[], settled: [...now.settled] };
  let isForeign = false;
  if (of(moved, around)) {
    const current = await readCurrent(draft.patchId);
    const kin = await kinshipOf(draft, current);
    const { annotation } = current;
    isForeign = kin === "foreign";
    next.etag = current.etag;
    next.hand = kin !== "same";
    const isOwn =
      annotation?.author.id === draft.userId && current.revision === revisionOf(draft.etag) + 1;
    if (isOwn) next.seconds = Math.max(0, draft.seconds - (annotation?.seconds_spent ?? 0));
  }
  const overtaken: OvertakenTile[] = [];
  for (const tile of now.tiles) {
    const there = of(moved, tile);
    const drawn = of(around.tiles, tile)!;
    if (!there) {
      next.tiles.push(tile);
      continue;
    }
    const { patch_id: patchId, revision } = there;
    const [mine, theirs] = await Promise.all([
      drawnOn(drawn, there, draft.userId, sent),
      readRevisionPixels(patchId, revision),
    ]);
    const { diff, overlap, left } = rebased(mine.diff, mine.base, theirs);
    const { x, y } = tile;
    if (overlap > 0) {
      const by = there.author ?? null;
      overtaken.push({ x, y, patchId, revision, by, at: there.created_at ?? null });
    } else if (left === 0) next.settled.push({ x, y, patchId, revision, merged: true });
    else next.tiles.push({ ...tile, patchId, base: revision, diff });
  }
  if (!isForeign && overtaken.length === 0) return next;
  return { kind: "conflict", current: await readCurrent(draft.patchId), tiles: overtaken };
}

/**
 * What is to change of a tile, and on top of which pixels: where an earlier state of this draft has
 * arrived, on top of that one, whatever others have made of it since.
 */
async function drawnOn(
  drawn: TileDraft,
  { patch_id: patchId, revision }: MovedTile,
  userId: string,
  sent: SentTile[],
): Promise<{ diff: Uint8Array; base: Uint8Array }> {
  const inDoubt = sent.filter(
    (each) => isSameTile(each, drawn) && each.base >= drawn.base && each.base < revision,
  );
  const annotations = inDoubt.length > 0 ? await listAnnotations(patchId) : [];
  for (const { base, diff } of inDoubt.reverse()) {
    const written = annotations.find((each) => each.revision === base + 1);
    if (written?.author.id !== userId) continue;
    const [before, after] = await Promise.all([
      readRevisionPixels(patchId, base),
      readRevisionPixels(patchId, base + 1),
    ]);
    const wanted = changedBy(before, (await decodeGray(diff)).data);
    if (wanted.some((value, i) => value !== after[i])) continue;
    // what was undone since is undone on top of it, too
    return { base: after, diff: rebased(drawn.diff, before, after, { own: true }).diff };
  }
  return { base: await readRevisionPixels(patchId, drawn.base), diff: drawn.diff };
}
