import { describe, expect, test } from "vitest";
import { cellAt, neighbour } from "../src/her2/cell_search";
import { draftOf, inWords, wishOf } from "../src/her2/ish";
import { moved, NAMES, same } from "../src/her2/thresholds";
import type { Cell, EnteredIsh, Thresholds } from "../src/api/types";
import { colourOf, isPartial, LABELS, percent, inViewWords, stopWords } from "../src/her2/words";

const OWN: Thresholds = {
  t_faint: 0.1,
  t_weak: 0.2,
  t_moderate: 0.4,
  t_intense: 0.6,
  c_any: 0.15,
  c_full: 0.85,
};

function inOrder(all: Thresholds): boolean {
  const ladder = [all.t_faint, all.t_weak, all.t_moderate, all.t_intense];
  const rising = ladder.every((value, i) => i === 0 || value > ladder[i - 1]!);
  return rising && all.c_any < all.c_full && all.t_faint > 0 && all.c_full <= 1;
}

describe("what-if thresholds", () => {
  test("stay in order and in range wherever one is pulled", () => {
    for (const name of NAMES) {
      for (const value of [-1, 0, 0.15, 0.3, 0.5, 0.85, 1, 9]) {
        expect(inOrder(moved(OWN, name, value)), `${name} to ${value}`).toBe(true);
      }
    }
  });

  test("push only those neighbours that are in the way", () => {
    expect(moved(OWN, "t_weak", 0.45)).toEqual({ ...OWN, t_weak: 0.45, t_moderate: 0.46 });
    expect(moved(OWN, "c_full", 0.9)).toEqual({ ...OWN, c_full: 0.9 });
  });

  test("are the same whatever floating point makes of them", () => {
    expect(same({ ...OWN, t_weak: 0.1 + 0.1 }, OWN)).toBe(true);
    expect(same(null, OWN)).toBe(false);
    expect(same(null, null)).toBe(true);
  });
});

function cell(x: number, y: number, radius = 10): Cell {
  return {
    x,
    y,
    label: "N",
    measured: "N",
    included: true,
    edited: false,
    intensity: 0,
    completeness: 0,
    outline: [
      [x - radius, y - radius],
      [x + radius, y - radius],
      [x + radius, y + radius],
      [x - radius, y + radius],
    ],
  };
}

describe("the cell that is meant", () => {
  const large = cell(50, 50, 40);
  const small = cell(100, 50, 5);

  test("is the one around the place, though another's centre is nearer", () => {
    expect(cellAt([large, small], { x: 85, y: 50 }, 20)).toBe(large);
  });

  test("may lie a little beside the place, not far from it", () => {
    expect(cellAt([small], { x: 110, y: 50 }, 16)).toBe(small);
    expect(cellAt([small], { x: 140, y: 50 }, 16)).toBeNull();
  });

  test("is reached from the keyboard row by row, round and round", () => {
    const cells = [cell(90, 12), cell(10, 15), cell(40, 80)];
    const first = neighbour(cells, null, 1, 50)!;
    const second = neighbour(cells, first, 1, 50)!;
    const third = neighbour(cells, second, 1, 50)!;
    expect([first.x, second.x, third.x]).toEqual([10, 90, 40]);
    expect(neighbour(cells, third, 1, 50)).toBe(first);
    expect(neighbour([], null, 1, 50)).toBeNull();
  });
});

test("no two classes look the same", () => {
  const looks = LABELS.map((label) => `${colourOf(label)} ${isPartial(label)}`);
  expect(new Set(looks).size).toBe(LABELS.length);
});

test("percentages keep a decimal where it says something", () => {
  expect([0, 0.04, 9.94, 9.96, 100].map(percent)).toEqual(["0", "<0.1", "9.9", "10", "100"]);
  expect(percent(null)).toBe("–");
});

const ISH: EnteredIsh = {
  method: "dual probe",
  result: "positive",
  read_by: "M. Ito",
  group: 1,
  copies: 8.2,
  ratio: 4.1,
  cells: null,
  entered_by: { id: "1", name: "dr-ng" },
  entered_at: "2026-01-02T10:00:00+00:00",
};

describe("an in situ hybridisation", () => {
  test("goes out as it came in", () => {
    const sent = wishOf(draftOf(ISH));
    expect(ISH).toMatchObject(sent);
    expect(Object.keys(sent)).toHaveLength(7);
  });

  test("takes a comma for a point, and leaves what is no number to the service", () => {
    const typed = { ...draftOf(ISH), ratio: " 2,15 ", copies: "about 6" };
    expect(wishOf(typed)).toMatchObject({ ratio: 2.15, copies: "about 6", cells: null });
  });

  test("of a single probe has neither ratio nor group", () => {
    const typed = { ...draftOf(ISH), method: "single probe" };
    expect(wishOf(typed)).toMatchObject({ ratio: null, group: null, copies: 8.2 });
  });

  test("is said with who read and who entered it", () => {
    expect(inWords(ISH)).toBe(
      "In situ hybridisation as entered by dr-ng: positive, group 1, ratio 4.1, copies a nucleus " +
        "8.2 (dual probe, read by M. Ito).",
    );
  });
});

describe("how many cells are in view", () => {
  const cell: Cell = { tile: "a", number: 1 } as never;
  const seen = { cells: [] as Cell[], total: 0, far: false };

  test("is no number while they load, whatever was seen before", () => {
    for (const cells of [[], [cell, cell]]) {
      expect(inViewWords({ ...seen, cells, total: cells.length, state: "reading" })).not.toMatch(/\d/);
    }
    expect(inViewWords({ ...seen, state: "failed" })).toContain("could not be read");
  });

  test("is said once it is known, and none is said in a word", () => {
    expect(inViewWords({ ...seen, state: "read" })).toBe("No cells in view.");
    expect(inViewWords({ ...seen, cells: [cell], total: 1, state: "read" })).toBe("1 cell in view.");
    expect(inViewWords({ ...seen, cells: [cell, cell], total: 1200, state: "read" })).toBe(
      "2 of 1,200 cells in view; zoom in for all.",
    );
  });
});

describe("the rule to stop", () => {
  const stop = {
    met: false,
    confidence: 0.7,
    enough: 0.95,
    after_them: 0.96,
    places_left: ["a", "b"],
    could_become: ["1+" as const],
    text: "",
  };

  test("counts its places down, and says when one may stop", () => {
    const words = (part: object): string | null =>
      stopWords({ printed_score: "0+", stop: { ...stop, ...part } });
    expect(words({})).toBe("2 places left for 0+");
    expect(words({ places_left: ["a"] })).toBe("1 place left for 0+");
    // never more than it is: 94.9 % is no 95 %
    expect(words({ places_left: [], confidence: 0.949 })).toBe("0+ is not sure (94 %)");
    expect(words({ met: true, places_left: [], confidence: 0.971 })).toBe(
      "You may stop: 0+ stands (97 %)",
    );
    expect(words({ confidence: null })).toBeNull();
    expect(stopWords({ printed_score: null, stop: null })).toBeNull();
  });
});
