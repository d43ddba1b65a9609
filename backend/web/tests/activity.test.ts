import { describe, expect, test } from "vitest";
import { createActivityClock } from "../src/editing/activity";

function clockAt(already = 0) {
  const time = { s: 0 };
  return { time, clock: createActivityClock(already, () => time.s * 1000) };
}

describe("the clock of active seconds", () => {
  test("runs from the first touch, without another sign of life", () => {
    const { time, clock } = clockAt();
    time.s = 100; // opened, not shown
    expect(clock.seconds()).toBe(0);
    clock.touch();
    time.s = 112.5;
    expect(clock.seconds()).toBe(12.5);
    expect(clock.seconds()).toBe(12.5);
  });

  test("counts at most half a minute of a pause, and goes on after it", () => {
    const { time, clock } = clockAt();
    for (const second of [0, 10, 25, 1000, 1003]) {
      time.s = second;
      clock.touch();
    }
    expect(clock.seconds()).toBe(25 + 30 + 3);
    time.s = 50_000;
    expect(clock.seconds()).toBe(25 + 30 + 3 + 30);
  });

  test("stops while the page is hidden and goes on from a draft's seconds", () => {
    const { time, clock } = clockAt(7);
    expect(clock.seconds()).toBe(7);
    clock.touch();
    time.s = 5;
    clock.pause();
    time.s = 20;
    expect(clock.seconds()).toBe(12);
    clock.touch();
    time.s = 21;
    clock.touch();
    expect(clock.seconds()).toBe(7 + 5 + 1);
  });

  test("gives a save what it counted, and the next save the rest", () => {
    const { time, clock } = clockAt(2);
    clock.touch();
    time.s = 10;
    clock.sending();
    time.s = 13; // under way
    clock.saved();
    expect(clock.seconds()).toBe(3);
    time.s = 14;
    expect(clock.seconds()).toBe(4);
  });

  test("of a draft that somebody else delivers goes on with what came after it", () => {
    const { time, clock } = clockAt(40);
    clock.touch();
    time.s = 6;
    clock.saved();
    expect(clock.seconds()).toBe(6);
  });

  test("never runs backwards", () => {
    const { time, clock } = clockAt(1);
    time.s = 10;
    clock.touch();
    time.s = 4;
    expect(clock.seconds()).toBe(1);
  });
});
