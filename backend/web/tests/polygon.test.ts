import { describe, expect, test } from "vitest";
import { areaText, boundsOf, clicked, contains, regionAt, ringOf } from "../src/her2/polygon";
import type { RegionFeature, Ring } from "../src/api/types";

const square = (x: number, y: number, side: number): Ring => [
  [x, y],
  [x + side, y],
  [x + side, y + side],
  [x, y + side],
  [x, y],
];

function region(id: string, rings: Ring[], area: number): RegionFeature {
  return {
    type: "Feature",
    id,
    geometry: { type: "Polygon", coordinates: rings },
    properties: {
      kind: "tumour",
      name: "",
      area_um2: area,
      objectType: "annotation",
      classification: { name: "Tumour", color: [0, 0, 0] },
    },
  };
}

describe("an outline being drawn", () => {
  const corners = [
    { x: 0, y: 0 },
    { x: 100, y: 0 },
    { x: 100, y: 100 },
  ];

  test("is closed by a click near its first corner, as near as it looks", () => {
    expect(clicked(corners, { x: 8, y: 3 }, 1).closed).toBe(true);
    expect(clicked(corners, { x: 8, y: 3 }, 4).closed).toBe(false);
    expect(clicked(corners.slice(0, 2), { x: 1, y: 1 }, 1).closed).toBe(false);
  });

  test("takes a double click's second click for no new corner", () => {
    expect(clicked(corners, { x: 101, y: 101 }, 1).points).toHaveLength(3);
    expect(clicked(corners, { x: 50, y: 150 }, 1).points).toHaveLength(4);
  });

  test("becomes a closed ring on the slide", () => {
    const ring = ringOf([{ x: -5, y: 2.345 }, { x: 300, y: 0 }, { x: 9, y: 900 }], 200, 400);
    expect(ring).toEqual([
      [0, 2.35],
      [200, 0],
      [9, 400],
      [0, 2.35],
    ]);
  });
});

test("what is inside leaves holes out", () => {
  const rings = [square(0, 0, 100), square(40, 40, 20)];
  expect(contains(rings, { x: 20, y: 20 })).toBe(true);
  expect(contains(rings, { x: 50, y: 50 })).toBe(false);
  expect(contains(rings, { x: 120, y: 50 })).toBe(false);
});

test("of regions over each other the smallest is the one that is meant", () => {
  const outer = region("outer", [square(0, 0, 100)], 10_000);
  const inner = region("inner", [square(10, 10, 20)], 400);
  expect(regionAt([outer, inner], { x: 15, y: 15 })?.id).toBe("inner");
  expect(regionAt([outer, inner], { x: 80, y: 80 })?.id).toBe("outer");
  expect(regionAt([outer, inner], { x: 800, y: 80 })).toBeNull();
  expect(boundsOf(inner)).toEqual({ x: 10, y: 10, width: 20, height: 20 });
});

test("areas are said in the unit that is read at a glance", () => {
  expect(areaText(1_234_000)).toBe("1.23 mm²");
  expect(areaText(2_688.4)).toBe("0.0027 mm²");
});
