/** The parts of a browser that node lacks, for tests of the draft journal: the edges only. */

import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { vi } from "vitest";

/** A fresh, empty database that works as a browser's does. */
export function freshIndexedDB(): IDBFactory {
  const factory = new IDBFactory();
  vi.stubGlobal("indexedDB", factory);
  vi.stubGlobal("IDBKeyRange", IDBKeyRange);
  return factory;
}

/**
 * Modules as another tab has them: with a state of their own, on the same database, locks and
 * channel.
 */
export async function newTab() {
  vi.resetModules();
  const drafts = await import("../src/drafts/journal");
  const outbox = await import("../src/drafts/outbox");
  const editing = await import("../src/editing/editing");
  const tabs = await import("../src/drafts/browser_tabs");
  return { ...drafts, ...outbox, ...editing, ...tabs };
}
export type Tab = Awaited<ReturnType<typeof newTab>>;
