/** How long a person really works on a patch: from when it is shown, pauses left out. */

import { useEffect } from "preact/hooks";

/** Longer without a sign of life is a pause; so much of it still counts as looking. */
const IDLE_AFTER_S = 30;

export interface ActivityClock {
  /** The patch is shown, or the person did something. */
  touch(): void;
  /** The person looks elsewhere (page hidden, another panel): what follows does not count. */
  pause(): void;
  /** Up to this moment, since the last save. */
  seconds(): number;
  /** What has been counted so far goes with a save. */
  sending(): void;
  /**
   * That save was taken, or an earlier one with so many seconds: they are not counted again, those
   * since then stay.
   */
  saved(seconds?: number): void;
}

/** `already`: seconds of a draft that goes on. `now`: milliseconds that only go forward. */
export function createActivityClock(
  already = 0,
  now: () => number = () => performance.now(),
): ActivityClock {
  let total = already;
  let sent = already;
  let last: number | null = null;
  const since = (): number =>
    last === null ? 0 : Math.min(Math.max(0, (now() - last) / 1000), IDLE_AFTER_S);
  const go = (from: number | null): void => {
    total += since();
    last = from;
  };
  return {
    touch: () => go(now()),
    pause: () => go(null),
    seconds: () => total + since(),
    sending() {
      if (last !== null) go(now());
      sent = total;
    },
    saved(seconds = sent) {
      total = Math.max(0, total - seconds);
      sent = 0;
    },
  };
}

const SIGNS_OF_LIFE = ["pointermove", "pointerdown", "pointerup", "wheel", "keydown"] as const;

/** Count the time of the patch that is shown, while it is and the page can be seen. */
export function useActivity(shown: Pick<ActivityClock, "touch" | "pause"> | null): void {
  useEffect(() => {
    if (!shown) return;
    const alive = (): void => (document.hidden ? shown.pause() : shown.touch());
    alive();
    // capture: a key that saves has counted itself before it does
    for (const sign of SIGNS_OF_LIFE) addEventListener(sign, alive, { capture: true, passive: true });
    document.addEventListener("visibilitychange", alive);
    return () => {
      shown.pause();
      for (const sign of SIGNS_OF_LIFE) removeEventListener(sign, alive, { capture: true });
      document.removeEventListener("visibilitychange", alive);
    };
  }, [shown]);
}
