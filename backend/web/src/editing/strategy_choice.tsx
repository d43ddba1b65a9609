/** What the queue puts first: where the model doubts, or where the score hangs on it. */

import type { Strategy } from "../api/types";

const WORDS: [Strategy, string, string][] = [
  ["uncertainty", "Model's doubt", "Patches first where the model is least sure"],
  ["clinical", "Effect on the score", "Patches first whose correction could change the category"],
];

export function StrategyChoice(props: {
  strategy: Strategy;
  onChoice: (strategy: Strategy) => void;
}) {
  const { strategy, onChoice } = props;
  return (
    <fieldset class="strategy">
      <legend class="unseen">Which patches come first</legend>
      {WORDS.map(([name, words, title]) => (
        <label key={name} title={title} data-testid={`strategy-${name}`}>
          <input
            type="radio"
            class="unseen"
            name="strategy"
            checked={strategy === name}
            onChange={() => onChoice(name)}
          />
          <span>{words}</span>
        </label>
      ))}
    </fieldset>
  );
}
