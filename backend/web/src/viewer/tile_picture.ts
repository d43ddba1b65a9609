/**
 * A tile of the mask as it is drawn: its fill as a small canvas, its outlines as paths of blocks.
 * What a stroke costs depends on the rectangle that it changes, never on what else is painted.
 */

import {
  IGNORE,
  MEMBRANE,
  outlineOf,
  UNCHANGED,
  UNSEEN,
  type Mask,
  type Rect,
} from "../masks/mask";

const BLOCK_PX = 32;
const FILL_MEMBRANE = rgba(0, 214, 178);
/** Proposed, and nobody has looked there: fainter than what somebody has painted. */
const FILL_PROPOSED = rgba(0, 214, 178, 120);
const FILL_IGNORE = rgba(150, 160, 170);
const FILL_ONLY_COMPARED = rgba(255, 122, 217);
const FILL_ONLY_BESIDE = rgba(255, 157, 61);

interface Block {
  rect: Rect;
  membrane: Path2D | null;
  ignore: Path2D | null;
  isStale: boolean;
}

/** The pictures left of, above, right of and below one, where there are such. */
export interface Beside {
  left: TilePicture | null;
  above: TilePicture | null;
  right: TilePicture | null;
  below: TilePicture | null;
}

export interface TilePicture {
  readonly fill: HTMLCanvasElement;
  /** What is seen at a pixel: a label, or UNSEEN. */
  shown(x: number, y: number): number;
  /** Pixels of the mask changed within a rectangle. */
  touch(rect: Rect): void;
  /** Outlines go on into these, and end where there is none. */
  join(beside: Beside): void;
  /** Trace anew what lies along a border: the pixels beyond it changed. */
  touchBorder(rect: Rect): void;
  /** Call `stroke` with the outlines of each block within a rectangle, in pixels of the mask. */
  outlines(within: Rect, stroke: (membrane: Path2D | null, ignore: Path2D | null) => void): void;
}

/** `compared`: a revision beside it. `under`: what is seen where nobody has looked. */
export function createTilePicture(
  mask: Mask,
  compared: Mask | null,
  under: Mask | null,
): TilePicture {
  const { width, height } = mask;
  const fill = document.createElement("canvas");
  fill.width = width;
  fill.height = height;
  const context = fill.getContext("2d")!;
  let beside: Beside = { left: null, above: null, right: null, below: null };
  const blocks: Block[] = [];
  for (let top = 0; top < height; top += BLOCK_PX) {
    for (let left = 0; left < width; left += BLOCK_PX) {
      const right = Math.min(left + BLOCK_PX, width);
      const bottom = Math.min(top + BLOCK_PX, height);
      const rect = { left, top, right, bottom };
      blocks.push({ rect, membrane: null, ignore: null, isStale: true });
    }
  }

  const isUnknown = (value: number): boolean => value === UNSEEN || value === UNCHANGED;
  function labelAt(i: number): number {
    const value = mask.data[i]!;
    return isUnknown(value) ? (under?.data[i] ?? UNSEEN) : value;
  }
  function colourAt(i: number): number {
    const value = mask.data[i]!;
    if (isUnknown(value)) return under?.data[i] === MEMBRANE ? FILL_PROPOSED : 0;
    const there = compared?.data[i] ?? value;
    return colourOf(value, there === UNSEEN ? value : there); // unseen: nothing to compare
  }
  function recolour({ left, top, right, bottom }: Rect): void {
    const pixels = new ImageData(right - left, bottom - top);
    const words = new Uint32Array(pixels.data.buffer);
    let n = 0;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) words[n++] = colourAt(y * width + x);
    }
    context.putImageData(pixels, left, top);
  }
  /** Also of the pixels around it, in the pictures beside. */
  function labelAround(x: number, y: number): number {
    if (x < 0) return beside.left?.shown(width - 1, y) ?? UNSEEN;
    if (y < 0) return beside.above?.shown(x, height - 1) ?? UNSEEN;
    if (x >= width) return UNSEEN;
    if (y >= height) return UNSEEN;
    return labelAt(y * width + x);
  }
  function trace(block: Block, label: number): Path2D | null {
    const closes = {
      right: block.rect.right === width && !beside.right,
      bottom: block.rect.bottom === height && !beside.below,
    };
    const edges = outlineOf(block.rect, (x, y) => labelAround(x, y) === label, closes);
    return edges.length > 0 ? pathOf(edges) : null;
  }
  function outdate(rect: Rect): void {
    for (const block of blocks) if (overlap(block.rect, rect)) block.isStale = true;
  }

  recolour({ left: 0, top: 0, right: width, bottom: height });
  return {
    fill,
    shown: (x, y) => labelAt(y * width + x),
    touch(rect) {
      recolour(rect);
      // a pixel's right and lower edges are the next one's
      outdate({ ...rect, right: rect.right + 1, bottom: rect.bottom + 1 });
    },
    touchBorder: outdate,
    join(now) {
      const names = ["left", "above", "right", "below"] as const;
      if (names.every((name) => now[name] === beside[name])) return;
      beside = now;
      for (const block of blocks) {
        const { left, top, right, bottom } = block.rect;
        if (left === 0 || top === 0 || right === width || bottom === height) block.isStale = true;
      }
    },
    outlines(within, stroke) {
      for (const block of blocks) {
        if (!overlap(block.rect, within)) continue;
        if (block.isStale) {
          block.membrane = trace(block, MEMBRANE);
          block.ignore = trace(block, IGNORE);
          block.isStale = false;
        }
        if (block.membrane || block.ignore) stroke(block.membrane, block.ignore);
      }
    },
  };
}

function overlap(a: Rect, b: Rect): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** What fills a pixel of a mask that has `there` in the revision beside it. */
function colourOf(here: number, there: number): number {
  if (there === MEMBRANE && here !== MEMBRANE) return FILL_ONLY_COMPARED;
  if (here === MEMBRANE && there !== MEMBRANE) return FILL_ONLY_BESIDE;
  if (here === MEMBRANE) return FILL_MEMBRANE;
  return here === IGNORE || there === IGNORE ? FILL_IGNORE : 0;
}

/** A colour as a word of ImageData, in this machine's byte order. */
function rgba(red: number, green: number, blue: number, alpha = 255): number {
  return new Uint32Array(Uint8Array.of(red, green, blue, alpha).buffer)[0]!;
}

export function pathOf(edges: number[]): Path2D {
  const line = new Path2D();
  for (let i = 0; i < edges.length; i += 4) {
    line.moveTo(edges[i]!, edges[i + 1]!);
    line.lineTo(edges[i + 2]!, edges[i + 3]!);
  }
  return line;
}
