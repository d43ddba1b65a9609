/** The hook that keeps the viewer, the mask layer and the pointer in step with the store. */

import { computed, effect, untracked } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import type { Patch } from "../api/types";
import { unsavedHere } from "../drafts/unsaved";
import type { Point } from "../masks/mask";
import { go } from "../route";
import { activeModel, bench, inHand, page } from "../store";
import { createMaskLayer, type MaskLayer } from "./mask_layer";
import { createPainting } from "./painting";
import { createViewer, OVERLAYS, type SlideViewer } from "./viewer";

/** Room around a patch when it is shown, as a share of its size. */
const MARGIN = 0.12;

function openAt({ x, y }: Point): void {
  const patch = bench.patches.value.find(
    (each) => x >= each.x && y >= each.y && x < each.x + each.size && y < each.y + each.size,
  );
  if (patch && patch.id !== inHand.value?.patch.id) void go(patch.slide_id, patch.id);
}

function zoomTo(viewer: SlideViewer, { x, y, size }: Patch): void {
  const room = size * MARGIN;
  const side = size + 2 * room;
  viewer.fit({ x: x - room, y: y - room, width: side, height: side });
}

/** `onPoint` takes a click on the slide, level-0 px, while the tab in front is not the patch's. */
export function useStage(
  host: RefObject<HTMLDivElement | null>,
  map: RefObject<HTMLDivElement | null>,
  canvas: RefObject<HTMLCanvasElement | null>,
  slideId: string,
  onPoint: (at: Point) => void,
): void {
  useEffect(() => {
    const element = host.current!;
    const viewer = createViewer(element, map.current!, slideId, {
      opened: () => {
        bench.viewerReady.value = true;
        const { value: editing } = bench.editing;
        if (editing) zoomTo(viewer, editing.patch);
      },
      failed: (problem) => (bench.viewerProblem.value = problem),
    });
    const layer = createMaskLayer(canvas.current!, viewer);
    const painting = createPainting(element, layer);
    viewer.setHeld(painting.holds);
    viewer.onMove(() => (bench.scale.value = viewer.scale()));
    viewer.onClick((at) => (bench.tab.value === "patch" ? openAt(at) : onPoint(at)));
    const stops = [
      effect(() => {
        modelId.value; // another version may be the shown one from now on
        viewer.reread(OVERLAYS);
      }),
      effect(() => {
        const { layers, opacity } = page.preferences.value;
        // peeking hides everything that was drawn over the tissue; the tiles stay loaded
        viewer.setLayers({ shown: layers, opacity: bench.peeking.value ? 0 : opacity / 100 });
      }),
      effect(() => setScene(layer)),
      effect(() => {
        const { value: editing } = inHand;
        editing?.pixels.value;
        for (const [mask, rect] of editing?.takeDirty() ?? []) layer.touch(mask, rect);
      }),
      effect(painting.refresh),
      effect(() => {
        const { value: editing } = bench.editing;
        if (editing) untracked(() => viewer.scale() > 0 && zoomTo(viewer, editing.patch));
      }),
    ];
    bench.viewer.value = viewer;
    return () => {
      bench.viewer.value = null;
      for (const stop of stops) stop();
      painting.destroy();
      layer.destroy();
      viewer.destroy();
    };
  }, [host, map, canvas, slideId, onPoint]);
}

const modelId = computed(() => activeModel.value?.id ?? null);

function setScene(layer: MaskLayer): void {
  const { maskOpacity, grid, uncertain } = page.preferences.value;
  const { value: peeking } = bench.peeking;
  const { value: comparison } = bench.comparison;
  const { value: editing } = inHand;
  layer.scene.patches = bench.patches.value;
  layer.scene.drafted = new Set(
    unsavedHere.value.flatMap(({ patchId, around }) => [patchId, ...around]),
  );
  layer.scene.gridShown = grid && !peeking;
  layer.scene.open = editing && {
    patch: editing.patch,
    image: editing.image.naturalWidth > 0 ? editing.image : null,
    mask: comparison?.against?.mask ?? editing.mask,
    compared: comparison?.mask ?? null,
    uncertain: uncertain ? editing.uncertain : null,
    theirs: editing.theirs,
    tiles: editing.tiles.value,
    opacity: maskOpacity,
    hidden: peeking,
  };
  layer.redraw();
}
