/** Which overlays lie over the slide, and how strongly. */

import type { OverlayKind } from "../api/client";
import { bench, page, setPreferences } from "../store";
import { OVERLAYS } from "./viewer";

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
        <label key={kind} title={WORDS[kind][1]}>
          <input
            type="checkbox"
            checked={layers[kind]}
            data-testid={`layer-${kind}`}
            onChange={(event) =>
              setPreferences({ layers: { ...layers, [kind]: event.currentTarget.checked } })
            }
          />
          <span class={`swatch ${kind}`} aria-hidden="true" />
          {WORDS[kind][0]}
        </label>
      ))}
      {LINES.filter(([kind]) => cells || kind !== "cells").map(([kind, word, title]) => (
        <label key={kind} title={title}>
          <input
            type="checkbox"
            checked={preferences[kind]}
            data-testid={`layer-${kind}`}
            onChange={(event) => setPreferences({ [kind]: event.currentTarget.checked })}
          />
          <span class={`swatch ${kind}`} aria-hidden="true" />
          {word}
        </label>
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
