/** The tiles around a patch in hand, as the page sees them. */

import type { ReadonlySignal } from "@preact/signals";
import type { Patch } from "../api/types";
import type { Corner, TileDraft } from "../drafts/journal";
import type { OvertakenTile, SavedTile } from "../drafts/saving";
import type { Mask } from "../masks/mask";
import type { MaskStore, Place } from "../masks/mask_store";

/** The slide around a patch, as the page knows it. */
export interface SlideAround {
  /** Level-0 px. */
  width: number;
  height: number;
  patchAt(place: Place): Patch | undefined;
  /** Tell the person why something can't be painted. */
  say(sentence: string): void;
}

/** A tile that somebody has painted in this editing. */
export interface Tile {
  readonly key: string;
  /** Level-0 px. */
  readonly x: number;
  readonly y: number;
  readonly size: number;
  /** UNCHANGED where nothing is painted and its pixels are not known yet. */
  readonly mask: Mask;
  /** Null while they are read, and where there is none. */
  image: HTMLImageElement | null;
  proposal: Mask | null;
  /** What somebody else has saved of it, while the person is asked. */
  theirs: Mask | null;
}

export interface Surroundings {
  store: MaskStore;
  /** Those that are drawn; another list when one comes, or its pictures have. */
  shown: ReadonlySignal<readonly Tile[]>;
  /** Patches around with strokes that are not saved. */
  painted: ReadonlySignal<number>;
  /** What is painted and not saved, or may be there and is undone; asked after each stroke. */
  drafts(): TileDraft[];
  /** These are on their way, or have not arrived for sure. Returns those that it was news of. */
  setSent(tiles: readonly Corner[], isSent: boolean): Corner[];
  /** What was sent as `sent` has been saved. */
  adopt(sent: TileDraft[], saved: SavedTile[]): Promise<void>;
  /** Read what could not be read before. */
  readAgain(): void;
  /** Somebody has saved a revision: shown here where nothing of one's own is unsaved. */
  heard(patchId: string, revision: number): void;
  /** Show what others have saved of these. False if it can't be read. */
  oppose(tiles: OvertakenTile[]): Promise<boolean>;
  /** Paint on top of what others have saved of these. */
  keepMine(tiles: OvertakenTile[]): Promise<void>;
  /** These without what is painted on them, by the store's keys. */
  leaveOut(tiles: readonly Corner[]): Map<string, Uint8Array>;
  /** Others' pixels of these, by the store's keys; what is painted afterwards goes on top of them. */
  takeTheirs(tiles: OvertakenTile[]): Map<string, Uint8Array>;
}
