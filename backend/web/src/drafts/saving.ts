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

/**
 * What the newest revision is to a draft: its very pixels; an earlier state of it, sent by this
 * browser and never answered; or somebody's that it knows nothing of.
 */
export type Kinship = "same" | "earlier" | "foreign";

/** A tile that was saved with the patch in hand. */
export interface SavedTile {
  x: number;
  y: number;
  patchId: string;
  revision: number;
  /** Somebody else had changed other pixels of it: both changes are in this revision. */
  merged: boolean;
}

/** A tile where somebody else has changed the same pixels. */
export interface OvertakenTile {
  x: number;
  y: number;
  patchId: string;
  revision: number;
  by: { id: string; username: string } | null;
  at: string | null;
}

export type Outcome =
  /**
   * `by`: whose revision has these very pixels, where it is not the one that was sent. `tiles`:
   * those that went with it.
   */
  | { kind: "saved"; etag: string; by?: Annotation; tiles?: SavedTile[] }
  /** `current`: of the patch in hand, which may not have moved where `tiles` have. */
  | { kind: "conflict"; current: Current; tiles?: OvertakenTile[] }
  | { kind: "waiting"; message: string }
  /** `tiles`: those around the patch in hand that are why, where it is they. */
  | { kind: "refused"; message: string; tiles?: Pick<OvertakenTile, "x" | "y">[] };

/** The number in an ETag `"r7"`; 0 for anything else, which no newest revision equals. */
export function revisionOf(etag: string): number {
  const match = /^(?:W\/)?"r(\d+)"$/.exec(etag);
  return match ? Number(match[1]) : 0;
}

/**
 * Try to write; turn whatever happens into an outcome. A 412 asks the service what is there now:
 * the same pixels are saved already, and on top of an earlier state of one's own (a save whose
 * answer was lost on the way) this one is written after all.
 */
export async function attempt(
  write: (onto: Current | null) => Promise<string>,
  readCurrent: () => Promise<Current>,
  kinship: (current: Current) => Promise<Kinship>,
): Promise<Outcome> {
  let onto: Current | null = null;
  for (;;) {
    try {
      return { kind: "saved", etag: await write(onto) };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status !== 412) return unsaved(error);
    }
    try {
      const current = await readCurrent();
      const kin = await kinship(current);
      if (kin === "same") return saved(current);
      if (kin === "foreign" || onto) return { kind: "conflict", current };
      onto = current;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return unsaved(error);
    }
  }
}

export function unsaved(error: ApiError): Outcome {
  // signed out: after signing in again the draft is sent
  const later = error.passing || error.signedOut;
  return { kind: later ? "waiting" : "refused", message: error.message };
}

/** These very pixels are there already. */
export function saved({ etag, annotation }: Current): Outcome {
  return { kind: "saved", etag, ...(annotation ? { by: annotation } : {}) };
}

/** Say what happened in a conflict, for the person whose save was not taken. */
export function conflictSentence(current: Current, now: Date, userId?: string): string {
  const sentence = savedSentence(current.annotation ?? current, userId);
  const since = current.annotation ? ago(current.annotation.created_at, now) : "meanwhile";
  return `${sentence} ${since}. Your pixels are kept here.`;
}

/** Say what happened in a conflict about tiles around the patch in hand. */
export function overtakenTilesSentence(tiles: OvertakenTile[], now: Date, userId: string): string {
  const [{ by, at }] = tiles as [OvertakenTile];
  const others = new Set(tiles.map((tile) => tile.by?.id));
  const who = others.size > 1 ? "Others" : !by ? "Somebody else" : by.id === userId ? "You, elsewhere," : by.username;
  const where = tiles.length === 1 ? "a patch" : `${tiles.length} patches`;
  const when = at ? ago(at, now) : "meanwhile";
  return `${who} changed pixels that you have painted on ${where} around this one, ${when}. Your pixels are kept here.`;
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
