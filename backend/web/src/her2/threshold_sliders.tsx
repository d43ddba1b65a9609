/** Sliders for the thresholds: a question to the slide, never part of a report. */

import { moved, NAMES, picked, RANGE, STEP, type ThresholdName } from "./thresholds";
import type { Thresholds } from "../api/types";
import { Button, Slider } from "../shell/controls";

const WORDS: Record<ThresholdName, string> = {
  t_faint: "Faint from",
  t_weak: "Weak from",
  t_moderate: "Moderate from",
  t_intense: "Intense from",
  c_any: "Partial from",
  c_full: "Complete from",
};

/** Optical density as it is; shares of the contour in percent. */
function shown(name: ThresholdName, value: number): string {
  return name.startsWith("c_") ? `${Math.round(100 * value)} %` : `${value.toFixed(2)} OD`;
}

export function ThresholdSliders(props: {
  /** What counts now: the protocol's own unless somebody moved them. */
  thresholds: Thresholds;
  changed: boolean;
  disabled: boolean;
  onChange: (thresholds: Thresholds | null) => void;
}) {
  const { thresholds, changed, disabled, onChange } = props;
  return (
    <div class="thresholds" data-testid="thresholds" data-changed={changed}>
      <p class="quiet">
        What if the lines were drawn elsewhere? Reports always use the protocol's own.
      </p>
      {NAMES.map((name) => (
        <Slider
          key={name}
          word={WORDS[name]}
          min={RANGE[name][0]}
          max={RANGE[name][1]}
          step={STEP}
          value={thresholds[name]}
          disabled={disabled}
          testid={`threshold-${name}`}
          onInput={(value) => onChange(moved(picked(thresholds), name, value))}
          shown={shown(name, thresholds[name])}
        />
      ))}
      <Button
        class="wide"
        disabled={disabled || !changed}
        testid="thresholds-reset"
        onClick={() => onChange(null)}
      >
        Back to the protocol's own
      </Button>
    </div>
  );
}
