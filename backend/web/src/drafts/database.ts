/** The database of unsaved masks in this browser, shared by all tabs of the page. */

import type { Draft } from "./journal";

/** A database of its own, so that a tab that still runs an older page never blocks its opening. */
const DATABASE = "membrana-drafts";
/** What older pages wrote: one draft a person and patch, whichever tab drew it. */
const OLDER = "membrana";
const DRAFTS = "drafts";
const LEASES = "leases";
/** A database that does not answer counts as one that keeps nothing: a save must not wait for it. */
const PATIENCE_MS = 8000;

/** Who may act under a name, where the browser has no locks. */
export interface Lease {
  name: string;
  holder: string;
  /** Milliseconds since 1970. */
  until: number;
}

export interface Stores {
  drafts: IDBObjectStore;
  leases: IDBObjectStore;
}

export function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}

async function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(DRAFTS, { keyPath: ["userId", "patchId", "id"] });
    request.result.createObjectStore(LEASES, { keyPath: "name" });
  };
  const opened = await asked(request);
  const gone = (): void => {
    opened.close();
    database = null;
  };
  opened.onversionchange = gone;
  opened.onclose = gone;
  await bringOlder(opened).catch((error: unknown) =>
    console.warn("older drafts stay where they are until the next start", error),
  );
  return opened;
}

/** Move what older pages kept; each is written here before it is taken away there. */
async function bringOlder(into: IDBDatabase): Promise<void> {
  const request = indexedDB.open(OLDER, 1);
  request.onupgradeneeded = () => request.transaction?.abort(); // there never was one
  const older = await asked(request).catch(() => null);
  if (!older) return;
  try {
    const drafts: Draft[] = await asked(older.transaction(DRAFTS).objectStore(DRAFTS).getAll());
    if (drafts.length === 0) return;
    const writing = into.transaction(DRAFTS, "readwrite", { durability: "strict" });
    for (const draft of drafts) {
      // an older tab may go on drawing: another time of change is another draft
      const id = `older-${draft.patchId}-${draft.changedAt}`;
      writing.objectStore(DRAFTS).put({ ...draft, id, version: 0 });
    }
    await ended(writing);
    const taking = older.transaction(DRAFTS, "readwrite");
    const store = taking.objectStore(DRAFTS);
    for (const { userId, patchId, changedAt } of drafts) {
      const now = await asked<Draft | undefined>(store.get([userId, patchId]));
      if (now?.changedAt === changedAt) store.delete([userId, patchId]);
    }
    await ended(taking);
  } finally {
    older.close();
  }
}

function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () =>
      reject(transaction.error ?? new Error("IndexedDB gave up"));
  });
}

/** Requests that got no answer in time: while there is one, nobody waits for the next. */
let hanging = 0;

function inTime<T>(begin: () => Promise<T>): Promise<T> {
  const silent = new Error("IndexedDB does not answer");
  if (hanging > 0) return Promise.reject(silent);
  return new Promise((resolve, reject) => {
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      hanging += 1;
      reject(silent);
    }, PATIENCE_MS);
    begin()
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(late);
        if (isLate) hanging -= 1;
      });
  });
}

let database: Promise<IDBDatabase> | null = null;

function opened(): Promise<IDBDatabase> {
  database ??= open().catch((error: unknown) => {
    database = null; // the next stroke tries again
    throw error;
  });
  return database;
}

/**
 * Do `act` in one transaction, which no other tab's comes between. It may await only requests of
 * these stores. Rejects if the browser keeps nothing (private window, full disk).
 */
export function within<T>(
  mode: IDBTransactionMode,
  act: (stores: Stores) => Promise<T>,
): Promise<T> {
  const work = async (): Promise<T> => {
    const transaction = (await opened()).transaction([DRAFTS, LEASES], mode, {
      durability: "strict",
    });
    const done = ended(transaction);
    const stores = {
      drafts: transaction.objectStore(DRAFTS),
      leases: transaction.objectStore(LEASES),
    };
    const [result] = await Promise.all([act(stores), done]);
    return result;
  };
  return inTime(work);
}
