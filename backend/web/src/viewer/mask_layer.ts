/**
 * One canvas over the viewer: the patch grid, the open patch's own pixels, its mask and outlines,
 * the tiles painted around it, and the brush's true circle. Drawn anew when the view moves; after
 * a stroke only where it changed something.
 */

import { MEMBRANE, outline, union, type Mask, type Point, type Rect } from "../masks/mask";
import { keyOf, placeOf } from "../masks/mask_store";
import type { Patch } from "../api/types";
import type { Tile } from "../editing/surroundings";
import { drawDrafted, drawGrid, isOutside } from "./patch_grid";
import { createTilePicture, pathOf, type TilePicture } from "./tile_picture";
import type { SlideViewer } from "./viewer";

/** Differences are seen even where the mask itself is set to be faint. */
const LEAST_OPACITY_COMPARED = 0.6;
const LINE_MEMBRANE = "#00f0c8";
const LINE_IGNORE = "#dfe5ea";
const LINE_UNCERTAIN = "#ffe14a";
const LINE_THEIRS = "#ff7ad9";
/** Outlines and frames reach so far beyond what they are of, CSS px. */
const LINES_PX = 4;

/** What is drawn; the owner changes it and calls `redraw`. */
export interface Scene {
  patches: Patch[];
  /** Ids of patches that hold unsaved strokes in this browser. */
  drafted: ReadonlySet<string>;
  gridShown: boolean;
  /** The open patch with its mask; null when none is open. */
  open: {
    patch: Patch;
    image: CanvasImageSource | null;
    mask: Mask;
    uncertain: Mask | null;
    theirs: Mask | null;
    /** A revision that the mask is compared with: where they differ is filled. */
    compared: Mask | null;
    /** The tiles painted around it. */
    tiles: readonly Tile[];
    opacity: number;
    hidden: boolean;
  } | null;
  /** The brush at a place in patch pixels; diameter in patch pixels. */
  brush: { at: Point; diameter: number; erases: boolean } | null;
}

type Open = NonNullable<Scene["open"]>;

export interface MaskLayer {
  scene: Scene;
  /** Draw at the next frame; `what`: all of it, or only the brush and what is known to have changed. */
  redraw(what?: "all" | "changed"): void;
  /** Pixels of a mask changed within a rectangle: drawn at the next frame. */
  touch(mask: Mask, rect: Rect): void;
  /** CSS px of the viewer element → patch pixels of the open patch. */
  toPatch(screen: Point): Point;
  fromPatch(point: Point): Point;
  destroy(): void;
}

/** A path, its colour, its weight in CSS px, its dashes. */
type Line = [Path2D | null, string, number, number[]];

/** A tile as it lies on the slide. */
interface Drawn {
  x: number;
  y: number;
  size: number;
  image: CanvasImageSource | null;
  mask: Mask;
  picture: TilePicture;
  theirs: Mask | null;
}

interface Pictured {
  compared: Mask | null;
  under: Mask | null;
  picture: TilePicture;
}

export function createMaskLayer(canvas: HTMLCanvasElement, viewer: SlideViewer): MaskLayer {
  const visible = canvas.getContext("2d")!;
  /** All but the brush: it moves without the rest being drawn anew. */
  const still = document.createElement("canvas");
  const context = still.getContext("2d")!;
  const pictures = new WeakMap<Mask, Pictured>();
  let drawn: Drawn[] = [];
  /** Pixels that changed since the last frame, by their masks. */
  let dirty = new Map<Mask, Rect>();
  let isStale = true;
  let view = "";
  let frame = 0;
  /** Where level-0 px (0, 0) is on the screen, and CSS px per level-0 px, in this frame. */
  let origin: Point = { x: 0, y: 0 };
  let scale0 = 1;

  /** Screen rectangle of a patch, CSS px. */
  function place({ x, y, size }: { x: number; y: number; size: number }) {
    return { x: origin.x + x * scale0, y: origin.y + y * scale0, size: size * scale0 };
  }

  function look(): void {
    const { x, y } = viewer.toScreen({ x: 0, y: 0 });
    origin = { x, y };
    scale0 = viewer.scale();
  }

  /** The outline of a mask that does not change while it is shown: made once. */
  const outlines = new WeakMap<Mask, Path2D>();
  function unchanging(mask: Mask | null): Path2D | null {
    if (!mask) return null;
    const known = outlines.get(mask) ?? pathOf(outline(mask, (value) => value === MEMBRANE));
    outlines.set(mask, known);
    return known;
  }

  function pictureOf(mask: Mask, compared: Mask | null, under: Mask | null): TilePicture {
    const known = pictures.get(mask);
    if (known?.compared === compared && known.under === under) return known.picture;
    const picture = createTilePicture(mask, compared, under);
    pictures.set(mask, { compared, under, picture });
    return picture;
  }

  function gather(open: Open | null): Drawn[] {
    if (!open) return [];
    const { x, y, size } = open.patch;
    const hand: Drawn = {
      ...{ x, y, size, image: open.image, mask: open.mask, theirs: null },
      picture: pictureOf(open.mask, open.compared, null),
    };
    const tiles = open.tiles.map((tile) => ({
      ...{ x: tile.x, y: tile.y, size: tile.size, image: tile.image, mask: tile.mask },
      ...{ theirs: tile.theirs, picture: pictureOf(tile.mask, null, tile.proposal) },
    }));
    const all = [hand, ...tiles];
    const byPlace = new Map(all.map((each) => [keyOf(placeOf(each)), each.picture]));
    for (const each of all) each.picture.join(beside(each, byPlace));
    return all;
  }

  /** Give the pictures what changed of their masks; where that is on the screen. */
  function takeUp(): Rect | null {
    let region: Rect | null = null;
    const byPlace = new Map(drawn.map((each) => [keyOf(placeOf(each)), each.picture]));
    for (const [mask, rect] of dirty) {
      const known = pictures.get(mask)?.picture;
      known?.touch(rect);
      const tile = drawn.find((each) => each.mask === mask);
      if (!tile || !known) continue;
      const { right, below } = beside(tile, byPlace);
      const reach = { ...rect, right: rect.right + 1, bottom: rect.bottom + 1 };
      if (rect.right === mask.width) right?.touchBorder({ ...reach, left: 0, right: 1 });
      if (rect.bottom === mask.height) below?.touchBorder({ ...reach, top: 0, bottom: 1 });
      const { x, y, size } = place(tile);
      const pixel = size / mask.width;
      region = union(region, {
        left: Math.floor(x + rect.left * pixel) - LINES_PX,
        top: Math.floor(y + rect.top * pixel) - LINES_PX,
        right: Math.ceil(x + rect.right * pixel) + LINES_PX,
        bottom: Math.ceil(y + rect.bottom * pixel) + LINES_PX,
      });
    }
    dirty = new Map();
    return region;
  }

  function drawTile(tile: Drawn, open: Open, within: Rect, lines: Line[]): void {
    const { x, y, size } = place(tile);
    if (isOutside(x, y, size, within)) return;
    const scale = size / tile.mask.width;
    context.imageSmoothingEnabled = scale < 1;
    if (tile.image) context.drawImage(tile.image, x, y, size, size);
    if (open.hidden) return;
    const least = open.compared ? LEAST_OPACITY_COMPARED : 0;
    context.globalAlpha = Math.max(open.opacity, least);
    context.drawImage(tile.picture.fill, x, y, size, size);
    context.globalAlpha = 1;
    context.save();
    context.translate(x, y);
    context.scale(scale, scale);
    const stroke = (...[line, colour, weight, dash]: Line): void => {
      if (!line) return;
      context.lineWidth = weight / scale;
      context.setLineDash(dash.map((length) => length / scale));
      context.strokeStyle = colour;
      context.stroke(line);
    };
    const room = LINES_PX / scale;
    const seen = {
      left: (within.left - x) / scale - room,
      top: (within.top - y) / scale - room,
      right: (within.right - x) / scale + room,
      bottom: (within.bottom - y) / scale + room,
    };
    tile.picture.outlines(seen, (membrane, ignore) => {
      stroke(membrane, LINE_MEMBRANE, 1.25, []);
      stroke(ignore, LINE_IGNORE, 1.25, [2, 3]);
    });
    for (const line of lines) stroke(...line);
    stroke(unchanging(tile.theirs), LINE_THEIRS, 1.75, [6, 3]);
    context.restore();
  }

  function drawOpen(open: Open, within: Rect): void {
    const [hand, ...tiles] = drawn;
    for (const tile of tiles) drawTile(tile, open, within, []);
    const uncertain = open.compared ? null : unchanging(open.uncertain);
    drawTile(hand!, open, within, [
      [uncertain, "rgba(30, 20, 0, 0.55)", 2.5, []],
      [uncertain, LINE_UNCERTAIN, 1.25, []],
      [unchanging(open.compared ?? open.theirs), LINE_THEIRS, 1.75, [6, 3]],
    ]);
    const { x, y, size } = place(open.patch);
    // dark under light: seen on glass and on tissue, and nothing around it is dimmed
    for (const [colour, weight] of [
      ["rgba(0, 0, 0, 0.65)", 4],
      ["#ffffff", 2],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = weight;
      context.strokeRect(x - 1, y - 1, size + 2, size + 2);
    }
  }

  function drawBrush(brush: NonNullable<Scene["brush"]>, open: Open): void {
    const { x, y, size } = place(open.patch);
    const scale = size / open.mask.width;
    const radius = (Math.max(brush.diameter, 1) / 2) * scale;
    for (const [colour, weight] of [
      ["rgba(0, 0, 0, 0.65)", 3],
      [brush.erases ? "#ff9a8a" : "#ffffff", 1.25],
    ] as const) {
      visible.beginPath();
      visible.arc(x + brush.at.x * scale, y + brush.at.y * scale, radius, 0, 2 * Math.PI);
      visible.strokeStyle = colour;
      visible.lineWidth = weight;
      visible.setLineDash(brush.erases ? [4, 3] : []);
      visible.stroke();
    }
    visible.setLineDash([]);
  }

  function draw(): void {
    frame = 0;
    look();
    const { clientWidth: width, clientHeight: height } = canvas;
    const ratio = window.devicePixelRatio || 1;
    const now = [origin.x, origin.y, scale0, width, height, ratio].join();
    for (const each of [canvas, still]) {
      if (now === view) break;
      each.width = Math.round(width * ratio);
      each.height = Math.round(height * ratio);
    }
    const { open, brush, gridShown, drafted } = layer.scene;
    const changed = takeUp();
    const isWhole = isStale || now !== view;
    if (isWhole) drawn = gather(open);
    const region = isWhole ? { left: 0, top: 0, right: width, bottom: height } : changed;
    isStale = false;
    view = now;
    if (region) {
      const { left, top, right, bottom } = region;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.save();
      context.beginPath();
      context.rect(left, top, right - left, bottom - top);
      context.clip();
      context.clearRect(left, top, right - left, bottom - top);
      if (gridShown) drawGrid(context, layer.scene.patches, place, region);
      if (open) drawOpen(open, region);
      drawDrafted(context, layer.scene.patches.filter(({ id }) => drafted.has(id)), place);
      context.restore();
    }
    visible.setTransform(1, 0, 0, 1, 0, 0);
    visible.clearRect(0, 0, canvas.width, canvas.height);
    if (still.width > 0 && still.height > 0) visible.drawImage(still, 0, 0);
    visible.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (open && brush && !open.hidden) drawBrush(brush, open);
  }

  const layer: MaskLayer = {
    scene: { patches: [], drafted: new Set(), gridShown: true, open: null, brush: null },
    redraw(what = "all") {
      if (what === "all") isStale = true;
      frame ||= requestAnimationFrame(draw);
    },
    touch(mask, rect) {
      dirty.set(mask, union(dirty.get(mask) ?? null, rect)!);
      layer.redraw("changed");
    },
    toPatch(screen) {
      const { open } = layer.scene;
      if (!open) return { x: -1, y: -1 };
      look();
      const { x, y, size } = place(open.patch);
      const scale = open.mask.width / size;
      return { x: (screen.x - x) * scale, y: (screen.y - y) * scale };
    },
    fromPatch(point) {
      const { open } = layer.scene;
      if (!open) return { x: 0, y: 0 };
      look();
      const { x, y, size } = place(open.patch);
      const scale = size / open.mask.width;
      return { x: x + point.x * scale, y: y + point.y * scale };
    },
    destroy() {
      cancelAnimationFrame(frame);
    },
  };
  viewer.onMove(() => layer.redraw("changed")); // a view that has moved is seen in the frame
  return layer;
}

function beside(tile: Drawn, pictures: ReadonlyMap<string, TilePicture>) {
  const { row, column } = placeOf(tile);
  const at = (down: number, right: number): TilePicture | null =>
    pictures.get(keyOf({ row: row + down, column: column + right })) ?? null;
  return { left: at(0, -1), above: at(-1, 0), right: at(0, 1), below: at(1, 0) };
}
