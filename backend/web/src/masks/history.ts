/**
 * Undo and redo of strokes over the tiles of a mask: one step a stroke, kept as the pixels that
 * it changed, with what they were and what they became.
 */

import { UNCHANGED, UNSEEN, type Mask, type Rect } from "./mask";

/** What a stroke changed of one tile: `at` holds indices, y · width + x. */
export interface Piece {
  tile: string;
  at: Uint16Array;
  before: Uint8Array;
  after: Uint8Array;
  rect: Rect;
}
export type Step = Piece[];

export interface History {
  /** Remember a stroke. False if it changed nothing: that makes no step. */
  record(step: Step): boolean;
  /** Put the tiles back by one step; it, or null when there is none. */
  undo(tileOf: (tile: string) => Mask): Step | null;
  redo(tileOf: (tile: string) => Mask): Step | null;
  canUndo(): boolean;
  canRedo(): boolean;
  /** A tile's own pixels are known now: steps hold those where they held that they stay. */
  resolve(tile: string, pixels: Uint8Array): void;
  /**
   * Somebody else has written `onto` where this person knew `from`, and the tile is `now`: no step
   * writes over what they have changed, or unsees a pixel of a tile that is complete.
   */
  rebase(tile: string, from: Uint8Array, onto: Uint8Array, now: Uint8Array): void;
}

/** Of all steps together, 4 bytes each: more strokes than a person makes on a patch. */
const MOST_PIXELS = 16_000_000;

const sizeOf = (step: Step): number => step.reduce((sum, { at }) => sum + at.length, 0);

export function createHistory(limit = 2000, mostPixels = MOST_PIXELS): History {
  const done: Step[] = [];
  const undone: Step[] = [];
  const pixels = (): number => [...done, ...undone].reduce((sum, step) => sum + sizeOf(step), 0);
  const write = (step: Step, side: "before" | "after", tileOf: (tile: string) => Mask): Step => {
    for (const piece of step) {
      const { data } = tileOf(piece.tile);
      piece.at.forEach((i, n) => (data[i] = piece[side][n]!));
    }
    return step;
  };
  return {
    record(step) {
      const changed = step.filter(({ at }) => at.length > 0);
      if (changed.length === 0) return false;
      done.push(changed);
      undone.length = 0;
      while (done.length > limit || (done.length > 1 && pixels() > mostPixels)) done.shift();
      return true;
    },
    undo(tileOf) {
      const step = done.pop();
      if (!step) return null;
      undone.push(step);
      return write(step, "before", tileOf);
    },
    redo(tileOf) {
      const step = undone.pop();
      if (!step) return null;
      done.push(step);
      return write(step, "after", tileOf);
    },
    canUndo: () => done.length > 0,
    canRedo: () => undone.length > 0,
    resolve(tile, pixels) {
      for (const piece of [...done, ...undone].flat()) {
        if (piece.tile !== tile) continue;
        for (const values of [piece.before, piece.after]) fillIn(values, (n) => pixels[piece.at[n]!]!);
      }
    },
    rebase(tile, from, onto, now) {
      const isComplete = !onto.includes(UNSEEN);
      const isVoid = (value: number): boolean =>
        value === UNCHANGED || (isComplete && value === UNSEEN);
      for (const steps of [done, undone]) {
        for (const { tile: its, at, before, after } of steps.flat()) {
          if (its !== tile) continue;
          at.forEach((i, n) => {
            const isTheirs = from[i] !== UNCHANGED && from[i] !== onto[i];
            // painted on top of theirs and not saved: done again, it is there again
            const isMine = steps === done && now[i] !== onto[i];
            if (isTheirs || isVoid(before[n]!)) before[n] = onto[i]!;
            if ((isTheirs && !isMine) || isVoid(after[n]!)) after[n] = onto[i]!;
          });
        }
      }
    },
  };
}

/** Put the pixels that stay as they are in their places. */
export function fillIn(values: Uint8Array, pixel: (n: number) => number): void {
  for (let n = 0; n < values.length; n++) if (values[n] === UNCHANGED) values[n] = pixel(n);
}

/** What changed of a tile within a rectangle, given its pixels before. */
export function pieceOf(tile: string, before: Uint8Array, mask: Mask, rect: Rect): Piece {
  const at: number[] = [];
  for (let y = rect.top; y < rect.bottom; y++) {
    for (let x = rect.left; x < rect.right; x++) {
      const i = y * mask.width + x;
      if (before[i] !== mask.data[i]) at.push(i);
    }
  }
  const places = Uint16Array.from(at);
  return {
    tile,
    at: places,
    before: Uint8Array.from(places, (i) => before[i]!),
    after: Uint8Array.from(places, (i) => mask.data[i]!),
    rect,
  };
}
