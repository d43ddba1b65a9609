import { describe, expect, test } from "vitest";
import { emptyMask, IGNORE, MEMBRANE, paintSegment, UNCHANGED, UNSEEN, type Label, type Mask } from "../src/masks/mask";
import { createMaskStore, keyOf, TILE_PX, type MaskStore } from "../src/masks/mask_store";
import { changedBy, changes, rebased } from "../src/masks/merging";

const SIDE = 3;

/** A store of SIDE × SIDE tiles, made when they are painted. */
function createRaster(value = UNCHANGED): { store: MaskStore; tiles: Map<string, Mask> } {
  const tiles = new Map<string, Mask>();
  const store = createMaskStore(tiles, (place) => {
    if (Math.min(place.row, place.column) < 0 || Math.max(place.row, place.column) >= SIDE) return null;
    const key = keyOf(place);
    if (!tiles.has(key)) {
      const mask = emptyMask(TILE_PX, TILE_PX);
      mask.data.fill(value);
      tiles.set(key, mask);
    }
    return tiles.get(key)!;
  });
  return { store, tiles };
}

/** Numbers from 0 to below `below`, the same in every run; eighths, so that sums are exact. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return Math.floor((state / 2147483647) * below * 8) / 8;
  };
}

const LABELS: readonly Label[] = [MEMBRANE, MEMBRANE, 0, IGNORE];

function drawRandom(store: MaskStore, random: (below: number) => number): void {
  const point = () => ({ x: random(SIDE * TILE_PX + 80) - 40, y: random(SIDE * TILE_PX + 80) - 40 });
  const label = LABELS[Math.floor(random(LABELS.length))]!;
  const diameter = 0.5 + random(30);
  let from = point();
  for (let segment = 0; segment < 3; segment++) {
    const to = { x: from.x + random(160) - 80, y: from.y + random(160) - 80 };
    store.paint(from, to, diameter, label);
    from = to;
  }
}

const pixelsOf = (tiles: Map<string, Mask>): Map<string, Uint8Array> =>
  new Map([...tiles].map(([key, { data }]) => [key, data.slice()]));

/** Tiles that nobody has painted count as they were. */
function expectSame(tiles: Map<string, Mask>, then: Map<string, Uint8Array>): void {
  for (const [key, { data }] of tiles) {
    const before = then.get(key);
    const isSame = data.every((value, i) => value === (before?.[i] ?? UNCHANGED));
    expect(isSame, key).toBe(true);
  }
}

describe("strokes over the borders of tiles", () => {
  test("paint the very pixels that they paint on one large mask", () => {
    const { store, tiles } = createRaster(0);
    const large = emptyMask(SIDE * TILE_PX, SIDE * TILE_PX);
    const random = createRandom(7);
    for (let n = 0; n < 60; n++) {
      const from = { x: random(700), y: random(700) };
      const to = { x: from.x + random(200) - 100, y: from.y + random(200) - 100 };
      const diameter = n % 3 === 0 ? 0.5 : random(n % 3 === 1 ? 12 : 300);
      const label = LABELS[n % LABELS.length]!;
      store.paint(from, to, diameter, label);
      store.end();
      paintSegment(large, from, to, diameter, label);
    }
    let wrong = 0;
    for (let y = 0; y < large.height; y++) {
      for (let x = 0; x < large.width; x++) {
        const tile = tiles.get(keyOf({ row: Math.floor(y / TILE_PX), column: Math.floor(x / TILE_PX) }));
        const value = tile?.data[(y % TILE_PX) * TILE_PX + (x % TILE_PX)] ?? 0;
        if (value !== large.data[y * large.width + x]) wrong += 1;
      }
    }
    expect(wrong).toBe(0);
    expect(tiles.size).toBe(SIDE * SIDE);
  });

  test("500 of them are undone and done again to the same bits", () => {
    const { store, tiles } = createRaster();
    const random = createRandom(11);
    const states = [pixelsOf(tiles)];
    const LOOK = 50;
    let strokes = 0;
    while (strokes < 500) {
      drawRandom(store, random);
      if (!store.end()) continue; // all of it lay beside the slide
      strokes += 1;
      if (strokes % LOOK === 0) states.push(pixelsOf(tiles));
    }
    for (let n = strokes; n > 0; n--) {
      if (n % LOOK === 0) expectSame(tiles, states[n / LOOK]!);
      expect(store.undo()).toBe(true);
    }
    expectSame(tiles, states[0]!);
    expect([store.undo(), store.canUndo()]).toEqual([false, false]);
    for (let n = 1; n <= strokes; n++) {
      expect(store.redo()).toBe(true);
      if (n % LOOK === 0) expectSame(tiles, states[n / LOOK]!);
    }
    expect(store.redo()).toBe(false);
  });

  test("one that meets four tiles is one step", () => {
    const { store, tiles } = createRaster();
    store.paint({ x: 250, y: 250 }, { x: 262, y: 262 }, 20, MEMBRANE);
    store.end();
    expect([...tiles.keys()].sort()).toEqual(["0,0", "0,1", "1,0", "1,1"]);
    store.undo();
    expectSame(tiles, new Map());
    expect(store.canUndo()).toBe(false);
  });

  test("pixels that come later stand below the strokes, at every step", () => {
    const { store, tiles } = createRaster();
    const base = new Uint8Array(TILE_PX * TILE_PX).fill(IGNORE);
    for (const y of [40, 60]) {
      store.paint({ x: 10, y }, { x: 90, y }, 5, MEMBRANE);
      store.end();
    }
    store.undo();
    store.paint({ x: 10, y: 80 }, { x: 50, y: 80 }, 5, 0); // under way
    store.resolve("0,0", base);
    store.end();
    const { data } = tiles.get("0,0")!;
    expect([data[40 * 256 + 20], data[60 * 256 + 20], data[80 * 256 + 20]]).toEqual([MEMBRANE, IGNORE, 0]);
    store.undo();
    store.undo();
    expect(data.every((value) => value === IGNORE)).toBe(true);
  });

  test("undone, unsee nothing of a tile that somebody has completed below them", () => {
    const { store, tiles } = createRaster(UNSEEN);
    for (const y of [40, 60]) {
      store.paint({ x: 10, y }, { x: 90, y }, 5, MEMBRANE);
      store.end();
    }
    const { data } = tiles.get("0,0")!;
    const saved = data.slice();
    const complete = saved.map((value) => (value === UNSEEN ? IGNORE : value));
    store.undo();
    store.rebase("0,0", saved, complete);
    expect(data).toEqual(complete);
    store.undo();
    store.redo();
    store.redo();
    expect(data).toEqual(complete);
  });

  test("say which pixels are to be drawn anew, and no others", () => {
    const { store, tiles } = createRaster();
    store.paint({ x: 250, y: 100 }, { x: 260, y: 100 }, 4, MEMBRANE);
    const dirty = store.takeDirty();
    expect(dirty).toHaveLength(2);
    expect(dirty[0]).toEqual([tiles.get("0,0"), { left: 248, top: 98, right: 256, bottom: 102 }]);
    expect(store.takeDirty()).toEqual([]);
    store.end();
    store.undo();
    expect(store.takeDirty()).toHaveLength(2);
  });
});

describe("two people's changes of one tile", () => {
  const base = Uint8Array.of(63, 63, 0, 255, 63, 255);
  const mine = Uint8Array.of(255, UNCHANGED, UNCHANGED, 0, UNCHANGED, UNCHANGED);

  test("of other pixels are both there", () => {
    const theirs = Uint8Array.of(63, 255, 0, 255, 0, 127);
    const { diff, overlap, left } = rebased(mine, base, theirs);
    expect([overlap, left]).toEqual([0, 2]);
    expect([...changedBy(theirs, diff)]).toEqual([255, 255, 0, 0, 0, 127]);
  });

  test("of the same pixels to the same are no conflict, and to something else are one", () => {
    expect(rebased(mine, base, Uint8Array.of(255, 63, 0, 0, 63, 255))).toMatchObject({ overlap: 0, left: 0 });
    const both = rebased(mine, base, Uint8Array.of(127, 63, 0, 255, 63, 255));
    expect(both.overlap).toBe(1);
    expect(both.diff[0]).toBe(255); // asked for, mine goes on top
  });

  test("on an earlier state of mine, what was undone since is undone", () => {
    const earlier = Uint8Array.of(255, 255, 0, 255, 63, 255);
    const { diff, overlap } = rebased(mine, base, earlier, { own: true });
    expect(overlap).toBe(0);
    expect([...changedBy(earlier, diff)]).toEqual([255, 63, 0, 0, 63, 255]);
  });

  test("are what differs", () => {
    expect([...changes(base, Uint8Array.of(63, 0, 0, 255, 255, 255))]).toEqual([191, 0, 191, 191, 255, 191]);
  });
});
