/** The live score of the open slide: read, followed by events, asked otherwise. */

import { batch, computed } from "@preact/signals";
import { subscribe } from "../api/events";
import type { ScoreWish, Thresholds } from "../api/types";
import { notify } from "../shell/notices";
import { her2, page } from "../store";
import { putScore, readScore } from "./api";
import { picked, same } from "./thresholds";

const REST_MS = 250;
let resting: ReturnType<typeof setTimeout> | undefined;

/** The thresholds that the sliders show; null before anything was computed. */
export const thresholds = computed<Thresholds | null>(() => {
  const live = her2.live.value;
  // the document of a what-if names its thresholds, so the sliders stand where it was computed
  const own = live?.document && picked(live.document.protocol.thresholds);
  return her2.moved.value ?? live?.thresholds ?? own ?? null;
});
/** They are not the protocol's own. */
export const thresholdsChanged = computed(() => {
  const moved = her2.moved.value;
  return moved === undefined ? her2.live.value?.thresholds != null : moved !== null;
});

/** Read the score, and again when it changes. Returns the stop. */
export function followScore(slideId: string): () => void {
  const reload = (): void => reloadScore(slideId);
  reload();
  const stop = subscribe((topic, event) => {
    if (topic === "score" && event.id === slideId) reload();
    if (topic === "job" && event.kind === "score" && event.subject === slideId) {
      her2.scoreProgress.value = { share: event.progress ?? null, message: event.message ?? "" };
    }
  }, reload);
  return () => {
    stop();
    clearTimeout(resting);
  };
}

function reloadScore(slideId: string): void {
  readScore(slideId).then(
    (live) => {
      if (slideId !== page.route.value.slide) return;
      batch(() => {
        // somebody entered another result, here or elsewhere
        if (live.ish?.entered_at !== her2.live.value?.ish?.entered_at) her2.typed.value = null;
        her2.live.value = live;
        if (live.state !== "computing") her2.scoreProgress.value = null;
        const moved = her2.moved.value;
        if (moved !== undefined && same(moved, live.thresholds)) her2.moved.value = undefined;
      });
    },
    (error: Error) => notify(error.message, "bad"),
  );
}

/** Say something of the staining; throws what the service says against it. */
export async function changeScore(wanted: ScoreWish): Promise<void> {
  const { slide } = page.route.value;
  if (!slide) return;
  her2.scoreBusy.value = true;
  try {
    await putScore(slide, wanted);
  } finally {
    her2.scoreBusy.value = false;
    reloadScore(slide);
  }
}

/** As `changeScore`, but what the service says against it is a notice. */
export function tryScore(wanted: ScoreWish): Promise<void> {
  return changeScore(wanted).catch((error: Error) => {
    her2.moved.value = undefined;
    notify(error.message, "bad");
  });
}

/** What-if thresholds, sent once the hand rests; null is the protocol's own. */
export function setThresholds(moved: Thresholds | null): void {
  her2.moved.value = moved;
  clearTimeout(resting);
  resting = setTimeout(() => void tryScore({ thresholds: moved }), REST_MS);
}
