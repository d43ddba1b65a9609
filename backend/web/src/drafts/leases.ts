/** One tab at a time where the browser has no locks: a lease in the database all tabs share. */

import { asked, within, type Lease } from "./database";

/** A tab that crashed keeps the others waiting for so long. */
const LEASE_MS = 6000;
const RENEW_MS = 2000;
const AGAIN_MS = 200;

async function claim(name: string, holder: string): Promise<boolean> {
  return within("readwrite", async ({ leases }) => {
    const held = await asked<Lease | undefined>(leases.get(name));
    const left = held ? held.until - Date.now() : 0;
    // a lease from a clock that was set back since would never end
    if (held && held.holder !== holder && left > 0 && left <= LEASE_MS) return false;
    leases.put({ name, holder, until: Date.now() + LEASE_MS } satisfies Lease);
    return true;
  });
}

async function giveBack(name: string, holder: string): Promise<void> {
  await within("readwrite", async ({ leases }) => {
    const held = await asked<Lease | undefined>(leases.get(name));
    if (held?.holder === holder) leases.delete(name);
  });
}

export async function exclusivelyByLease<T>(
  name: string,
  holder: string,
  act: () => Promise<T>,
  wait: boolean,
): Promise<T | undefined> {
  // where nothing is kept no other tab can see, and so send, what this one has
  const tryIt = (): Promise<boolean> => claim(name, holder).catch(() => true);
  while (!(await tryIt())) {
    if (!wait) return undefined;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
  const renewal = setInterval(() => void tryIt(), RENEW_MS);
  try {
    return await act();
  } finally {
    clearInterval(renewal);
    await giveBack(name, holder).catch(() => undefined);
  }
}
