/**
 * A patch's label mask and what a brush does to it. No DOM here: the canvas only shows it.
 * Values are the contract's: 0 background, 127 ignore, 255 membrane, and 63 in a stored mask that
 * was painted only in part: nobody has looked there. Index = y · width + x.
 */

export const BACKGROUND = 0;
export const UNSEEN = 63;
export const IGNORE = 127;
export const MEMBRANE = 255;
/** In what is to be changed of a mask: the pixel stays as it is. */
export const UNCHANGED = 191;
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

/** Where a capsule can lie in a mask; null where it lies outside. */
function reach(mask: Mask, from: Point, to: Point, radius: number): Rect | null {
  const left = clamp(Math.floor(Math.min(from.x, to.x) - radius), 0, mask.width);
  const right = clamp(Math.ceil(Math.max(from.x, to.x) + radius), 0, mask.width);
  const top = clamp(Math.floor(Math.min(from.y, to.y) - radius), 0, mask.height);
  const bottom = clamp(Math.ceil(Math.max(from.y, to.y) + radius), 0, mask.height);
  return left < right && top < bottom ? { left, top, right, bottom } : null;
}

/**
 * Call `row` with the pixels [start, end) of each row whose centres lie within `radius` of the
 * segment: a capsule is convex, so they are one run.
 */
function capsule(
  { left, top, right, bottom }: Rect,
  from: Point,
  to: Point,
  radius: number,
  row: (y: number, start: number, end: number) => void,
): void {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length2 = dx * dx + dy * dy;
  const reach2 = radius * radius;
  const inside = (x: number, y: number): boolean => {
    const px = x + 0.5 - from.x;
    const py = y + 0.5 - from.y;
    const along = length2 === 0 ? 0 : clamp((px * dx + py * dy) / length2, 0, 1);
    const ex = px - along * dx;
    const ey = py - along * dy;
    return ex * ex + ey * ey <= reach2;
  };
  for (let y = top; y < bottom; y++) {
    let start = left;
    while (start < right && !inside(start, y)) start += 1;
    if (start === right) continue;
    let end = right;
    while (!inside(end - 1, y)) end -= 1;
    row(y, start, end);
  }
}

const radiusOf = (diameter: number): number => Math.max(diameter, 1) / 2;

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
  const rect = reach(mask, from, to, radiusOf(diameter));
  if (!rect) return null;
  capsule(rect, from, to, radiusOf(diameter), (y, start, end) =>
    mask.data.fill(label, y * mask.width + start, y * mask.width + end),
  );
  paintUnder(mask, from, label);
  paintUnder(mask, to, label);
  return rect;
}

/** Whether `paintSegment` would paint any pixel. */
export function touches(mask: Mask, from: Point, to: Point, diameter: number): boolean {
  const rect = reach(mask, from, to, radiusOf(diameter));
  if (!rect) return false;
  if (isInside(mask, from) || isInside(mask, to)) return true;
  let any = false;
  capsule(rect, from, to, radiusOf(diameter), () => (any = true));
  return any;
}

const isInside = ({ width, height }: Mask, { x, y }: Point): boolean =>
  x >= 0 && y >= 0 && x < width && y < height;

/** The pixel under the pointer itself: a thin brush may miss every pixel centre. */
function paintUnder(mask: Mask, at: Point, label: Label): void {
  if (isInside(mask, at)) mask.data[Math.floor(at.y) * mask.width + Math.floor(at.x)] = label;
}

/**
 * The edges between pixels that are inside and those that aren't, as flat x1, y1, x2, y2 runs in
 * mask pixels; straight runs are joined. Outlines drawn from it stay crisp at every zoom.
 * Of a part of a mask: the edges on the left and upper sides of its pixels, so that parts side by
 * side give every edge once; those on its right and lower border only where it `closes` there.
 */
export function outlineOf(
  part: Rect,
  at: (x: number, y: number) => boolean,
  closes: { right: boolean; bottom: boolean },
): number[] {
  const right = part.right + Number(closes.right);
  const bottom = part.bottom + Number(closes.bottom);
  const edges: number[] = [];
  for (let y = part.top; y < bottom; y++) {
    let start = -1;
    for (let x = part.left; x <= part.right; x++) {
      const edge = x < part.right && at(x, y) !== at(x, y - 1);
      if (edge && start < 0) start = x;
      if (!edge && start >= 0) {
        edges.push(start, y, x, y);
        start = -1;
      }
    }
  }
  for (let x = part.left; x < right; x++) {
    let start = -1;
    for (let y = part.top; y <= part.bottom; y++) {
      const edge = y < part.bottom && at(x, y) !== at(x - 1, y);
      if (edge && start < 0) start = y;
      if (!edge && start >= 0) {
        edges.push(x, start, x, y);
        start = -1;
      }
    }
  }
  return edges;
}

/** All edges of a mask between values that pass `inside` and those that don't. */
export function outline(mask: Mask, inside: (value: number) => boolean): number[] {
  const { width, height, data } = mask;
  const at = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && inside(data[y * width + x]!);
  const whole = { left: 0, top: 0, right: width, bottom: height };
  return outlineOf(whole, at, { right: true, bottom: true });
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
