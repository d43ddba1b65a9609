/** Thresholds as a what-if: always in their order, within what the service takes. No DOM. */

import type { Thresholds } from "../api/types";

export type ThresholdName = keyof Thresholds;

/** Those of one ladder stay in this order, a step apart. */
const LADDERS: readonly (readonly ThresholdName[])[] = [
  ["t_faint", "t_weak", "t_moderate", "t_intense"],
  ["c_any", "c_full"],
];
export const NAMES: readonly ThresholdName[] = LADDERS.flat();
export const STEP = 0.01;
export const RANGE: Record<ThresholdName, [number, number]> = {
  t_faint: [0.02, 1.2],
  t_weak: [0.02, 1.2],
  t_moderate: [0.02, 1.2],
  t_intense: [0.02, 1.2],
  c_any: [0.01, 1],
  c_full: [0.01, 1],
};

const rounded = (value: number): number => Math.round(value * 100) / 100;

/** One threshold moved; its neighbours give way as far as they must to stay in order. */
export function moved(all: Thresholds, name: ThresholdName, value: number): Thresholds {
  const ladder = LADDERS.find((names) => names.includes(name))!;
  const place = ladder.indexOf(name);
  const [least, most] = RANGE[name];
  const above = ladder.length - 1 - place;
  const clamped = Math.min(Math.max(value, least + place * STEP), most - above * STEP);
  const result = { ...all, [name]: rounded(clamped) };
  for (let i = place + 1; i < ladder.length; i += 1) {
    const lower = result[ladder[i - 1]!];
    result[ladder[i]!] = rounded(Math.max(result[ladder[i]!], lower + STEP));
  }
  for (let i = place - 1; i >= 0; i -= 1) {
    const upper = result[ladder[i + 1]!];
    result[ladder[i]!] = rounded(Math.min(result[ladder[i]!], upper - STEP));
  }
  return result;
}

export function same(a: Thresholds | null, b: Thresholds | null): boolean {
  if (!a || !b) return a === b;
  return NAMES.every((name) => rounded(a[name]) === rounded(b[name]));
}

/** Only the thresholds of a longer list. */
export function picked(all: Thresholds): Thresholds {
  return Object.fromEntries(NAMES.map((name) => [name, all[name]])) as unknown as Thresholds;
}
