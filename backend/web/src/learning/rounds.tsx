/** The rounds panel: how many corrections wait, what training does, and what came of it. */

import { useState } from "preact/hooks";
import { activateModelVersion, startRound } from "../api/client";
import { isLive, reloadLearning, ROUND_WORDS } from "./learning";
import { Models } from "./models";
import { mayEdit, work } from "../store";
import { notify } from "../shell/notices";
import { ago } from "../drafts/saving";
import type { ModelVersion, Round } from "../api/types";
import { Button } from "../shell/controls";

export function RoundsPanel({ open }: { open: boolean }) {
  const known = work.rounds.value;
  const { annotations_since: annotationsSince = 0, threshold = 0, items: rounds = [] } = known ?? {};
  const versions = work.versions.value;
  const mayStart = mayEdit.value;
  const [busy, setBusy] = useState(false);
  const live = rounds.some(isLive);

  async function start(): Promise<void> {
    setBusy(true);
    try {
      const { already_running } = await startRound();
      notify(already_running ? "A round is under way already." : "A round has started.", "good");
      reloadLearning();
    } catch (error) {
      notify((error as Error).message, "bad");
    } finally {
      setBusy(false);
    }
  }

  async function activate(model: ModelVersion): Promise<void> {
    try {
      await activateModelVersion(model.id);
      notify(`${model.name} proposes from now on; the slides are predicted again.`, "good");
      reloadLearning();
    } catch (error) {
      notify((error as Error).message, "bad");
    }
  }

  return (
    <details class="rounds" data-testid="rounds-panel" open={open}>
      <summary>
        <h2>Rounds</h2>
        {live && <span class="tag training">training</span>}
        {threshold > 0 && (
          <span class="count">
            {annotationsSince}/{threshold}
          </span>
        )}
      </summary>
      <p class="rounds-count" data-testid="round-count">
        {known ? (
          <>
            <strong>{annotationsSince}</strong>{" "}
            {annotationsSince === 1 ? "annotation" : "annotations"} since the last round
            {threshold > 0 && `; the next starts by itself at ${threshold}`}.
          </>
        ) : (
          "Reading the rounds…"
        )}
      </p>
      {threshold > 0 && (
        <progress
          value={Math.min(annotationsSince, threshold)}
          max={threshold}
          aria-hidden="true"
        />
      )}
      {mayStart && (
        <Button
          class="primary wide"
          testid="round-start"
          disabled={busy || live}
          onClick={() => void start()}
        >
          {live ? "A round is under way" : "Start a round now"}
        </Button>
      )}
      <p class="quiet">You can go on correcting while a round trains.</p>
      <Models activate={mayStart ? activate : null} />
      {known && known.gold_counted < known.gold_needed && (
        <p class="quiet" data-testid="gold-needed">
          {known.gold_counted} of the {known.gold_needed} held-out patches that a verdict needs
          count so far. They count when you draw or correct their masks, not when you accept them as
          proposed.
        </p>
      )}
      <ol class="round-list">
        {rounds.map((round) => (
          <RoundItem
            key={round.id}
            round={round}
            model={versions.find((version) => version.id === round.model_version_id)}
            activate={mayStart ? activate : null}
          />
        ))}
      </ol>
      {known && rounds.length === 0 && <p class="quiet">No round has run yet.</p>}
    </details>
  );
}

function RoundItem(props: {
  round: Round;
  model: ModelVersion | undefined;
  activate: ((model: ModelVersion) => Promise<void>) | null;
}) {
  const { round, model, activate } = props;
  const active = round.metrics?.gold?.active?.dice;
  const candidate = round.metrics?.gold?.candidate?.dice;
  return (
    <li data-testid="round-item" data-round-id={round.id} data-state={round.state}>
      <div class="round-head">
        <span class={`tag ${round.state}`}>{ROUND_WORDS[round.state]}</span>
        {model && <strong>{model.name}</strong>}
        <time class="quiet" dateTime={round.created_at}>
          {ago(round.created_at, new Date())}
        </time>
      </div>
      {isLive(round) && (
        <div class="job" data-testid="round-progress">
          <progress value={round.job?.progress ?? 0} max={1} aria-label="Progress of the round" />
          <span class="quiet">{round.job?.message || "In the queue"}</span>
        </div>
      )}
      {typeof candidate === "number" && (
        <dl class="dice" data-testid="round-dice">
          <Dice name="Active" value={active ?? null} />
          <Dice name="Candidate" value={candidate} />
        </dl>
      )}
      {round.reason && <p data-testid="round-reason">{round.reason}</p>}
      {round.metrics?.threshold?.reason && (
        <p class="quiet" data-testid="round-threshold">
          {round.metrics.threshold.reason}
        </p>
      )}
      {model?.state === "candidate" && activate && (
        <Button testid="round-activate" onClick={() => void activate(model)}>
          Use {model.name} all the same
        </Button>
      )}
      {round.training_count != null && round.gold_count != null && (
        <p class="quiet">
          {round.training_count} patches to learn from, {round.gold_count} held out
          {round.gold_counted != null && `, of which ${round.gold_counted} count`}
          {round.held_out && ` (held out by ${round.held_out})`}
        </p>
      )}
    </li>
  );
}

function Dice({ name, value }: { name: string; value: number | null }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <span class="bar" style={{ width: `${100 * (value ?? 0)}%` }} />
        <span class="number">{value === null ? "–" : `Dice ${value.toFixed(3)}`}</span>
      </dd>
    </div>
  );
}
