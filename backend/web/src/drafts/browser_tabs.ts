/**
 * The tabs of this page in one browser: what they tell each other, which patches they have open,
 * and what only one of them may do at a time. Web Locks end with the tab that holds them, also
 * when it crashes. Browsers give them to https and localhost only; elsewhere tabs answer a roll
 * call, and a lease in the shared database stands in for a lock.
 */

import { exclusivelyByLease } from "./leases";
import type { Outcome } from "./saving";

export interface OpenEditing {
  userId: string;
  patchId: string;
  id: string;
}

export type TabMessage =
  /** Somebody has signed in or out, which all tabs of a browser do together. */
  | { kind: "session" }
  | { kind: "drafts" }
  | { kind: "editings" }
  | { kind: "roll" }
  | { kind: "here"; open: OpenEditing }
  | { kind: "delivered"; draft: OpenEditing & { version: number }; outcome: Outcome };

const EDITING = "membrana editing";
const ROLL_MS = 300;

const locks = (): LockManager | undefined =>
  (globalThis.navigator as { locks?: LockManager } | undefined)?.locks;
const channel =
  typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("membrana");
const listeners = new Set<(message: TabMessage) => void>();
const mine = new Map<string, OpenEditing>();
/** Ended here: a lock that was let go may be seen for a moment longer. */
const over = new Set<string>();

channel?.addEventListener("message", ({ data }: MessageEvent<TabMessage>) => {
  if (data.kind === "roll") for (const open of mine.values()) broadcast({ kind: "here", open });
  for (const listener of [...listeners]) listener(data);
});

/** Tell the other tabs. */
export function broadcast(message: TabMessage): void {
  channel?.postMessage(message);
}

/** Hear what other tabs broadcast. Returns the stop. */
export function onTabMessage(listener: (message: TabMessage) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** An unguessed name; `crypto.randomUUID` is missing where the page comes over plain http. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const lockOf = ({ userId, patchId, id }: OpenEditing): string =>
  [EDITING, userId, patchId, id].join(" ");

/** Let the other tabs know that this one has a patch open, until the returned release. */
export async function holdOpen(open: OpenEditing): Promise<() => void> {
  mine.set(open.id, open);
  let unlock = (): void => undefined;
  await new Promise<void>((begun) => {
    const held = locks()?.request(lockOf(open), () => {
      begun();
      return new Promise<void>((resolve) => (unlock = resolve));
    });
    if (held) held.catch(() => begun());
    else begun();
  });
  broadcast({ kind: "editings" });
  return () => {
    mine.delete(open.id);
    over.add(open.id);
    unlock();
    broadcast({ kind: "editings" });
  };
}

/** The editings that are open in any tab, this one's among them. */
export async function openEditings(): Promise<OpenEditing[]> {
  const all = new Map(mine);
  const manager = locks();
  if (manager) {
    for (const { name } of (await manager.query()).held ?? []) {
      if (!name?.startsWith(`${EDITING} `)) continue;
      const [userId = "", patchId = "", id = ""] = name.slice(EDITING.length + 1).split(" ");
      all.set(id, { userId, patchId, id });
    }
  } else if (channel) {
    const stop = onTabMessage((message) => {
      if (message.kind === "here") all.set(message.open.id, message.open);
    });
    broadcast({ kind: "roll" });
    await new Promise((resolve) => setTimeout(resolve, ROLL_MS));
    stop();
  }
  return [...all.values()].filter(({ id }) => !over.has(id));
}

/** Call `listener` once another tab's editing has ended, however it ended. */
export function whenGone(open: OpenEditing, listener: () => void, signal: AbortSignal): void {
  locks()
    ?.request(lockOf(open), { mode: "shared", signal }, () => undefined)
    .then(listener, () => undefined);
}

/**
 * Do what only one tab may do at a time under a name. Without `wait`, undefined at once if another
 * is at it.
 */
export async function exclusively<T>(
  name: string,
  act: () => Promise<T>,
  { wait }: { wait: boolean },
): Promise<T | undefined> {
  const manager = locks();
  if (!manager) return exclusivelyByLease(name, newId(), act, wait);
  return manager.request(`membrana ${name}`, { ifAvailable: !wait }, async (lock) =>
    lock ? act() : undefined,
  );
}

globalThis.addEventListener?.("pagehide", () => {
  if (!locks()) broadcast({ kind: "editings" });
});
