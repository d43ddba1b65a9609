/**
 * Where a draft lies in the database. One that reaches over the borders of its patch lies under a
 * name that older pages don't look at: in a tab that is still open, one of those would send the
 * patch in hand alone, and take the draft away.
 */

import { asked } from "./database";
import type { Draft, DraftKey } from "./journal";

/** Before the person's id, which is no word. */
const AROUND = "around ";

type Named = Pick<DraftKey, "userId" | "patchId" | "id">;

const apart = <T extends Named>(draft: T): T => ({ ...draft, userId: AROUND + draft.userId });
const asItIs = (draft: Draft): Draft => ({ ...draft, userId: draft.userId.slice(AROUND.length) });
const keyOf = ({ userId, patchId, id }: Named): IDBValidKey => [userId, patchId, id];
const allOf = (userId: string): IDBKeyRange => IDBKeyRange.bound([userId], [userId, []]);

export const newer = (a: Draft | undefined, b: Draft | undefined): Draft | undefined =>
  a && b ? (b.version > a.version ? b : a) : (a ?? b);

export async function readDraft(drafts: IDBObjectStore, key: Named): Promise<Draft | undefined> {
  const [plain, around] = await Promise.all([
    asked<Draft | undefined>(drafts.get(keyOf(key))),
    asked<Draft | undefined>(drafts.get(keyOf(apart(key)))),
  ]);
  return newer(plain, around && asItIs(around));
}

export async function readDrafts(drafts: IDBObjectStore, userId: string): Promise<Draft[]> {
  const [plain, around] = await Promise.all([
    asked<Draft[]>(drafts.getAll(allOf(userId))),
    asked<Draft[]>(drafts.getAll(allOf(AROUND + userId))),
  ]);
  const all = new Map(plain.map((draft) => [draft.id, draft]));
  for (const draft of around) all.set(draft.id, newer(all.get(draft.id), asItIs(draft))!);
  return [...all.values()];
}

export async function writeDraft(drafts: IDBObjectStore, draft: Draft): Promise<void> {
  const [here, elsewhere] = draft.around ? [apart(draft), draft] : [draft, apart(draft)];
  await Promise.all([asked(drafts.put(here)), asked(drafts.delete(keyOf(elsewhere)))]);
}

export async function dropDraft(drafts: IDBObjectStore, key: Named): Promise<void> {
  await Promise.all([key, apart(key)].map((each) => asked(drafts.delete(keyOf(each)))));
}
