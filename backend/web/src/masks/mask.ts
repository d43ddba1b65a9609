/**
 * A patch's label mask and what a brush does to it. No DOM here: the canvas only shows it.
 * Values are the contract's: 0 background, 127 ignore, 255 membrane, and 63 in a stored mask that
 * was painted only in part: nobody has looked there. Index = y · width + x.
 */

export const BACKGROUND = 0;
export const UNSEEN = 63;
export const IGNORE = 127;
export const MEMBRANE = 255;
export type Label = typeof BACKGROUND | typeof IGNORE | typeof MEMBRANE;

export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A rectangle of changed pixels: left and top inside, right and bottom outside. */
export interface Rect {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface Point {
  x: number;
  y: number;
}

export function emptyMask(width: number, height: number): Mask {
  return { width, height, data: new Uint8Array(width * height) };
}

export function copyMask(mask: Mask): Mask {
  return { ...mask, data: mask.data.slice() };
}

export function sameMask(a: Mask, b: Mask): boolean {
  return (
    a.width === b.width && a.height === b.height && a.data.every((value, i) => value === b.data[i])
  );
}

/** Bring any grayscale to the three labels, by the nearest of them; what is unseen stays so. */
export function asLabels(mask: Mask): Mask {
  const data = mask.data.map((value) =>
    value === UNSEEN ? UNSEEN : value >= 192 ? MEMBRANE : value >= 64 ? IGNORE : BACKGROUND,
  );
  return { ...mask, data };
}

/** The mask as it is shown and saved: where nobody has looked, the proposal if there is one. */
export function wholeMask(mask: Mask, proposal: Mask | null): Mask {
  const rest = proposal?.data;
  const data = mask.data.map((value, i) => (value === UNSEEN ? (rest?.[i] ?? BACKGROUND) : value));
  return { ...mask, data };
}

/** Number of pixels of each label. */
export function countLabels(mask: Mask): { membrane: number; ignore: number } {
  let membrane = 0;
  let ignore = 0;
  for (const value of mask.data) {
    if (value === MEMBRANE) membrane += 1;
    else if (value === IGNORE) ignore += 1;
  }
  return { membrane, ignore };
}

export function union(a: Rect | null, b: Rect | null): Rect | null {
  if (!a || !b) return a ?? b;
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
  };
}

/**
 * Paint every pixel whose centre lies within `diameter / 2` of the segment from → to
 * (a capsule, so a fast pointer leaves no gaps). Points are in mask pixels, where pixel (0, 0)
 * covers [0, 1)². A diameter below 1 still paints the pixel under the pointer.
 * Returns the touched rectangle, or null when the stroke lies outside.
 */
export function paintSegment(
  mask: Mask,
  from: Point,
  to: Point,
  diameter: number,
  label: Label,
): Rect | null {
  const radius = Math.max(diameter, 1) / 2;
  const left = clamp(Math.floor(Math.min(from.x, to.x) - radius), 0, mask.width);
  const right = clamp(Math.ceil(Math.max(from.x, to.x) + radius), 0, mask.width);
  const top = clamp(Math.floor(Math.min(from.y, to.y) - radius), 0, mask.height);
  const bottom = clamp(Math.ceil(Math.max(from.y, to.y) + radius), 0, mask.height);
  if (left >= right || top >= bottom) return null;
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length2 = dx * dx + dy * dy;
  const reach2 = radius * radius;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const px = x + 0.5 - from.x;
      const py = y + 0.5 - from.y;
      const along = length2 === 0 ? 0 : clamp((px * dx + py * dy) / length2, 0, 1);
      const ex = px - along * dx;
      const ey = py - along * dy;
      if (ex * ex + ey * ey <= reach2) mask.data[y * mask.width + x] = label;
    }
  }
  paintUnder(mask, from, label);
  paintUnder(mask, to, label);
  return { left, top, right, bottom };
}

/** The pixel under the pointer itself: a thin brush may miss every pixel centre. */
function paintUnder(mask: Mask, at: Point, label: Label): void {
  const x = Math.floor(at.x);
  const y = Math.floor(at.y);
  if (x >= 0 && y >= 0 && x < mask.width && y < mask.height) mask.data[y * mask.width + x] = label;
}

/**
 * The edges between pixels that pass `inside` and those that don't, as flat x1, y1, x2, y2 runs
 * in mask pixels; straight runs are joined. Outlines drawn from it stay crisp at every zoom.
 */
export function outline(mask: Mask, inside: (value: number) => boolean): number[] {
  const { width, height, data } = mask;
  // one empty pixel all around, so that no neighbour needs a bounds check
  const stride = width + 2;
  const filled = new Uint8Array(stride * (height + 2));
  let any = false;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!inside(data[y * width + x]!)) continue;
      filled[(y + 1) * stride + x + 1] = 1;
      any = true;
    }
  }
  if (!any) return [];
  const edges: number[] = [];
  for (let y = 0; y <= height; y++) {
    let start = -1;
    for (let x = 0; x <= width; x++) {
      const i = (y + 1) * stride + x + 1;
      const edge = filled[i] !== filled[i - stride];
      if (edge && start < 0) start = x;
      if (!edge && start >= 0) {
        edges.push(start, y, x, y);
        start = -1;
      }
    }
  }
  for (let x = 0; x <= width; x++) {
    let start = -1;
    for (let y = 0; y <= height; y++) {
      const i = (y + 1) * stride + x + 1;
      const edge = filled[i] !== filled[i - 1];
      if (edge && start < 0) start = y;
      if (!edge && start >= 0) {
        edges.push(x, start, x, y);
        start = -1;
      }
    }
  }
  return edges;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
