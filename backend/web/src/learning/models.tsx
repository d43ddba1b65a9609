/** Which model proposes, where it comes from, and what else the product brings. */

import { work } from "../store";
import type { ModelVersion, Round } from "../api/types";

/** What `models/starter/card.json` says; a version that a round trained has none. */
interface Card {
  summary: string;
  licence: string;
  data: { labelled: string; unlabelled: string; synthetic: string; source: string };
  reached: string[];
  limits: string[];
}

const cardOf = (model: ModelVersion): Card | null => (model.config.card as Card | undefined) ?? null;

/** Versions that no round made: those that the product brings. */
export function broughtAlong(versions: ModelVersion[], rounds: Round[]): ModelVersion[] {
  const trained = new Set(rounds.map((round) => round.model_version_id));
  return versions.filter((each) => each.parent_id === null && !trained.has(each.id));
}

export function Models(props: { activate: ((model: ModelVersion) => Promise<void>) | null }) {
  const versions = work.versions.value;
  const active = versions.find((each) => each.state === "active");
  if (!active) return null;
  const others = broughtAlong(versions, work.rounds.value?.items ?? []).filter(
    (each) => each !== active,
  );
  return (
    <section class="models" data-testid="models">
      <p>
        Proposals come from <strong data-testid="proposals-from">{active.name}</strong>.
      </p>
      <Origin model={active} />
      {others.map((model) => (
        <div key={model.id} data-testid="other-model" data-name={model.name}>
          <Origin model={model} named />
          {props.activate && (
            <button
              type="button"
              data-testid="model-activate"
              onClick={() => void props.activate!(model)}
            >
              Use {model.name} instead
            </button>
          )}
        </div>
      ))}
    </section>
  );
}

function Origin({ model, named = false }: { model: ModelVersion; named?: boolean }) {
  const card = cardOf(model);
  if (!card) return model.note ? <p class="quiet">{named ? `${model.name}: ` : ""}{model.note}</p> : null;
  return (
    <details class="model-card" data-testid="model-card">
      <summary>{named ? `${model.name}: ` : ""}{card.summary}</summary>
      <dl>
        <dt>Learned from</dt>
        <dd>{card.data.labelled}</dd>
        <dd>{card.data.unlabelled}</dd>
        <dd>{card.data.synthetic}</dd>
        <dt>Pixels</dt>
        <dd>{card.data.source}</dd>
        <dt>Reached</dt>
        {card.reached.map((line) => (
          <dd key={line}>{line}</dd>
        ))}
        <dt>Limits</dt>
        {card.limits.map((line) => (
          <dd key={line}>{line}</dd>
        ))}
        <dt>Licence</dt>
        <dd>{card.licence}</dd>
        <dt>sha256</dt>
        <dd class="hash">{model.weights_sha256}</dd>
      </dl>
    </details>
  );
}
