/** The live score of a slide as a hook: read, followed by events, asked otherwise. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { subscribe } from "../api/events";
import { notify } from "../shell/notices";
import { putScore, readScore } from "./api";
import type { IshDraft } from "./ish";
import type { Choice } from "./protocol_choice";
import { picked, same } from "./thresholds";
import type { LiveScore, ScoreWish, Thresholds } from "../api/types";
import type { Progress } from "./use_reports";

const SETTLES_MS = 250;

export interface Score {
  live: LiveScore | null;
  /** Of the run that is going on, while its job says so. */
  progress: Progress | null;
  busy: boolean;
  /** The thresholds that the sliders show; null before anything was computed. */
  thresholds: Thresholds | null;
  changed: boolean;
  /** A hybridisation as it is being typed: it outlives a look at another tab. */
  typed: IshDraft | null;
  setTyped(draft: IshDraft | null): void;
  begin(choice: Choice): void;
  /** What-if thresholds, sent once the hand rests; null is the protocol's own. */
  setThresholds(thresholds: Thresholds | null): void;
  /** Say something of the staining; throws what the service says against it. */
  say(wanted: ScoreWish): Promise<void>;
}

export function useScore(slide: string): Score {
  const [live, setLive] = useState<LiveScore | null>(null);
  const [progress, setProgress] = useState<Progress | null>(null);
  const [busy, setBusy] = useState(false);
  /** Moved and not yet taken by the service; undefined: nothing is. */
  const [moving, setMoving] = useState<Thresholds | null | undefined>(undefined);
  const [typed, setTyped] = useState<IshDraft | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const reload = useCallback(() => {
    readScore(slide).then(
      (found) => {
        setLive(found);
        if (found.state !== "computing") setProgress(null);
        setMoving((old) => (old !== undefined && same(old, found.thresholds) ? undefined : old));
      },
      (error: Error) => notify(error.message, "bad"),
    );
  }, [slide]);
  useEffect(() => {
    reload();
    const stop = subscribe((topic, event) => {
      if (topic === "score" && event.id === slide) reload();
      if (topic === "job" && event.kind === "score" && event.subject === slide) {
        setProgress({ share: event.progress ?? null, message: event.message ?? "" });
      }
    }, reload);
    return () => {
      stop();
      clearTimeout(timer.current);
    };
  }, [slide, reload]);

  // somebody entered another result, here or elsewhere
  useEffect(() => setTyped(null), [slide, live?.ish?.entered_at]);

  async function say(wanted: ScoreWish): Promise<void> {
    setBusy(true);
    try {
      await putScore(slide, wanted);
    } finally {
      setBusy(false);
      reload();
    }
  }
  const put = (wanted: ScoreWish): Promise<void> =>
    say(wanted).catch((error: Error) => {
      setMoving(undefined);
      notify(error.message, "bad");
    });

  const own = live?.document && picked(live.document.protocol.thresholds);
  // the document of a what-if names its thresholds, so the sliders stand where it was computed
  const thresholds = moving ?? live?.thresholds ?? own ?? null;
  return {
    live,
    progress,
    busy,
    thresholds,
    changed: moving === undefined ? live?.thresholds != null : moving !== null,
    typed,
    setTyped,
    begin: (choice) => void put(choice),
    say,
    setThresholds(wanted) {
      setMoving(wanted);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => void put({ thresholds: wanted }), SETTLES_MS);
    },
  };
}
