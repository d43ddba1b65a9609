/** What lies over the viewer besides its layers: zoom and scale. */

import { bench, openSlide } from "../store";
import { scaleBar } from "./scale_bar";
import { Button } from "../shell/controls";

const STEP = 1.6;

export const zoomIn = (): void => bench.viewer.value?.zoomBy(STEP);
export const zoomOut = (): void => bench.viewer.value?.zoomBy(1 / STEP);

export function ViewerControls() {
  const mpp = openSlide.value?.mpp;
  const bar = mpp ? scaleBar(mpp, bench.scale.value) : null;
  return (
    <>
      <div class="zoom over-viewer" role="group" aria-label="Zoom">
        <Button aria-label="Zoom in" testid="zoom-in" onClick={zoomIn}>+</Button>
        <Button aria-label="Zoom out" testid="zoom-out" onClick={zoomOut}>−</Button>
        <Button
          aria-label="Whole slide"
          testid="zoom-home"
          onClick={() => bench.viewer.value?.home()}
        >
          ⤢
        </Button>
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
