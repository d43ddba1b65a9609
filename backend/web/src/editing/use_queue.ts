/** The queue as a hook: the next patch by the chosen strategy, or the sentence why there is none. */

import { useCallback, useState } from "preact/hooks";
import { ApiError, nextPatch } from "../api/client";
import { notify } from "../shell/notices";
import type { QueueItem, Strategy } from "../api/types";

export interface Queue {
  offer: QueueItem | null;
  /** Why nothing was offered; empty if something was, or nobody asked. */
  nothing: string;
  /** Ask for the patch after this one; null when nothing is left. */
  ask(after: string | null): Promise<QueueItem | null>;
  /** Another patch was opened meanwhile. */
  forget(): void;
}

const EMPTY: Record<Strategy, string> = {
  uncertainty:
    "Nothing is left in the queue of this slide. Either every patch has been looked at, or its " +
    "proposals are still being made.",
  clinical: "No patch is left whose correction could change the score.",
};

export function useQueue(slide: string, strategy: Strategy): Queue {
  const [offer, setOffer] = useState<QueueItem | null>(null);
  const [nothing, setNothing] = useState("");
  const forget = useCallback(() => setNothing(""), []);
  const ask = useCallback(
    async (after: string | null) => {
      setNothing("");
      try {
        const item = await nextPatch(slide, after, strategy);
        setOffer(item);
        if (!item) setNothing(EMPTY[strategy]);
        return item;
      } catch (error) {
        const { message } = error as Error;
        // said where it was asked for: it is no failure, the slide has no live score yet
        if (error instanceof ApiError && error.code === "no_score") setNothing(message);
        else notify(message, "bad");
        return null;
      }
    },
    [slide, strategy],
  );
  return { offer, nothing, ask, forget };
}
