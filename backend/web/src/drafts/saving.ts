/**
 * Saving a patch so that nobody's pixels are lost: what the service's answer means for the
 * draft, and what each way out of a conflict writes. No DOM, so every branch is tested.
 */

import { ApiError } from "../api/client";
import type { Annotation } from "../api/types";

/** What is known about the server's newest revision of a patch. */
export interface Current {
  etag: string;
  revision: number;
  annotation: Annotation | null;
}

export type Outcome =
  | { kind: "saved"; etag: string }
  | { kind: "conflict"; current: Current }
  | { kind: "waiting"; message: string }
  | { kind: "refused"; message: string };

/** The number in an ETag `"r7"`; 0 for anything else, which no newest revision equals. */
export function revisionOf(etag: string): number {
  const match = /^(?:W\/)?"r(\d+)"$/.exec(etag);
  return match ? Number(match[1]) : 0;
}

/**
 * Try to write; turn whatever happens into an outcome. A 412 asks the service what is there now.
 * A 412 whose newest revision is already our own content (`isOurs`) is a save whose answer was
 * lost on the way: it counts as saved.
 */
export async function attempt(
  write: () => Promise<string>,
  readCurrent: () => Promise<Current>,
  isOurs: (current: Current) => Promise<boolean>,
): Promise<Outcome> {
  try {
    return { kind: "saved", etag: await write() };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // 401: the session ended; after signing in again the draft is sent
    if (error.passing || error.status === 401) return { kind: "waiting", message: error.message };
    if (error.status !== 412) return { kind: "refused", message: error.message };
  }
  try {
    const current = await readCurrent();
    if (await isOurs(current)) return { kind: "saved", etag: current.etag };
    return { kind: "conflict", current };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { kind: error.passing ? "waiting" : "refused", message: error.message };
  }
}

/** Say what happened in a conflict, for the person whose save was not taken. */
export function conflictSentence(current: Current, now: Date, userId?: string): string {
  const said = savedSentence(current.annotation ?? current, userId);
  const since = current.annotation ? ago(current.annotation.created_at, now) : "meanwhile";
  return `${said} ${since}. Your pixels are kept here.`;
}

type Saved = Pick<Annotation, "revision"> & Partial<Annotation>;

/** Who saved a revision of the open patch and how, up to the time. */
export function savedSentence(saved: Saved, userId?: string): string {
  const { author, revision, restores, source } = saved;
  // one's own save, but not this tab's: from another tab, or another browser
  const mine = author != null && author.id === userId;
  const who = mine ? "You, elsewhere," : (author?.username ?? "Somebody else");
  if (restores) return `${who} restored revision ${restores} of this patch as revision ${revision}`;
  if (source === "proposal") return `${who} accepted the proposal of this patch as revision ${revision}`;
  return `${who} saved revision ${revision} of this patch`;
}

export function ago(time: string, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - new Date(time).getTime()) / 1000);
  if (seconds < 45) return "just now";
  if (seconds < 90 * 60) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h ago`;
  return `on ${new Date(time).toISOString().slice(0, 10)}`;
}
