/** Rounds and model versions as hooks: read once, read again when the service says so. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { listModelVersions, listRounds } from "../api/client";
import { subscribe } from "../api/events";
import { notify } from "../shell/notices";
import type { ModelVersion, Round, RoundPage, RoundState } from "../api/types";

const LIVE: readonly RoundState[] = ["open", "training", "evaluating"];

export const ROUND_WORDS: Record<RoundState, string> = {
  open: "Waiting to train",
  training: "Training",
  evaluating: "Evaluating",
  promoted: "Promoted",
  kept_back: "Kept back",
  not_judged: "Not enough to judge",
  abandoned: "Ended early",
};

export interface Learning {
  /** Whether the rounds are known; before, their numbers mean nothing. */
  loaded: boolean;
  rounds: Round[];
  annotationsSince: number;
  threshold: number;
  /** Held-out masks that could judge a model today, and how many a verdict needs. */
  goldCounted: number;
  goldNeeded: number;
  versions: ModelVersion[];
  active: ModelVersion | null;
  reload(): void;
}

export const isLive = (round: Round): boolean => LIVE.includes(round.state);

export function useLearning(): Learning {
  const [page, setPage] = useState<RoundPage | null>(null);
  const [versions, setVersions] = useState<ModelVersion[]>([]);
  const reload = useCallback(() => {
    listRounds().then(setPage, () => undefined);
    listModelVersions().then(setVersions, () => undefined);
  }, []);
  useEffect(() => {
    reload();
    return subscribe((topic, event) => {
      if (topic === "round" || topic === "model_version") reload();
      if (topic === "job" && event.kind === "train") {
        setPage(
          (old) => old && { ...old, items: old.items.map((round) => withProgress(round, event)) },
        );
      }
    }, reload);
  }, [reload]);

  const watched = useRef<string | null>(null);
  useEffect(() => {
    const rounds = page?.items ?? [];
    const ended = rounds.find((round) => round.id === watched.current && !isLive(round));
    if (ended) {
      notify(
        `The round has ended. ${ended.reason || ROUND_WORDS[ended.state]}`,
        ended.state === "promoted" ? "good" : "info",
      );
    }
    watched.current = rounds.find(isLive)?.id ?? null;
  }, [page]);

  return {
    loaded: page !== null,
    rounds: page?.items ?? [],
    annotationsSince: page?.annotations_since ?? 0,
    threshold: page?.threshold ?? 0,
    goldCounted: page?.gold_counted ?? 0,
    goldNeeded: page?.gold_needed ?? 0,
    versions,
    active: versions.find((version) => version.state === "active") ?? null,
    reload,
  };
}

function withProgress(
  round: Round,
  event: { id: string; subject?: string; progress?: number | null; message?: string | null },
): Round {
  if (!isLive(round) || (round.job?.id !== event.id && round.id !== event.subject)) return round;
  const { progress = null, message = null } = event;
  return { ...round, job: { ...round.job, id: event.id, state: "running", progress, message } };
}
