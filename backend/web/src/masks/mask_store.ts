/**
 * A slide's mask as a sparse raster: tiles of 256 × 256 pixels on the grid of the patches, there
 * when somebody paints them. A stroke is a geometry in pixels of the grid; what it writes to the
 * tiles is one step, whether it touches one of them or forty.
 */

import { createHistory, fillIn, pieceOf, type Step } from "./history";
import { paintSegment, touches, union, type Label, type Mask, type Point, type Rect } from "./mask";
import { changedBy, changes, rebased } from "./merging";

export const TILE_PX = 256;

export interface Place {
  row: number;
  column: number;
}

export const keyOf = ({ row, column }: Place): string => `${row},${column}`;

/** Where a patch lies on the grid; its corner and size are level-0 px. */
export function placeOf({ x, y, size }: { x: number; y: number; size: number }): Place {
  return { row: Math.round(y / size), column: Math.round(x / size) };
}

export interface MaskStore {
  /** Paint a segment of a stroke, in pixels of the grid. */
  paint(from: Point, to: Point, diameter: number, label: Label): void;
  /** A stroke is under way. */
  painting(): boolean;
  /** End it: one step. False if there was none, or it changed nothing. */
  end(): boolean;
  /** Replace whole tiles as one step. */
  replace(pixels: ReadonlyMap<string, Uint8Array>): boolean;
  undo(): boolean;
  redo(): boolean;
  canUndo(): boolean;
  canRedo(): boolean;
  /** A tile's own pixels are known now: they stand where nothing was painted. */
  resolve(tile: string, pixels: Uint8Array): void;
  /** What a tile rests on has changed: the new pixels stand where nothing was painted on the old. */
  rebase(tile: string, from: Uint8Array, onto: Uint8Array): void;
  /** What changed since it was last asked, for whoever draws it. */
  takeDirty(): [Mask, Rect][];
}

const WHOLE: Rect = { left: 0, top: 0, right: TILE_PX, bottom: TILE_PX };
const NOWHERE: Mask = { width: TILE_PX, height: TILE_PX, data: new Uint8Array() };

/**
 * `tiles`: those that are there, by their keys. `open`: the tile at a place for a stroke, made where
 * there is none; null where nobody may paint.
 */
export function createMaskStore(
  tiles: ReadonlyMap<string, Mask>,
  open: (place: Place) => Mask | null,
): MaskStore {
  const history = createHistory();
  /** Of the stroke under way: each tile as it was before, and where it was touched. */
  const stroke = new Map<string, { before: Uint8Array; rect: Rect }>();
  let dirty = new Map<Mask, Rect>();
  let isPainting = false;

  const tileOf = (tile: string): Mask => tiles.get(tile)!;
  function touch(mask: Mask, rect: Rect): void {
    dirty.set(mask, union(dirty.get(mask) ?? null, rect)!);
  }
  function touchAll(step: Step | null): boolean {
    for (const { tile, rect } of step ?? []) touch(tileOf(tile), rect);
    return step !== null;
  }

  return {
    paint(from, to, diameter, label) {
      isPainting = true;
      for (const place of placesOf(from, to, diameter)) {
        const [a, b] = [within(from, place), within(to, place)];
        if (!touches(NOWHERE, a, b, diameter)) continue;
        const tile = keyOf(place);
        const begun = stroke.get(tile);
        const mask = begun ? tileOf(tile) : open(place);
        if (!mask) continue;
        const before = begun?.before ?? mask.data.slice();
        const rect = paintSegment(mask, a, b, diameter, label);
        if (!rect) continue;
        stroke.set(tile, { before, rect: union(begun?.rect ?? null, rect)! });
        touch(mask, rect);
      }
    },
    painting: () => isPainting,
    end() {
      const step = [...stroke].map(([tile, { before, rect }]) =>
        pieceOf(tile, before, tileOf(tile), rect),
      );
      stroke.clear();
      isPainting = false;
      return history.record(step);
    },
    replace(pixels) {
      const step = [...pixels].map(([tile, after]) => {
        const mask = tileOf(tile);
        const before = mask.data.slice();
        mask.data.set(after);
        touch(mask, WHOLE);
        return pieceOf(tile, before, mask, WHOLE);
      });
      return history.record(step);
    },
    undo: () => touchAll(history.undo(tileOf)),
    redo: () => touchAll(history.redo(tileOf)),
    canUndo: history.canUndo,
    canRedo: history.canRedo,
    resolve(tile, pixels) {
      const mask = tileOf(tile);
      for (const values of [mask.data, stroke.get(tile)?.before]) {
        if (values) fillIn(values, (i) => pixels[i]!);
      }
      history.resolve(tile, pixels);
      touch(mask, WHOLE);
    },
    rebase(tile, from, onto) {
      const mask = tileOf(tile);
      // also below the stroke under way: undone, it leaves them
      for (const values of [mask.data, stroke.get(tile)?.before]) {
        values?.set(changedBy(onto, rebased(changes(from, values), from, onto).diff));
      }
      history.rebase(tile, from, onto, mask.data);
      touch(mask, WHOLE);
    },
    takeDirty() {
      const taken = [...dirty];
      dirty = new Map();
      return taken;
    },
  };
}

/** The tiles along a segment, and a few beside it; those left of and above the slide, too. */
function placesOf(from: Point, to: Point, diameter: number): Place[] {
  const room = Math.max(diameter, 1) / 2;
  const index = (value: number): number => Math.floor(value / TILE_PX);
  const [first, last] = [index(Math.min(from.y, to.y) - room), index(Math.max(from.y, to.y) + room)];
  const places: Place[] = [];
  for (let row = first; row <= last; row++) {
    // the part of the segment that comes near this row
    const [top, bottom] = [row * TILE_PX - room, (row + 1) * TILE_PX + room];
    const ends = [crossing(from, to, top), crossing(from, to, bottom)];
    const left = index(Math.min(...ends) - room);
    const right = index(Math.max(...ends) + room);
    for (let column = left; column <= right; column++) places.push({ row, column });
  }
  return places;
}

/** Where a segment has this y; the x of its end that is nearest to it, where it has not. */
function crossing(from: Point, to: Point, y: number): number {
  if (from.y === to.y) return y <= from.y ? from.x : to.x;
  const along = (y - from.y) / (to.y - from.y);
  return from.x + Math.min(Math.max(along, 0), 1) * (to.x - from.x);
}

/** A point of the grid in a tile's own pixels. */
function within({ x, y }: Point, { row, column }: Place): Point {
  return { x: x - column * TILE_PX, y: y - row * TILE_PX };
}
