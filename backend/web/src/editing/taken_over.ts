/** A patch in two people's hands: each learns at once what the other does with it. */

import { readPatch } from "../api/client";
import { page, userId } from "../store";
import type { Editing } from "./editing";
import { subscribe, type ServerEvent } from "../api/events";
import { notify } from "../shell/notices";
import { savedSentence } from "../drafts/saving";

/** For somebody who has the patch open and has drawn nothing on it. */
export function overtakenSentence(event: ServerEvent | undefined, userId: string): string {
  if (!event?.revision) return "This patch has a newer revision; it is shown now.";
  const sentence = savedSentence({ ...event, revision: event.revision }, userId);
  return `${sentence} just now; it is shown here.`;
}

/** What a page says of a save over somebody's lease; empty if it is none of its person's business. */
export function takenSentence(
  event: ServerEvent,
  userId: string,
  openPatchId: string | null,
): string {
  const { author, taken_from: holder } = event;
  if (!holder || !author) return "";
  if (author.id === userId) {
    return `${holder.username} had this patch in hand, and has been told that you saved it.`;
  }
  // with the patch open the bench says so, and offers the way on
  if (holder.id !== userId || event.id === openPatchId) return "";
  const sentence = savedSentence({ ...event, revision: event.revision ?? 0 });
  return `${sentence.replace("this patch", "a patch that you had in hand")}. It is out of your queue.`;
}

/** Tell whoever saved over a lease, and whoever lost one without having the patch open. */
export function followTakeovers(): () => void {
  return subscribe(
    (topic, event) => {
      if (topic !== "annotation") return;
      const sentence = takenSentence(event, userId.value, page.route.value.patch);
      if (sentence) notify(sentence, "bad");
    },
    () => undefined, // the patch itself says so when it is opened
  );
}

/** Keep what the panel says of the open patch fresh: who has it in hand, and its state. */
export function followPatch(editing: Editing): () => void {
  const { id } = editing.patch;
  const reread = (): void => {
    readPatch(id).then(
      ({ patch: { state, role = null, lease = null } }) => editing.update({ state, role, lease }),
      () => undefined, // the next event asks again
    );
  };
  return subscribe((topic, event) => {
    if (topic === "patch" && event.id === id) reread();
  }, reread);
}
