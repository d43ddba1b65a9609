import { expect, test } from "vitest";
import { createHistory, pieceOf } from "../src/masks/history";
import { emptyMask, MEMBRANE, paintSegment } from "../src/masks/mask";

function stroke(
  history: ReturnType<typeof createHistory>,
  mask: ReturnType<typeof emptyMask>,
  x: number,
) {
  const before = mask.data.slice();
  const rect = paintSegment(mask, { x, y: 10 }, { x: x + 5, y: 20 }, 5, MEMBRANE);
  return history.record([pieceOf("0,0", before, mask, rect!)]);
}

test("undoing every stroke and doing them again gives the same masks at each step", () => {
  const mask = emptyMask(64, 32);
  const history = createHistory();
  const seen = [mask.data.slice()];
  for (const x of [5, 8, 30, 50]) {
    expect(stroke(history, mask, x)).toBe(true);
    seen.push(mask.data.slice());
  }
  for (let i = 3; i >= 0; i--) {
    expect(history.undo(() => mask)).not.toBeNull();
    expect(mask.data).toEqual(seen[i]);
  }
  expect(history.canUndo()).toBe(false);
  expect(history.undo(() => mask)).toBeNull();
  for (let i = 1; i <= 4; i++) {
    history.redo(() => mask);
    expect(mask.data).toEqual(seen[i]);
  }
  expect(history.redo(() => mask)).toBeNull();
});

test("a stroke that changes nothing makes no step", () => {
  const mask = emptyMask(64, 32);
  const history = createHistory();
  stroke(history, mask, 5);
  expect(stroke(history, mask, 5)).toBe(false);
  history.undo(() => mask);
  expect(history.canUndo()).toBe(false);
  expect(mask.data.some(Boolean)).toBe(false);
});

test("a new stroke after an undo forgets what was undone", () => {
  const mask = emptyMask(64, 32);
  const history = createHistory();
  stroke(history, mask, 5);
  history.undo(() => mask);
  stroke(history, mask, 40);
  expect(history.canRedo()).toBe(false);
});

test("only the newest steps are kept", () => {
  const mask = emptyMask(64, 32);
  const history = createHistory(2);
  for (const x of [5, 20, 40]) stroke(history, mask, x);
  expect([history.undo(() => mask), history.undo(() => mask), history.undo(() => mask)].map(Boolean)).toEqual([
    true,
    true,
    false,
  ]);
});

test("nor more of them than the memory has room for, but for the last", () => {
  const mask = emptyMask(64, 32);
  const history = createHistory(100, 150);
  for (const x of [5, 20, 40]) stroke(history, mask, x);
  expect([history.undo(() => mask), history.undo(() => mask)].map(Boolean)).toEqual([true, false]);
  const small = createHistory(100, 1);
  stroke(small, emptyMask(64, 32), 5);
  expect(small.canUndo()).toBe(true);
});
