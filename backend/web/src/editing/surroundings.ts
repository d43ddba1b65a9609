/**
 * The tiles around a patch in hand, as far as somebody paints on them: each counts where it is
 * painted, and the rest of it stays unseen until somebody says that it is complete.
 */

import { signal } from "@preact/signals";
import { readPatch } from "../api/client";
import type { Patch } from "../api/types";
import { readRevisionPixels } from "../drafts/current";
import { isSameTile, type Corner, type TileDraft } from "../drafts/journal";
import type { SavedTile } from "../drafts/saving";
import { UNCHANGED, type Mask } from "../masks/mask";
import { createMaskStore, keyOf, placeOf, TILE_PX, type Place } from "../masks/mask_store";
import { changedBy, changes } from "../masks/merging";
import { readImage, readMask } from "./patch_reading";
import type { SlideAround, Surroundings, Tile } from "./surroundings_state";

export type { SlideAround, Surroundings, Tile } from "./surroundings_state";

/** What the service takes as one edit, the patch in hand among them. */
export const MOST_TILES = 64;

/** Rounding of a stored resolution, in pixels of the grid. */
const NOISE = 1e-4;

interface Held extends Tile {
  place: Place;
  patchId: string | null;
  /** The revision that its strokes go on top of, and the pixels of that as far as they are known. */
  base: number;
  baseline: Uint8Array;
  isChanged: boolean;
  /** Whether all pixels of `baseline` are known, or asked for. */
  pixels: "unread" | "coming" | "known";
  /** A state of it was sent and not answered: though it is undone, it may have arrived. */
  isSent: boolean;
}

const blank = (): Uint8Array => new Uint8Array(TILE_PX * TILE_PX).fill(UNCHANGED);

/** `drafts`: what was painted before, and comes back. `onPixels`: pixels came that nobody drew. */
export function createSurroundings(
  hand: Patch,
  handMask: Mask,
  slide: SlideAround | null,
  drafts: readonly TileDraft[],
  onPixels: () => void,
): Surroundings {
  const home = placeOf(hand);
  const held = new Map<string, Held>();
  const masks = new Map<string, Mask>([[keyOf(home), handMask]]);
  const shown = signal<readonly Tile[]>([]);
  const painted = signal(0);
  let refused = "";

  /** Tiles that cover a length, level-0 px: the service's own count. */
  const count = (length: number): number =>
    Math.ceil(Math.ceil((length / hand.size) * TILE_PX - NOISE) / TILE_PX);
  const show = (): void => void (shown.value = [...held.values()]);

  function add(place: Place, patchId: string | null, base: number): Held {
    const tile: Held = {
      ...{ key: keyOf(place), place, patchId, base, baseline: blank() },
      ...{ isChanged: true, isSent: false },
      ...{ x: place.column * hand.size, y: place.row * hand.size, size: hand.size },
      mask: { width: TILE_PX, height: TILE_PX, data: blank() },
      ...{ image: null, proposal: null, theirs: null, pixels: "unread" },
    };
    held.set(tile.key, tile);
    masks.set(tile.key, tile.mask);
    show();
    return tile;
  }

  function refuse(sentence: string): null {
    if (refused !== sentence) slide?.say(sentence);
    refused = sentence;
    return null;
  }

  function open(place: Place): Mask | null {
    if (keyOf(place) === keyOf(home)) return handMask;
    if (!slide || place.row < 0 || place.column < 0) return null;
    if (place.row >= count(slide.height) || place.column >= count(slide.width)) return null;
    const patch = slide.patchAt(place);
    if (patch?.state === "approved") {
      return refuse("A second person has approved a patch here: its mask stays as it is.");
    }
    if (patch?.problem) return refuse("The slide can't be read here, so nobody sees what they paint.");
    let tile = held.get(keyOf(place));
    if (!tile?.isChanged && countChanged() + 1 >= MOST_TILES) {
      return refuse(`${MOST_TILES} patches hold unsaved strokes. Save them, then paint on.`);
    }
    if (!tile) {
      tile = add(place, patch?.id ?? null, patch?.revision ?? 0);
      void read(tile, { newest: true });
    }
    if (tile.pixels === "unread") void read(tile, { newest: false });
    tile.isChanged = true;
    return tile.mask;
  }

  const countChanged = (): number => [...held.values()].filter(({ isChanged }) => isChanged).length;

  /** Read what lies below the strokes; what can't be read stays unknown, and the strokes hold. */
  async function read(tile: Held, { newest }: { newest: boolean }): Promise<void> {
    const { patchId } = tile;
    tile.pixels = "coming";
    if (!patchId) return fill(tile, await readRevisionPixels("", 0));
    try {
      const begun = tile.base;
      const { patch } = await readPatch(patchId);
      // once it is sent, the newest may be one's own, which is not what lies below the strokes
      if (newest && tile.base === begun && !tile.isSent) tile.base = patch.revision;
      const model = patch.model_version_id;
      const [pixels, image, proposal] = await Promise.all([
        readSteady(tile, patchId),
        readImage(patchId),
        model ? readMask(patchId, "proposal", model) : null,
      ]);
      tile.image = image.naturalWidth > 0 ? image : null;
      tile.proposal = proposal;
      fill(tile, pixels);
    } catch (error) {
      console.warn("a tile around the patch was not read", error);
      if (tile.pixels === "coming") tile.pixels = "unread";
    }
  }

  /** The pixels of the revision that a tile rests on, which may change meanwhile. */
  async function readSteady(tile: Held, patchId: string): Promise<Uint8Array> {
    for (;;) {
      const { base } = tile;
      const pixels = await readRevisionPixels(patchId, base);
      if (base === tile.base) return pixels;
    }
  }

  function fill(tile: Held, pixels: Uint8Array): void {
    tile.baseline = changedBy(pixels, tile.baseline);
    tile.pixels = "known";
    store.resolve(tile.key, pixels);
    show();
    onPixels();
  }

  /** What is painted and not saved stays, on top of another revision. */
  function goOnTopOf(tile: Held, patchId: string, revision: number, pixels: Uint8Array): void {
    store.rebase(tile.key, tile.baseline, pixels);
    tile.patchId = patchId;
    tile.base = revision;
    tile.baseline = pixels;
    tile.pixels = "known";
    tile.isSent = false;
  }

  async function adoptTile(tile: Held, was: TileDraft, saved: SavedTile): Promise<void> {
    const { patchId, revision, merged } = saved;
    if (tile.pixels !== "known") {
      // an undo writes what lay below the strokes: what is saved now holds them
      fill(tile, await readRevisionPixels(patchId, was.base));
      tile.base = was.base;
    }
    if (tile.base >= revision) return;
    const theirs = merged ? await readRevisionPixels(patchId, revision) : null;
    // only now: its own pixels may have come meanwhile
    const written = changedBy(tile.baseline, was.diff);
    tile.baseline = written;
    goOnTopOf(tile, patchId, revision, theirs ?? written);
  }

  const at = (corner: Corner): Held | undefined =>
    [...held.values()].find((tile) => isSameTile(tile, corner));

  const store = createMaskStore(masks, open);
  const surroundings: Surroundings = {
    store: {
      ...store,
      end() {
        refused = ""; // said once a stroke
        const isStep = store.end();
        if (!isStep) surroundings.drafts();
        return isStep;
      },
    },
    shown,
    painted,
    drafts() {
      const all = [...held.values()].map((tile) => {
        const diff = changes(tile.baseline, tile.mask.data);
        tile.isChanged = diff.some((value) => value !== UNCHANGED);
        const { x, y, patchId, base, place } = tile;
        return { x, y, ...place, patchId, base, diff };
      });
      painted.value = countChanged();
      const isDraft = ({ isChanged, isSent }: Held): boolean => isChanged || isSent;
      return all.filter((tile) => isDraft(held.get(keyOf(tile))!));
    },
    setSent(tiles, isSent) {
      const news = tiles.filter((tile) => at(tile) && at(tile)!.isSent !== isSent);
      for (const tile of news) at(tile)!.isSent = isSent;
      return news;
    },
    async adopt(sent, saved) {
      for (const tile of held.values()) tile.isSent = false;
      for (const each of saved) {
        const tile = at(each);
        const was = sent.find((one) => isSameTile(one, each));
        if (!tile || !was) continue;
        try {
          await adoptTile(tile, was, each);
        } catch {
          tile.isSent = true; // what can't be read now is put together when it is saved
        }
      }
    },
    readAgain() {
      for (const tile of held.values()) if (tile.pixels === "unread") void read(tile, { newest: false });
    },
    heard(patchId, revision) {
      const tile = [...held.values()].find((each) => each.patchId === patchId);
      if (!tile || tile.isChanged || tile.isSent || tile.base >= revision) return;
      readRevisionPixels(patchId, revision).then(
        (pixels) => {
          if (tile.isChanged || tile.isSent || tile.base >= revision) return;
          goOnTopOf(tile, patchId, revision, pixels);
          onPixels();
        },
        () => undefined, // saving finds out
      );
    },
    async oppose(tiles) {
      try {
        for (const { x, y, patchId, revision } of tiles) {
          const data = await readRevisionPixels(patchId, revision);
          const tile = at({ x, y });
          if (tile) tile.theirs = { width: TILE_PX, height: TILE_PX, data };
        }
        return true;
      } catch {
        return false;
      } finally {
        show();
      }
    },
    async keepMine(tiles) {
      for (const { x, y, patchId, revision } of tiles) {
        const tile = at({ x, y });
        if (!tile) continue;
        goOnTopOf(tile, patchId, revision, await readRevisionPixels(patchId, revision));
        tile.theirs = null;
      }
      show();
    },
    leaveOut(tiles) {
      const left = tiles.flatMap((corner) => at(corner) ?? []);
      surroundings.setSent(left, false);
      return new Map(left.map(({ key, baseline }) => [key, baseline]));
    },
    takeTheirs(tiles) {
      const taken = new Map<string, Uint8Array>();
      for (const { x, y, patchId, revision } of tiles) {
        const tile = at({ x, y });
        if (!tile?.theirs) continue;
        const theirs = tile.theirs.data;
        // theirs below one's own first: undone, the step brings back one's own pixels, no others
        goOnTopOf(tile, patchId, revision, theirs);
        taken.set(tile.key, theirs);
        tile.theirs = null;
      }
      show();
      return taken;
    },
  };

  for (const draft of drafts) {
    const tile = add(draft, draft.patchId, draft.base);
    tile.mask.data.set(draft.diff);
    tile.isChanged = draft.diff.some((value) => value !== UNCHANGED);
    void read(tile, { newest: false });
  }
  painted.value = countChanged();
  return surroundings;
}
