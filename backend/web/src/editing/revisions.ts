/** Every revision of a patch: read, compared with another mask, and brought back as a new one. */

import { all, json, request } from "../api/client";
import { MEMBRANE, UNSEEN, asLabels, type Mask } from "../masks/mask";
import { decodeGray } from "../masks/png";
import { ago } from "../drafts/saving";
import type { Annotation } from "../api/types";

/** All of them, newest first. */
export const listRevisions = (patch: string): Promise<Annotation[]> =>
  all(`patches/${patch}/annotations?limit=100`);

/** A revision never changes: the browser asks for it once. */
export async function readRevision(patch: string, revision: number): Promise<Mask> {
  const answer = await request(`patches/${patch}/annotations/${revision}.png`);
  return asLabels(await decodeGray(new Uint8Array(await answer.arrayBuffer())));
}

/** Write a revision's mask as a new one on top of `etag`; the new one. ApiError 412 when stale. */
export async function restoreRevision(
  patch: string,
  revision: number,
  about: { etag: string; seconds: number },
): Promise<Annotation> {
  const query = new URLSearchParams({ seconds_spent: about.seconds.toFixed(2) });
  const path = `patches/${patch}/annotations/${revision}/restore?${query}`;
  const headers = { "If-Match": about.etag };
  return (await json<{ annotation: Annotation }>(path, { method: "POST", headers })).annotation;
}

/** A revision that is looked at, and what it is compared with: null is the mask in hand. */
export interface Comparison {
  revision: number;
  mask: Mask;
  against: { revision: number; mask: Mask } | null;
}

/** How two masks differ, in pixels. */
export interface Difference {
  /** Membrane in the first only, in the second only, in both. */
  first: number;
  second: number;
  both: number;
  /** Alike in membrane, but ignored in one of them. */
  ignored: number;
  /** Nobody had looked there in one of them: it is not compared. */
  unseen: number;
}

export function difference(one: Mask, other: Mask): Difference {
  const counts: Difference = { first: 0, second: 0, both: 0, ignored: 0, unseen: 0 };
  one.data.forEach((value, i) => {
    if (value === UNSEEN || other.data[i] === UNSEEN) {
      if (value !== other.data[i]) counts.unseen += 1;
      return;
    }
    const here = value === MEMBRANE;
    const there = other.data[i] === MEMBRANE;
    if (here && there) counts.both += 1;
    else if (here) counts.first += 1;
    else if (there) counts.second += 1;
    else if (value !== other.data[i]) counts.ignored += 1;
  });
  return counts;
}

const px = (count: number): string => `${count.toLocaleString("en-GB")} px`;

/** The difference as a sentence; `one` and `other` as they are named to the person. */
export function differenceSentence(counts: Difference, one: string, other: string): string {
  const { first, second, both, ignored, unseen } = counts;
  if (first + second + ignored + unseen === 0) return `No pixel differs between ${one} and ${other}.`;
  const parts = [`${px(first)} of membrane only in ${one}`, `${px(second)} only in ${other}`];
  if (ignored > 0) parts.push(`${px(ignored)} ignored in one of them`);
  if (unseen > 0) parts.push(`${px(unseen)} that nobody had looked at in one of them`);
  return `${parts.join(", ")}; ${px(both)} in both.`;
}

const ORIGIN: Record<Annotation["source"], string> = {
  proposal: "accepted proposal",
  edited: "corrected",
  scratch: "drawn from nothing",
};

/** How a revision came about, in words. */
export function originOf({ restores, source }: Annotation): string {
  return restores ? `restored ${restores}` : ORIGIN[source];
}

/** Who, how, when, and how long it took. */
export function revisionWords(annotation: Annotation, now: Date): string {
  const { author, seconds_spent: seconds } = annotation;
  return [
    author?.username ?? "unknown",
    originOf(annotation),
    ago(annotation.created_at, now),
    seconds ? lasting(seconds) : "",
  ]
    .filter(Boolean)
    .join(" · ");
}

function lasting(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
