import { describe, expect, test } from "vitest";
import {
  asLabels,
  copyMask,
  countLabels,
  emptyMask,
  IGNORE,
  MEMBRANE,
  outline,
  paintSegment,
  sameMask,
  union,
  UNSEEN,
  wholeMask,
} from "../src/masks/mask";

describe("the brush", () => {
  test("paints exactly the pixels whose centre is within its radius", () => {
    const mask = emptyMask(32, 32);
    paintSegment(mask, { x: 16, y: 16 }, { x: 16, y: 16 }, 9, MEMBRANE);
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 32; x++) {
        const inside = Math.hypot(x + 0.5 - 16, y + 0.5 - 16) <= 4.5;
        expect(mask.data[y * 32 + x], `${x},${y}`).toBe(inside ? MEMBRANE : 0);
      }
    }
  });

  test("leaves no gap along a fast stroke", () => {
    const mask = emptyMask(64, 64);
    paintSegment(mask, { x: 2, y: 3 }, { x: 60, y: 41 }, 3, MEMBRANE);
    for (let x = 3; x < 60; x++) {
      const y = Math.floor(3 + ((x + 0.5 - 2) * 38) / 58);
      expect(mask.data[y * 64 + x], `column ${x}`).toBe(MEMBRANE);
    }
  });

  test.each([0.2, 1])("of diameter %f paints the pixel under the pointer", (diameter) => {
    const mask = emptyMask(8, 8);
    paintSegment(mask, { x: 3.05, y: 4.95 }, { x: 3.05, y: 4.95 }, diameter, MEMBRANE);
    expect([...mask.data].flatMap((value, i) => (value ? [i] : []))).toEqual([4 * 8 + 3]);
  });

  test("stops at the patch's edges and does not wrap to the next row", () => {
    const mask = emptyMask(16, 16);
    const rect = paintSegment(mask, { x: 15.5, y: 8 }, { x: 30, y: 8 }, 4, MEMBRANE);
    expect(rect).toEqual({ left: 13, top: 6, right: 16, bottom: 10 });
    for (let y = 0; y < 16; y++) expect(mask.data[y * 16]).toBe(0);
    expect(paintSegment(mask, { x: 40, y: 40 }, { x: 50, y: 40 }, 4, MEMBRANE)).toBeNull();
  });

  test("erases and marks to ignore with the same shape", () => {
    const mask = emptyMask(16, 16);
    mask.data.fill(MEMBRANE);
    paintSegment(mask, { x: 8, y: 8 }, { x: 8, y: 8 }, 6, 0);
    const erased = 256 - countLabels(mask).membrane;
    paintSegment(mask, { x: 8, y: 8 }, { x: 8, y: 8 }, 6, IGNORE);
    expect(countLabels(mask)).toEqual({ membrane: 256 - erased, ignore: erased });
    expect(erased).toBe(32);
  });
});

describe("the outline", () => {
  test("of a ring has an outer and an inner contour of the right length", () => {
    const mask = emptyMask(10, 10);
    for (let y = 2; y < 8; y++) for (let x = 2; x < 8; x++) mask.data[y * 10 + x] = MEMBRANE;
    for (let y = 4; y < 6; y++) for (let x = 4; x < 6; x++) mask.data[y * 10 + x] = 0;
    const edges = outline(mask, (value) => value === MEMBRANE);
    let length = 0;
    for (let i = 0; i < edges.length; i += 4) {
      length += Math.abs(edges[i + 2]! - edges[i]!) + Math.abs(edges[i + 3]! - edges[i + 1]!);
    }
    expect(length).toBe(4 * 6 + 4 * 2);
    expect(edges.length / 4).toBe(8);
  });

  test("closes at the border of the patch", () => {
    const mask = emptyMask(4, 4);
    mask.data.fill(MEMBRANE);
    expect(outline(mask, Boolean)).toHaveLength(16);
    expect(outline(emptyMask(4, 4), Boolean)).toEqual([]);
  });
});

test("labels are the nearest of 0, 127, 255", () => {
  const mask = { width: 5, height: 1, data: Uint8Array.of(0, 1, 127, 130, 254) };
  expect([...asLabels(mask).data]).toEqual([0, 0, IGNORE, IGNORE, MEMBRANE]);
});

test("what nobody has looked at stays so, and is shown as the proposal or as nothing", () => {
  const stored = { width: 4, height: 1, data: Uint8Array.of(UNSEEN, 0, UNSEEN, MEMBRANE) };
  const proposal = { width: 4, height: 1, data: Uint8Array.of(MEMBRANE, MEMBRANE, 0, 0) };
  expect(asLabels(stored)).toEqual(stored);
  expect([...wholeMask(stored, proposal).data]).toEqual([MEMBRANE, 0, 0, MEMBRANE]);
  expect([...wholeMask(stored, null).data]).toEqual([0, 0, 0, MEMBRANE]);
  expect(stored.data[0]).toBe(UNSEEN);
});

test("a copy is equal until one of them changes", () => {
  const mask = emptyMask(4, 4);
  const copy = copyMask(mask);
  expect(sameMask(mask, copy)).toBe(true);
  copy.data[5] = MEMBRANE;
  expect(sameMask(mask, copy)).toBe(false);
  expect(mask.data[5]).toBe(0);
});

test("rectangles unite", () => {
  const a = { left: 1, top: 2, right: 3, bottom: 4 };
  expect(union(a, null)).toEqual(a);
  expect(union(a, { left: 0, top: 3, right: 2, bottom: 9 })).toEqual({
    left: 0,
    top: 2,
    right: 3,
    bottom: 9,
  });
});
