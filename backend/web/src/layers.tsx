/** Which overlays lie over the slide, and how strongly. */

import type { OverlayKind } from "./api";
import type { Preferences, SetPreferences } from "./preferences";
import { OVERLAYS } from "./viewer";

const WORDS: Record<OverlayKind, [string, string]> = {
  proposal: ["Proposal", "the model's membranes"],
  probability: ["Probability", "how sure the model is of membrane"],
  uncertainty: ["Uncertainty", "where the model doubts"],
  annotation: ["Annotation", "what people have drawn"],
};

export function LayersPanel(props: {
  preferences: Preferences;
  setPreferences: SetPreferences;
}) {
  const { preferences, setPreferences } = props;
  const { layers } = preferences;
  const set = (kind: OverlayKind, part: Partial<(typeof layers)[OverlayKind]>): void =>
    setPreferences({ layers: { ...layers, [kind]: { ...layers[kind], ...part } } });

  return (
    <fieldset class="layers over-viewer">
      <legend class="unseen">Overlays</legend>
      {OVERLAYS.map((kind) => (
        <div key={kind} class="layer">
          <label title={WORDS[kind][1]}>
            <input
              type="checkbox"
              checked={layers[kind].shown}
              data-testid={`layer-${kind}`}
              onChange={(event) => set(kind, { shown: event.currentTarget.checked })}
            />
            <span class={`swatch ${kind}`} aria-hidden="true" />
            {WORDS[kind][0]}
          </label>
          {layers[kind].shown && (
            <input
              type="range"
              min="0"
              max="1"
              step="0.05"
              value={layers[kind].opacity}
              data-testid={`layer-opacity-${kind}`}
              aria-label={`Opacity of ${WORDS[kind][0].toLowerCase()}`}
              onInput={(event) => set(kind, { opacity: Number(event.currentTarget.value) })}
            />
          )}
        </div>
      ))}
      <div class="layer">
        <label title="256 × 256 patches with tissue; reviewed ones are green">
          <input
            type="checkbox"
            checked={preferences.grid}
            data-testid="layer-grid"
            onChange={(event) => setPreferences({ grid: event.currentTarget.checked })}
          />
          <span class="swatch grid" aria-hidden="true" />
          Patches
        </label>
      </div>
    </fieldset>
  );
}
