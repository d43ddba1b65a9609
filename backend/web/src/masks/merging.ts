/**
 * Two people's changes of one tile, put together pixel by pixel: a change is what was painted on
 * top of a revision, and somebody else has written another revision on top of the same meanwhile.
 */

import { UNCHANGED, UNSEEN } from "./mask";

export interface Merged {
  /** What is left to change on top of theirs; UNCHANGED elsewhere. */
  diff: Uint8Array;
  /** Pixels that both have changed, each to something else: in `diff` they are mine. */
  overlap: number;
  /** Pixels that are left to change. */
  left: number;
}

/**
 * `mine`: what was painted on top of `base`, UNCHANGED where nothing was. `own`: theirs is an earlier
 * state of mine, so what was undone since is undone on top of it, too.
 */
export function rebased(
  mine: Uint8Array,
  base: Uint8Array,
  theirs: Uint8Array,
  { own = false } = {},
): Merged {
  const diff = new Uint8Array(mine.length).fill(UNCHANGED);
  let overlap = 0;
  let left = 0;
  // what they say is complete is not unseen again by an undo that did not know of it
  const isComplete = !own && !theirs.includes(UNSEEN);
  for (let i = 0; i < mine.length; i++) {
    if (isComplete && mine[i] === UNSEEN) continue;
    const wanted = mine[i] === UNCHANGED ? (own ? base[i]! : theirs[i]!) : mine[i]!;
    if (wanted === theirs[i]) continue;
    diff[i] = wanted;
    left += 1;
    if (!own && theirs[i] !== base[i]) overlap += 1;
  }
  return { diff, overlap, left };
}

/** What changes between two states of a tile. */
export function changes(before: Uint8Array, after: Uint8Array): Uint8Array {
  return after.map((value, i) => (value === before[i] ? UNCHANGED : value));
}

/** A tile after a change. */
export function changedBy(base: Uint8Array, diff: Uint8Array): Uint8Array {
  return diff.map((value, i) => (value === UNCHANGED ? base[i]! : value));
}
