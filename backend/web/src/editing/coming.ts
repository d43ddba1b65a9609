/** The patches that come next: listed, and the first of them read before they are asked for. */

import { useEffect } from "preact/hooks";
import { listComing } from "../api/client";
import { subscribe } from "../api/events";
import type { Strategy } from "../api/types";
import { bench, mayEdit, page } from "../store";
import { readAhead } from "./patch_reading";

/** Read before the person goes on: enough for a quick hand, and few enough for a slow line. */
const AHEAD = 3;
const REREAD_MS = 1500;

export function useComing(slideId: string): void {
  const { patch } = page.route.value;
  const { strategy } = page.preferences.value;
  const allowed = mayEdit.value;
  // while a patch opens it comes first: what follows it is read when it is there
  const ready = !bench.opening.value && !bench.asking.value;

  useEffect(() => {
    if (!allowed || !ready) return undefined;
    let current = true;
    const reread = (): void => {
      void readComing(slideId, patch, strategy, () => current);
    };
    reread();
    let soon: ReturnType<typeof setTimeout> | undefined;
    const stop = subscribe((topic, event) => {
      if (topic !== "proposals" && topic !== "patch") return;
      if (event.id !== slideId && event.slide_id !== slideId) return;
      soon ??= setTimeout(() => {
        soon = undefined;
        reread();
      }, REREAD_MS);
    }, reread);
    return () => {
      current = false;
      stop();
      clearTimeout(soon);
    };
  }, [slideId, patch, strategy, allowed, ready]);
}

async function readComing(
  slide: string,
  after: string | null,
  strategy: Strategy,
  isCurrent: () => boolean,
): Promise<void> {
  // by the score before there is one, or without a line: nothing is known to come
  const coming = await listComing(slide, after, strategy).catch(() => []);
  if (!isCurrent()) return;
  bench.coming.value = coming;
  readAhead(coming.slice(0, AHEAD).map((each) => each.patch.id));
}
