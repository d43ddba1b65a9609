/** The open patch as a hook: opened, followed, guarded and handed back. */

import { useCallback, useEffect, useState } from "preact/hooks";
import { openEditing, type Changed, type Editing } from "./editing";
import { subscribe, type ServerEvent } from "../api/events";
import { guardLeaving, type LeftBehind } from "../shell/leaving";
import { notify } from "../shell/notices";
import { onDelivered } from "../drafts/outbox";
import { overtakenSentence, useFreshPatch } from "./taken_over";

export interface OpenPatch {
  editing: Editing | null;
  opening: boolean;
  /** Open the patch anew, with the draft of that id if one is named. */
  reopen(draft?: string): void;
}

export function useEditing(
  patchId: string | null,
  userId: string,
  mayEdit: boolean,
  changed: (what: Changed) => void,
): OpenPatch {
  const [editing, setEditing] = useState<Editing | null>(null);
  const [opening, setOpening] = useState(false);
  // counted, so that the same draft can be wanted again
  const [wanted, setWanted] = useState<{ draft?: string }>({});
  const reopen = useCallback((draft?: string) => setWanted(draft ? { draft } : {}), []);

  useEffect(() => {
    if (!patchId) return undefined;
    let current = true;
    let opened: Editing | null = null;
    setOpening(true);
    openEditing(patchId, userId, (what) => current && changed(what), wanted.draft)
      .then(
        (ready) => {
          if (!current) return ready.close();
          opened = ready;
          setEditing(ready);
        },
        (error: Error) => current && notify(error.message, "bad"),
      )
      .finally(() => current && setOpening(false));
    return () => {
      current = false;
      opened?.close();
      setEditing(null);
      setOpening(false);
    };
  }, [patchId, userId, wanted, changed]);

  const catchUp = useCallback(
    (open: Editing, event?: ServerEvent): void => {
      const before = open.message;
      open.catchUp().then(
        (overtaken) => {
          if (overtaken) {
            notify(overtakenSentence(event, userId));
            reopen();
          } else if (open.state === "conflict" && open.message !== before) {
            // whatever panel is in front
            notify(open.message, "bad");
          }
        },
        () => undefined, // the line is down again: the next beginning asks again
      );
    },
    [reopen, userId],
  );

  useEffect(() => {
    if (!editing) return undefined;
    const stops = [
      onDelivered((sent, outcome) => {
        if (sent.patchId !== editing.patch.id) return;
        const own = sent.id === editing.id;
        const taken = own ? editing.settle(sent, outcome) : Promise.resolve();
        // what came while it waited may lie on top of it
        if (outcome.kind === "saved") void taken.then(() => catchUp(editing));
      }),
      subscribe(
        (topic, event) => {
          if (topic === "annotation" && event.id === editing.patch.id) catchUp(editing, event);
        },
        () => catchUp(editing),
      ),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [editing, catchUp]);

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

  useFreshPatch(editing, changed);

  useEffect(() => {
    if (!editing || !mayEdit) return undefined;
    return guardLeaving(() => leftBehind(editing));
  }, [editing, mayEdit]);

  return { editing, opening, reopen };
}

/** What would be left behind; a save that is under way is waited for. */
async function leftBehind(editing: Editing): Promise<LeftBehind | null> {
  editing.endStroke();
  if (editing.state === "saving") await editing.save();
  // what waits was saved by the person, and is sent from wherever they are
  if (!editing.isUnsaved() || editing.state === "waiting") return null;
  return {
    undecided: editing.state === "conflict" ? editing.message : "",
    kept: editing.isKept(),
    async save() {
      await editing.save();
      return editing.isUnsaved() && editing.state !== "waiting" ? editing.message : null;
    },
  };
}
