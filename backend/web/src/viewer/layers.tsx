/** Which overlays lie over the slide, and how strongly. */

import type { OverlayKind } from "../api/client";
import { bench, page, setPreferences } from "../store";
import { OVERLAYS } from "./viewer";
import { Check } from "../shell/controls";

const WORDS: Record<OverlayKind, [string, string]> = {
  proposal: ["Proposal", "the model's membranes"],
  probability: ["Probability", "how sure the model is of membrane"],
  uncertainty: ["Uncertainty", "where the model doubts"],
  annotation: ["Annotation", "what people have drawn"],
};

/** What is drawn as lines, which the opacity does not touch. */
const LINES: ["grid" | "regions" | "cells", string, string][] = [
  ["grid", "Patches", "256 × 256 patches with tissue; reviewed ones are green"],
  ["regions", "Regions", "what is scored, and what is left out"],
  ["cells", "Cells", "each measured cell in the colour of its class"],
];

export function LayersPanel() {
  const { value: preferences } = page.preferences;
  const cells = bench.tab.value === "score";
  const { layers, opacity } = preferences;
  return (
    <fieldset class="layers over-viewer">
      <legend class="unseen">Overlays</legend>
      {OVERLAYS.map((kind) => (
        <Check
          key={kind}
          plain
          title={WORDS[kind][1]}
          checked={layers[kind]}
          testid={`layer-${kind}`}
          onChange={(checked) => setPreferences({ layers: { ...layers, [kind]: checked } })}
        >
          <span class={`swatch ${kind}`} aria-hidden="true" />
          {WORDS[kind][0]}
        </Check>
      ))}
      {LINES.filter(([kind]) => cells || kind !== "cells").map(([kind, word, title]) => (
        <Check
          key={kind}
          plain
          title={title}
          checked={preferences[kind]}
          testid={`layer-${kind}`}
          onChange={(checked) => setPreferences({ [kind]: checked })}
        >
          <span class={`swatch ${kind}`} aria-hidden="true" />
          {word}
        </Check>
      ))}
      <input
        type="range"
        min="0"
        max="100"
        step="5"
        value={opacity}
        data-testid="layer-opacity"
        aria-label="Opacity of the overlays"
        onInput={(event) => setPreferences({ opacity: Number(event.currentTarget.value) })}
      />
    </fieldset>
  );
}
