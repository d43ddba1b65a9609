/** Undo and redo of mask edits: one step a stroke, kept as the changed rectangle before and after. */

import type { Mask, Rect } from "./mask";

interface Step {
  rect: Rect;
  before: Uint8Array;
  after: Uint8Array;
}

export interface History {
  /** Remember what a stroke changed, given the mask before it. Unchanged pixels make no step. */
  record(before: Uint8Array, mask: Mask, rect: Rect | null): boolean;
  /** Put the mask back by one step; the changed rectangle, or null when there is none. */
  undo(mask: Mask): Rect | null;
  redo(mask: Mask): Rect | null;
  canUndo(): boolean;
  canRedo(): boolean;
}

export function createHistory(limit = 200): History {
  const done: Step[] = [];
  const undone: Step[] = [];
  return {
    record(before, mask, rect) {
      if (!rect) return false;
      const step: Step = {
        rect,
        before: cut(before, mask.width, rect),
        after: cut(mask.data, mask.width, rect),
      };
      if (step.before.every((value, i) => value === step.after[i])) return false;
      done.push(step);
      if (done.length > limit) done.shift();
      undone.length = 0;
      return true;
    },
    undo(mask) {
      const step = done.pop();
      if (!step) return null;
      paste(mask, step.rect, step.before);
      undone.push(step);
      return step.rect;
    },
    redo(mask) {
      const step = undone.pop();
      if (!step) return null;
      paste(mask, step.rect, step.after);
      done.push(step);
      return step.rect;
    },
    canUndo: () => done.length > 0,
    canRedo: () => undone.length > 0,
  };
}

function cut(data: Uint8Array, width: number, rect: Rect): Uint8Array {
  const columns = rect.right - rect.left;
  const piece = new Uint8Array(columns * (rect.bottom - rect.top));
  for (let y = rect.top; y < rect.bottom; y++) {
    const start = y * width + rect.left;
    piece.set(data.subarray(start, start + columns), (y - rect.top) * columns);
  }
  return piece;
}

function paste(mask: Mask, rect: Rect, piece: Uint8Array): void {
  const columns = rect.right - rect.left;
  for (let y = rect.top; y < rect.bottom; y++) {
    const from = (y - rect.top) * columns;
    mask.data.set(piece.subarray(from, from + columns), y * mask.width + rect.left);
  }
}
