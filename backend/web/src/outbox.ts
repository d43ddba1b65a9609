/** Bring masks to the service, now or as soon as it can be reached again. */

import { listAnnotations, putAnnotation, readPatch, readPatchMask } from "./api";
import { forgetDraft, keepDraft, pendingDrafts, type Draft } from "./drafts";
import { asLabels, sameMask } from "./mask";
import { decodeGray, encodeGray } from "./png";
import { attempt, revisionOf, type Current, type Outcome } from "./saving";

const RETRY_MS = 5000;

export type Delivered = (draft: Draft, outcome: Outcome) => void;

/** A journal that fails (private browsing, full disk) must not stop the save itself. */
async function journal(act: Promise<void>): Promise<void> {
  await act.catch((error: unknown) => console.warn("draft not kept", error));
}

async function readCurrent(patch: string): Promise<Current> {
  const { etag } = await readPatch(patch);
  const revision = revisionOf(etag);
  const annotations = await listAnnotations(patch);
  return {
    etag,
    revision,
    annotation: annotations.find((annotation) => annotation.revision === revision) ?? null,
  };
}

const inFlight = new Set<string>();

/** Write a draft as a new revision; keep it in the journal until the service has it. */
export async function deliver(draft: Draft): Promise<Outcome> {
  inFlight.add(draft.patchId);
  try {
    return await send(draft);
  } finally {
    inFlight.delete(draft.patchId);
  }
}

async function send(draft: Draft): Promise<Outcome> {
  await journal(keepDraft({ ...draft, pending: true }));
  const png = await encodeGray(draft);
  const outcome = await attempt(
    () => putAnnotation(draft.patchId, png, draft),
    () => readCurrent(draft.patchId),
    async (current) => {
      if (current.annotation?.author?.id !== draft.userId) return false;
      if (current.revision !== revisionOf(draft.etag) + 1) return false;
      const theirs = await readPatchMask(draft.patchId, "annotation");
      return theirs !== null && sameMask(asLabels(await decodeGray(theirs)), draft);
    },
  );
  if (outcome.kind === "saved") await journal(forgetDraft(draft.userId, draft.patchId));
  else if (outcome.kind !== "waiting") await journal(keepDraft({ ...draft, pending: false }));
  return outcome;
}

/** Try waiting drafts again every few seconds and when the line comes back. Returns the stop. */
export function startOutbox(userId: string, tell: Delivered): () => void {
  let busy = false;
  async function flush(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      for (const draft of await pendingDrafts(userId)) {
        if (inFlight.has(draft.patchId)) continue;
        const outcome = await deliver(draft);
        if (outcome.kind === "waiting") break;
        tell(draft, outcome);
      }
    } catch (error) {
      console.warn("waiting saves not tried", error);
    } finally {
      busy = false;
    }
  }
  const again = (): void => void flush();
  const timer = setInterval(again, RETRY_MS);
  window.addEventListener("online", again);
  again();
  return () => {
    clearInterval(timer);
    window.removeEventListener("online", again);
  };
}
