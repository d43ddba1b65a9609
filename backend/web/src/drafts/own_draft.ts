/** The draft of one open patch in one tab: kept under its own name, and what lies beside it. */

import {
  draftsOf,
  forgetDraft,
  isStored,
  onDrafts,
  storeDraft,
  takeOver,
  type Draft,
  type DraftKey,
} from "./journal";
import { exclusively, holdOpen, newId, onTabMessage, openEditings, whenGone } from "./browser_tabs";

/** What else lies on the patch in this browser. */
export interface Beside {
  /** In how many other tabs the patch is open. */
  tabs: number;
  /** How many of those hold strokes that are not saved. */
  unsaved: number;
  /** Drafts of tabs that are gone, newest first. */
  left: { id: string; changedAt: string }[];
}

export const NOTHING_BESIDE: Beside = { tabs: 0, unsaved: 0, left: [] };

export interface OwnDraft {
  readonly key: DraftKey;
  /** What a tab that is gone had drawn here, taken over. */
  readonly draft: Draft | null;
  store(draft: Draft): Promise<boolean>;
  forget(): Promise<void>;
  /** Whether what was drawn outlives this page. */
  isStored(): boolean;
  look(): Promise<Beside>;
  /** Take away what a tab that is gone has left. */
  discard(id: string): Promise<void>;
  /** Call `listener` when what lies beside may have changed. */
  watch(listener: () => void): void;
  /** The patch is closed here: what was drawn waits for whoever opens it next. */
  release(): void;
}

/** A damaged copy is never shown as if somebody had drawn it. */
function isWhole({ data, width, height }: Draft): boolean {
  return data.length === width * height;
}

async function onPatch(userId: string, patchId: string): Promise<Draft[]> {
  return (await draftsOf(userId)).filter((draft) => draft.patchId === patchId);
}

/**
 * Begin to hold a patch. The newest draft of a tab that is gone is taken over, or the one that is
 * `wanted`; another tab's that is still open never is.
 */
export async function holdDraft(
  userId: string,
  patchId: string,
  wanted?: string,
): Promise<OwnDraft> {
  const key: DraftKey = { userId, patchId, id: newId() };
  const letGo = await holdOpen(key);
  const ended = new AbortController();
  const watched = new Set<string>();
  let listener = (): void => undefined;
  const news = (): void => listener();
  const stops = [
    onDrafts(news),
    onTabMessage((message) => message.kind === "editings" && news()),
  ];

  async function others(): Promise<{ open: DraftKey[]; drafts: Draft[] }> {
    const drafts = (await onPatch(userId, patchId)).filter(({ id }) => id !== key.id);
    const open = (await openEditings()).filter(
      (other) => other.patchId === patchId && other.userId === userId && other.id !== key.id,
    );
    for (const other of open) {
      if (watched.has(other.id)) continue;
      watched.add(other.id);
      whenGone(other, news, ended.signal);
    }
    return { open, drafts };
  }

  async function takeUp(): Promise<Draft | null> {
    if ((await onPatch(userId, patchId)).length === 0) return null; // nobody need be asked
    const { open, drafts } = await others();
    const left = drafts.filter(
      (draft) => isWhole(draft) && !open.some((other) => other.id === draft.id),
    );
    left.sort((a, b) => Number(b.id === wanted) - Number(a.id === wanted));
    for (const draft of left) {
      // not while it is being sent, and not if another tab was faster
      const act = (): Promise<Draft | null> => takeOver(draft, key.id);
      const taken = await exclusively(`draft ${draft.id}`, act, { wait: true });
      if (taken) return taken;
    }
    return null;
  }

  return {
    key,
    draft: await takeUp().catch((error: unknown) => {
      console.warn("drafts not looked for", error);
      return null;
    }),
    store: storeDraft,
    forget: () => forgetDraft(key),
    isStored: () => isStored(key.id),
    async look() {
      const { open, drafts } = await others();
      const isOpen = ({ id }: Draft): boolean => open.some((other) => other.id === id);
      return {
        tabs: open.length,
        unsaved: drafts.filter(isOpen).length,
        left: drafts
          .filter((draft) => !isOpen(draft))
          .map(({ id, changedAt }) => ({ id, changedAt })),
      };
    },
    discard: (id) => forgetDraft({ ...key, id }),
    watch(onChange) {
      listener = onChange;
    },
    release() {
      listener = () => undefined;
      ended.abort();
      for (const stop of stops) stop();
      letGo();
    },
  };
}
