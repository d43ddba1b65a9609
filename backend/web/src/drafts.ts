/** A journal of unsaved masks in IndexedDB, written after every stroke: a crash loses nothing. */

import type { Source } from "./types";

export interface Draft {
  patchId: string;
  userId: string;
  slideId: string;
  width: number;
  height: number;
  data: Uint8Array;
  /** The revision the person began from. */
  etag: string;
  source: Source;
  seconds: number;
  changedAt: string;
  /** The person asked to save it and the service could not be reached. */
  pending: boolean;
}

const STORE = "drafts";

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open("membrana", 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore(STORE, { keyPath: ["userId", "patchId"] });
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error ?? new Error("IndexedDB can't be opened"));
  });
}

let database: Promise<IDBDatabase> | null = null;

async function run<T>(
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  database ??= open();
  const transaction = (await database).transaction(STORE, mode, { durability: "strict" });
  const asked = act(transaction.objectStore(STORE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onerror = () => reject(transaction.error ?? new Error("The draft can't be kept"));
    transaction.onabort = transaction.onerror;
  });
}

export async function keepDraft(draft: Draft): Promise<void> {
  await run("readwrite", (store) => store.put(draft));
}

export async function findDraft(userId: string, patchId: string): Promise<Draft | null> {
  return (
    (await run<Draft | undefined>("readonly", (store) => store.get([userId, patchId]))) ?? null
  );
}

export async function forgetDraft(userId: string, patchId: string): Promise<void> {
  await run("readwrite", (store) => store.delete([userId, patchId]));
}

/** Drafts of this person that wait for the service, oldest first. */
export async function pendingDrafts(userId: string): Promise<Draft[]> {
  const drafts = await run<Draft[]>("readonly", (store) => store.getAll());
  return drafts
    .filter((draft) => draft.userId === userId && draft.pending)
    .sort((a, b) => a.changedAt.localeCompare(b.changedAt));
}
