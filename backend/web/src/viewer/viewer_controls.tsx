/** What lies over the viewer besides its layers: zoom and scale. */

import type { BenchActions } from "../pages/bench_keys";
import type { ScaleBar } from "./scale_bar";

export function ViewerControls(props: {
  bar: ScaleBar | null;
  actions: Pick<BenchActions, "zoomIn" | "zoomOut" | "home">;
}) {
  const { bar, actions } = props;
  return (
    <>
      <div class="zoom over-viewer" role="group" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" data-testid="zoom-in" onClick={actions.zoomIn}>
          +
        </button>
        <button
          type="button"
          aria-label="Zoom out"
          data-testid="zoom-out"
          onClick={actions.zoomOut}
        >
          −
        </button>
        <button
          type="button"
          aria-label="Whole slide"
          data-testid="zoom-home"
          onClick={actions.home}
        >
          ⤢
        </button>
      </div>
      {bar && (
        <div
          class={bar.beyond ? "scale-bar beyond" : "scale-bar"}
          data-testid="scale-bar"
          title={bar.beyond ? "Larger than the slide's own resolution" : undefined}
        >
          <span>{bar.text}</span>
          <i style={{ width: `${bar.width}px` }} />
        </div>
      )}
    </>
  );
}
