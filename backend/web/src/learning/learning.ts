/** Rounds and model versions: read once, read again when the service says so. */

import { listModelVersions, listRounds } from "../api/client";
import { subscribe } from "../api/events";
import { notify } from "../shell/notices";
import { work } from "../store";
import type { Round, RoundPage, RoundState } from "../api/types";

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

export const isLive = (round: Round): boolean => LIVE.includes(round.state);

/** How far it is to the next model, in words; none where rounds don't start by themselves. */
export function untilLearning(known: RoundPage | null): string {
  if (!known || known.threshold === 0) return "";
  if (known.items.some(isLive)) {
    return "The model is learning. Go on: what you do now is for the next time.";
  }
  const missing = known.threshold - known.annotations_since;
  if (missing <= 0) return "Enough is annotated: the model learns as soon as it can be judged.";
  return `${missing} ${missing === 1 ? "patch" : "patches"} until the model learns.`;
}

/** The round that is under way, while somebody waits for its end. */
let watched: string | null = null;

function show(rounds: RoundPage): void {
  const ended = rounds.items.find((round) => round.id === watched && !isLive(round));
  if (ended) {
    notify(
      `The round has ended. ${ended.reason || ROUND_WORDS[ended.state]}`,
      ended.state === "promoted" ? "good" : "info",
    );
  }
  watched = rounds.items.find(isLive)?.id ?? null;
  work.rounds.value = rounds;
}

/** Read rounds and model versions. */
export function reloadLearning(): void {
  listRounds().then(show, () => undefined);
  listModelVersions().then(
    (versions) => (work.versions.value = versions),
    () => undefined,
  );
}

/** Read them, and again when the service says so. Returns the stop. */
export function followLearning(): () => void {
  watched = null;
  reloadLearning();
  return subscribe((topic, event) => {
    if (topic === "round" || topic === "model_version") reloadLearning();
    const rounds = work.rounds.value;
    if (topic !== "job" || event.kind !== "train" || !rounds) return;
    show({ ...rounds, items: rounds.items.map((round) => withProgress(round, event)) });
  }, reloadLearning);
}

function withProgress(
  round: Round,
  event: { id: string; subject?: string; progress?: number | null; message?: string | null },
): Round {
  if (!isLive(round) || (round.job?.id !== event.id && round.id !== event.subject)) return round;
  const { progress, message } = event;
  return { ...round, job: { ...round.job, id: event.id, state: "running", progress: progress ?? 0, message: message ?? "" } };
}
