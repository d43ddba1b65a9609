import { describe, expect, test } from "vitest";
import { LARGEST_BRUSH, nextDiameter, SMALLEST_BRUSH } from "../src/viewer/painting";
import { parseRoute } from "../src/route";
import { scaleBar } from "../src/viewer/scale_bar";
import { keyName } from "../src/shell/shortcuts";

const key = (
  key: string,
  code: string,
  held: Partial<Record<"shiftKey" | "ctrlKey" | "metaKey" | "altKey", boolean>> = {},
) =>
  keyName({ key, code, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...held });

describe("keys", () => {
  test("are named whatever the case or platform", () => {
    expect(key("z", "KeyZ")).toBe("z");
    expect(key("Z", "KeyZ", { shiftKey: true })).toBe("shift+z");
    expect(key("z", "KeyZ", { metaKey: true })).toBe("ctrl+z");
    expect(key(" ", "Space")).toBe("space");
    expect(key("Escape", "Escape")).toBe("escape");
  });

  test("that need Shift on some keyboards are named by what they write", () => {
    expect(key("?", "Slash", { shiftKey: true })).toBe("?");
    expect(key("+", "Equal", { shiftKey: true })).toBe("+");
  });
});

test("every brush size can be left again, up and down, within the limits", () => {
  let size = SMALLEST_BRUSH;
  const sizes = [size];
  while (size < LARGEST_BRUSH) sizes.push((size = nextDiameter(size, 1)));
  expect(sizes.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
  expect(new Set(sizes).size).toBe(sizes.length);
  while (size > SMALLEST_BRUSH) {
    const smaller = nextDiameter(size, -1);
    expect(smaller).toBeLessThan(size);
    size = smaller;
  }
  expect(nextDiameter(SMALLEST_BRUSH, -1)).toBe(SMALLEST_BRUSH);
});

describe("the scale bar", () => {
  test.each([
    [0.25, 1, "20 µm", 80],
    [0.25, 0.01, "2 mm", 80],
    [0.5, 4, "10 µm", 80],
    [0.25, 0.0625, "500 µm", 125],
    [0.25, 16, "2 µm", 128],
  ])("at %f µm/px and %f screen px per slide px is %s long", (mpp, scale, text, width) => {
    const bar = scaleBar(mpp, scale);
    expect(bar?.text).toBe(text);
    expect(bar?.width).toBeCloseTo(width, 6);
  });

  test("warns beyond the slide's own resolution and is absent before the first view", () => {
    expect(scaleBar(0.25, 1)?.beyond).toBe(false);
    expect(scaleBar(0.25, 2)?.beyond).toBe(true);
    expect(scaleBar(0.25, 0)).toBeNull();
  });
});

test("an address names a slide, a patch, or neither", () => {
  expect(parseRoute("#/slides/s1/patches/p2")).toEqual({ slide: "s1", patch: "p2" });
  expect(parseRoute("#/slides/s1")).toEqual({ slide: "s1", patch: null });
  expect(parseRoute("")).toEqual({ slide: null, patch: null });
  expect(parseRoute("#/slides/s1/evil/../x")).toEqual({ slide: null, patch: null });
});
