/** The grid of patches over the slide: what state each is in, and which hold unsaved strokes. */

import type { Patch, PatchState } from "../api/types";
import type { Rect } from "../masks/mask";

const GRID: Partial<Record<PatchState, string>> = {
  annotated: "#00d6b2",
  approved: "#00d6b2",
  returned: "#ffb13d",
  in_annotation: "#ffffff",
  partial: "#8fb8ff",
};
/** Not finished: in somebody's hands, or painted only in part. */
const DASHED: ReadonlySet<PatchState> = new Set(["in_annotation", "partial"]);
/** Unsaved strokes: a corner, so that the colour of the frame still says the state. */
const DRAFTED = "#ff5c5c";
const DRAFTED_PX = 14;
const GRID_FAINT = "rgba(20, 30, 40, 0.28)";
const SMALLEST_GRID_PX = 14;

/** Where a patch lies on the screen, CSS px. */
export type PlaceOnScreen = (patch: Patch) => { x: number; y: number; size: number };

/** Draw the frames of the patches that reach into `within`, CSS px. */
export function drawGrid(
  context: CanvasRenderingContext2D,
  patches: Patch[],
  place: PlaceOnScreen,
  within: Rect,
): void {
  for (const patch of patches) {
    const { x, y, size } = place(patch);
    if (isOutside(x, y, size, within)) continue;
    const colour = GRID[patch.state];
    if (size < SMALLEST_GRID_PX) {
      if (!colour) continue;
      context.fillStyle = colour;
      context.fillRect(x, y, Math.max(size, 2), Math.max(size, 2));
      continue;
    }
    context.lineWidth = colour ? 2 : 1;
    context.strokeStyle = colour ?? GRID_FAINT;
    context.setLineDash(DASHED.has(patch.state) ? [5, 4] : []);
    const inset = colour ? 1.5 : 0.5;
    context.strokeRect(x + inset, y + inset, size - 2 * inset, size - 2 * inset);
  }
  context.setLineDash([]);
}

/** Mark patches with unsaved strokes; with the grid hidden, too: nobody must look for them. */
export function drawDrafted(
  context: CanvasRenderingContext2D,
  patches: Patch[],
  place: PlaceOnScreen,
): void {
  context.fillStyle = DRAFTED;
  for (const patch of patches) {
    const { x, y, size } = place(patch);
    const side = Math.max(Math.min(size / 2, DRAFTED_PX), 4);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + side, y);
    context.lineTo(x, y + side);
    context.fill();
  }
}

export function isOutside(x: number, y: number, size: number, within: Rect): boolean {
  return x > within.right || y > within.bottom || x + size < within.left || y + size < within.top;
}
