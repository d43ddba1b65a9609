/** Which cell is meant by a place on the slide. No DOM. */

import type { Point } from "../masks/mask";
import { contains } from "./polygon";
import type { Cell } from "../api/types";

/** As far as the service looks for a nucleus, µm. */
export const REACH_UM = 4;

/** The cell whose outline holds the point, else the nearest within `reach` px; null if none is. */
export function cellAt(cells: readonly Cell[], at: Point, reach: number): Cell | null {
  let best: Cell | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const cell of cells) {
    const away = Math.hypot(cell.x - at.x, cell.y - at.y);
    const distance = contains([cell.outline], at) ? away - 1e6 : away;
    if (distance < least && (distance < 0 || away <= reach)) [best, least] = [cell, distance];
  }
  return best;
}

/** The next cell in reading order, for hands on the keyboard; rows are `row` px high. */
export function neighbour(
  cells: readonly Cell[],
  chosen: Cell | null,
  step: 1 | -1,
  row: number,
): Cell | null {
  const order = [...cells].sort(
    (a, b) => Math.floor(a.y / row) - Math.floor(b.y / row) || a.x - b.x,
  );
  const place = chosen ? order.findIndex((cell) => isSame(cell, chosen)) : -1;
  if (place < 0) return (step > 0 ? order[0] : order.at(-1)) ?? null;
  return order[(place + step + order.length) % order.length] ?? null;
}

export const isSame = (a: Point, b: Point): boolean => Math.hypot(a.x - b.x, a.y - b.y) < 0.5;
