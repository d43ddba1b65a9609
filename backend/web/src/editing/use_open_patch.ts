/** The open patch as a hook: opened, followed, guarded and handed back. */

import { computed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { openEditing, type Editing } from "./editing";
import { subscribe, type ServerEvent } from "../api/events";
import { guardLeaving, type LeftBehind } from "../shell/leaving";
import { notify, notifyWhile } from "../shell/notices";
import { onDelivered } from "../drafts/outbox";
import { keyOf } from "../masks/mask_store";
import { bench, mayEdit, openSlide, page, userId } from "../store";
import type { SlideAround } from "./surroundings";
import { followPatch, overtakenSentence } from "./taken_over";

/** Open the patch anew, with the draft of that id if one is named. */
export function reopen(draft?: string): void {
  bench.wanted.value = draft ? { draft } : {};
}

const byPlace = computed(() => new Map(bench.patches.value.map((patch) => [keyOf(patch), patch])));

function slideAround(): SlideAround | null {
  const { width, height } = openSlide.value ?? {};
  if (!width || !height) return null;
  return { width, height, patchAt: (place) => byPlace.value.get(keyOf(place)), say: notify };
}

export function useOpenPatch(): void {
  const patchId = page.route.value.patch;
  const user = userId.value;
  const wanted = bench.wanted.value;
  const editing = bench.editing.value;
  const guarded = mayEdit.value;

  useEffect(() => {
    if (!patchId) return undefined;
    let current = true;
    let opened: Editing | null = null;
    bench.opening.value = true;
    openEditing(patchId, user, wanted.draft, slideAround())
      .then(
        (ready) => {
          if (!current) return ready.close();
          bench.editing.value = opened = ready;
        },
        (error: Error) => current && notify(error.message, "bad"),
      )
      .finally(() => current && (bench.opening.value = false));
    return () => {
      current = false;
      opened?.close();
      bench.editing.value = null;
      bench.opening.value = false;
    };
  }, [patchId, user, wanted]);

  useEffect(() => {
    if (!editing) return undefined;
    const stops = [
      onDelivered((sent, outcome) => {
        if (sent.patchId !== editing.patch.id) return;
        const own = sent.id === editing.id;
        const taken = own ? editing.receive(sent, outcome) : Promise.resolve();
        // what came while it waited may lie on top of it
        if (outcome.kind === "saved") void taken.then(() => catchUp(editing));
      }),
      subscribe(
        (topic, event) => {
          if (topic !== "annotation") return;
          if (event.id === editing.patch.id) catchUp(editing, event);
          else if (event.revision) editing.heard(event.id, event.revision);
        },
        () => catchUp(editing),
      ),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [editing]);

  useEffect(() => {
    if (!editing) return undefined;
    // where tabs have no locks, one that crashed is missed only when somebody looks
    const visibility = (): void => void (document.hidden || editing.look());
    const closing = (event: BeforeUnloadEvent): void => {
      if (editing.isUnsaved()) event.preventDefault();
    };
    addEventListener("beforeunload", closing);
    document.addEventListener("visibilitychange", visibility);
    return () => {
      removeEventListener("beforeunload", closing);
      document.removeEventListener("visibilitychange", visibility);
    };
  }, [editing]);

  useEffect(() => (editing ? followPatch(editing) : undefined), [editing]);

  useEffect(() => {
    if (!editing || !guarded) return undefined;
    return guardLeaving(() => leftBehind(editing));
  }, [editing, guarded]);
}

/** Hear of a newer revision: the patch is opened anew, or the person is asked. */
function catchUp(open: Editing, event?: ServerEvent): void {
  const before = open.message;
  open.catchUp().then(
    (overtaken) => {
      if (open !== bench.editing.value) return; // closed meanwhile
      if (overtaken) {
        notify(overtakenSentence(event, userId.value));
        reopen();
      } else if (open.state === "conflict" && open.message !== before) {
        // whatever panel is in front, until it is decided
        const { message } = open;
        const undecided = (): boolean => open.message === message && bench.editing.value === open;
        notifyWhile(undecided, message);
      }
    },
    () => undefined, // the line is down again: the next beginning asks again
  );
}

/** What would be left behind; a save that is under way is waited for. */
async function leftBehind(editing: Editing): Promise<LeftBehind | null> {
  // the page has gone on already, and this guard with its effect only follows
  if (editing.patch.id !== page.route.value.patch) return null;
  editing.endStroke();
  if (editing.state === "saving") await editing.save();
  // what waits was saved by the person, and is sent from wherever they are
  if (!editing.isUnsaved() || editing.state === "waiting") return null;
  return {
    undecided: editing.state === "conflict" ? editing.message : "",
    stored: editing.isStored(),
    async save() {
      await editing.save();
      return editing.isUnsaved() && editing.state !== "waiting" ? editing.message : null;
    },
  };
}
