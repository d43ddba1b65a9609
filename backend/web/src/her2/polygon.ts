/** Polygons on the slide: what is inside, how they are closed, how large they are. No DOM. */

import type { Point } from "../masks/mask";
import type { Box0 } from "../viewer/viewer";
import type { RegionFeature, Ring } from "../api/types";
import { mm2 } from "./words";

/** A click this near to the first corner closes the outline; CSS px. */
export const CLOSES_PX = 12;
/** Two clicks nearer than this are one corner; CSS px. */
const SAME_PX = 3;

export function ringsOf(region: Pick<RegionFeature, "geometry">): Ring[] {
  const { geometry } = region;
  return geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates.flat();
}

/** Whether a point lies inside rings, holes left out (even-odd rule). */
export function contains(rings: readonly Ring[], { x, y }: Point): boolean {
  let inside = false;
  for (const ring of rings) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
      const [xi, yi] = ring[i]!;
      const [xj, yj] = ring[j]!;
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
  }
  return inside;
}

/** The region under a point; of several the smallest, so that what lies inside can be reached. */
export function regionAt(regions: readonly RegionFeature[], at: Point): RegionFeature | null {
  const under = regions.filter((region) => contains(ringsOf(region), at));
  under.sort((a, b) => a.properties.area_um2 - b.properties.area_um2);
  return under[0] ?? null;
}

/** What a click does to the outline being drawn; `scale` is CSS px per level-0 px. */
export function clicked(
  points: readonly Point[],
  at: Point,
  scale: number,
): { points: Point[]; closed: boolean } {
  const near = (other: Point | undefined, px: number): boolean =>
    other !== undefined && Math.hypot(other.x - at.x, other.y - at.y) * scale <= px;
  if (points.length >= 3 && near(points[0], CLOSES_PX)) {
    return { points: [...points], closed: true };
  }
  if (near(points.at(-1), SAME_PX)) return { points: [...points], closed: false };
  return { points: [...points, at], closed: false };
}

/** Corners as a closed GeoJSON ring, kept on the slide. */
export function ringOf(points: readonly Point[], width: number, height: number): Ring {
  const ring = points.map(({ x, y }): [number, number] => [
    Math.min(Math.max(Math.round(x * 100) / 100, 0), width),
    Math.min(Math.max(Math.round(y * 100) / 100, 0), height),
  ]);
  return [...ring, ring[0]!];
}

export function cornersOf({ x, y, width, height }: Box0): Point[] {
  return [
    { x, y },
    { x: x + width, y },
    { x: x + width, y: y + height },
    { x, y: y + height },
  ];
}

/** The box around a region in level-0 px. */
export function boundsOf(region: RegionFeature): Box0 {
  const points = ringsOf(region).flat();
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const x = Math.min(...xs);
  const y = Math.min(...ys);
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y };
}

export const areaText = (um2: number): string => mm2(um2 / 1e6);
