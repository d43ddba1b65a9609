/** Bring masks to the service, now or as soon as it can be reached again. */

import { putAnnotation } from "../api/client";
import {
  conclude,
  draftsOf,
  findDraft,
  storeDraft,
  rememberSent,
  type Draft,
  type DraftKey,
} from "./journal";
import { encodeGray } from "../masks/png";
import { kinshipOf, readCurrent } from "./current";
import { attemptEdit } from "./edit_sending";
import { attempt, type Current, type Outcome } from "./saving";
import { broadcast, exclusively, onTabMessage } from "./browser_tabs";

const RETRY_MS = 5000;

/** A state of a draft that was sent, in this tab or in another. */
export type Sent = DraftKey & { version: number };
export type Delivered = (sent: Sent, outcome: Outcome) => void;

const listeners = new Set<Delivered>();

/** Hear what became of drafts that an outbox or another tab has sent. Returns the stop. */
export function onDelivered(listener: Delivered): () => void {
  listeners.add(listener);
  const stop = onTabMessage((message) => {
    if (message.kind === "delivered") listener(message.draft, message.outcome);
  });
  return () => {
    listeners.delete(listener);
    stop();
  };
}

/**
 * Write a draft as a new revision; keep it in the journal until the service has it. Never rejects:
 * whatever goes wrong is an outcome.
 */
export async function deliver(draft: Draft): Promise<Outcome> {
  await storeDraft({ ...draft, pending: true });
  const outcome = await alone(draft, true, async () => {
    // another tab may have sent an earlier state meanwhile: this one then goes on top of it
    const now = await findDraft(draft);
    return send(now?.version === draft.version ? now : draft);
  });
  return outcome ?? failed(new Error("nobody has sent it"));
}

/** One sender for a draft: no two tabs send it at the same time. */
function alone<T>(draft: Draft, wait: boolean, act: () => Promise<T>): Promise<T | undefined> {
  return exclusively(`draft ${draft.id}`, act, { wait });
}

function failed(error: unknown): Outcome {
  console.error("a mask could not be sent", error);
  const why = error instanceof Error ? error.message : String(error);
  return { kind: "refused", message: `This mask could not be sent (${why}).` };
}

async function send(draft: Draft): Promise<Outcome> {
  const outcome = await tryToSend(draft).catch(failed);
  await conclude(draft, outcome);
  if (outcome.kind !== "waiting") {
    const { userId, patchId, id, version } = draft;
    broadcast({ kind: "delivered", draft: { userId, patchId, id, version }, outcome });
  }
  return outcome;
}

/** The time that an earlier state took is in its revision: it does not count twice. */
function ontoOwn(draft: Draft, { etag, annotation }: Current): Draft {
  return { ...draft, etag, seconds: Math.max(0, draft.seconds - (annotation?.seconds_spent ?? 0)) };
}

async function tryToSend(draft: Draft): Promise<Outcome> {
  if (draft.data.length !== draft.width * draft.height) {
    throw new Error("the copy in this browser is damaged");
  }
  const png = await encodeGray(draft);
  // what is not sent can't arrive
  if (!draft.onlyAround) await rememberSent(draft, png);
  if (draft.around?.tiles.length) return attemptEdit(draft, draft.around, png);
  return attempt(
    (onto) => putAnnotation(draft.patchId, png, onto ? ontoOwn(draft, onto) : draft),
    () => readCurrent(draft.patchId),
    (current) => kinshipOf(draft, current),
  );
}

/**
 * Try waiting drafts, of this tab and of others, again every few seconds and when the line comes
 * back; one tab at a time does so. Returns the stop.
 */
export function startOutbox(userId: string, onOutcome: Delivered): () => void {
  let stopped = false;

  async function sendWaiting(waiting: Draft): Promise<void> {
    await alone(waiting, false, async () => {
      const draft = await findDraft(waiting);
      if (!draft?.pending || stopped) return; // concluded meanwhile
      const outcome = await send(draft);
      if (outcome.kind === "waiting") return;
      for (const listener of [...listeners]) listener(draft, outcome);
      onOutcome(draft, outcome);
    });
  }
  async function flush(): Promise<void> {
    const waiting = (await draftsOf(userId)).filter(({ pending }) => pending).reverse();
    // one that fails does not keep back those behind it
    for (const draft of waiting) {
      if (stopped) return;
      await sendWaiting(draft).catch((error: unknown) => console.warn("not tried", error));
    }
  }
  const again = (): void => {
    exclusively(`outbox ${userId}`, flush, { wait: false }).catch((error: unknown) =>
      console.warn("waiting saves not tried", error),
    );
  };
  const timer = setInterval(again, RETRY_MS);
  window.addEventListener("online", again);
  again();
  return () => {
    stopped = true;
    clearInterval(timer);
    window.removeEventListener("online", again);
  };
}
