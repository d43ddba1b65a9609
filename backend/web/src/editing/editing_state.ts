/** What an open patch is to the rest of the page. */

import type { ReadonlySignal } from "@preact/signals";
import type { Mask, Point, Rect } from "../masks/mask";
import type { Sent } from "../drafts/outbox";
import type { Corner } from "../drafts/journal";
import type { Beside } from "../drafts/own_draft";
import type { Outcome } from "../drafts/saving";
import type { Annotation, Patch } from "../api/types";
import type { Tile } from "./surroundings";

export type PaintTool = "brush" | "eraser" | "ignore";
export type SaveState =
  "clean" | "unsaved" | "saving" | "saved" | "waiting" | "conflict" | "refused";

/** What changes while a patch is open, and is shown of it. */
export interface EditingFacts {
  patch: Patch;
  /** The revision that got in between, while a conflict is open. */
  theirs: Mask | null;
  /** It could not be read: it can be asked for again. */
  theirsUnread: boolean;
  /** All that others have saved in between has been read, and can be taken. */
  theirsReady: boolean;
  /** Tiles around because of which a save was refused: their strokes can be left out. */
  refused: readonly Corner[];
  revisions: Annotation[];
  /** Of the revision that the mask goes on top of. */
  etag: string;
  state: SaveState;
  message: string;
  /** The journal has answered for the newest stroke: it is kept as well as it will be. */
  written: boolean;
  /** When the draft was drawn that came back; null if none did. */
  restored: string | null;
  /** What other tabs hold of this patch, or have left. */
  beside: Beside;
}

/** Every fact and every answer is observed: who has read it is told of its change. */
export interface Editing extends Readonly<EditingFacts> {
  /** Of its draft; another editing of the same patch, in another tab, has another. */
  readonly id: string;
  readonly image: HTMLImageElement;
  readonly mask: Mask;
  readonly proposal: Mask | null;
  readonly uncertain: Mask | null;
  /** Counts every change of the mask's pixels, also within a stroke. */
  readonly pixels: ReadonlySignal<number>;
  /** The tiles around the patch that strokes have reached. */
  readonly tiles: ReadonlySignal<readonly Tile[]>;
  /** How many of them hold strokes that are not saved. */
  readonly painted: ReadonlySignal<number>;
  /** Where pixels changed since it was last asked, for whoever draws them. */
  takeDirty(): [Mask, Rect][];
  canUndo(): boolean;
  canRedo(): boolean;
  isProposal(): boolean;
  /** Strokes that the service does not have. */
  isUnsaved(): boolean;
  /** Whether those would outlive this page. */
  isStored(): boolean;
  counts(): { membrane: number; ignore: number };
  /** The service says otherwise of the patch than it did. */
  update(part: Partial<Patch>): void;
  /** A revision of one's own, written without this editing, is the newest now. */
  moveTo(revision: number): void;
  /** Paint a segment of a stroke, in the patch's pixels; it may lie outside of it. */
  stroke(tool: PaintTool, from: Point, to: Point, diameter: number): void;
  endStroke(): void;
  undo(): void;
  redo(): void;
  clear(): void;
  reset(): void;
  /**
   * Save, or wait for the save that is under way. Where strokes lie around the patch alone, it is
   * left as it was, unless the person says of it that it is `complete`.
   */
  save(complete?: boolean): Promise<void>;
  keepMine(): Promise<void>;
  readTheirs(): Promise<void>;
  takeTheirs(): void;
  /** Take back the strokes on the tiles around because of which a save was refused; undo brings them back. */
  leaveOut(): void;
  /** Somebody has saved a revision of some patch: it may be one around this. */
  heard(patchId: string, revision: number): void;
  /** What became of a state of this editing's own draft that somebody sent. */
  receive(sent: Sent, outcome: Outcome): Promise<void>;
  /**
   * Ask the service for a revision newer than this editing began from: with unsaved strokes, or
   * one under way, that is a conflict. A save that is under way is waited for. True if there is
   * one and nothing is unsaved: open the patch anew.
   */
  catchUp(): Promise<boolean>;
  /** See anew what lies beside. */
  look(): Promise<void>;
  /** Throw away what a tab that is gone has left. */
  discard(id: string): Promise<void>;
  /** Hand the patch back; unsaved strokes stay in this browser. */
  close(): void;
  /** The patch is shown and somebody is there; time counts until `pause`. */
  touch(): void;
  pause(): void;
  /** Of work since the last save. */
  seconds(): number;
}

