/** The hook behind the tabs on HER2: what a click on the slide means there, and what is drawn. */

import { computed, effect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import type { RegionFeature, RegionKind } from "../api/types";
import type { Point } from "../masks/mask";
import { bench, her2, mayEdit, page } from "../store";
import type { SlideViewer } from "../viewer/viewer";
import { pickCell, useCells } from "./cells";
import { boundsOf, cornersOf, regionAt } from "./polygon";
import {
  addCorner,
  addOutline,
  finishOutline,
  followRegions,
  regions,
  selectedRegion,
  selectRegion,
} from "./regions";
import { followScore } from "./score";
import { createShapesLayer, NO_SHAPES, type Shapes } from "./shapes_layer";

/** Room around a region when it is shown, as a share of its size. */
const MARGIN = 0.15;

/** The outline being drawn, while its tab is in front. */
const drawing = computed(() => (bench.tab.value === "regions" ? her2.outline.value : null));

const shapes = computed<Shapes>(() => {
  const inFront = bench.tab.value === "regions";
  if (bench.peeking.value) return NO_SHAPES;
  return {
    regions: inFront || page.preferences.value.regions ? regions.value : [],
    selected: inFront ? (selectedRegion.value?.id ?? null) : null,
    outline: drawing.value && { ...drawing.value, pointer: her2.pointer.value },
    cells: her2.cells.value.cells,
    chosen: her2.chosen.value,
  };
});

export function useHer2(slideId: string, canvas: RefObject<HTMLCanvasElement | null>): void {
  const viewer = bench.viewer.value;
  const pointed = drawing.value !== null;
  useEffect(() => {
    const stops = [followRegions(slideId), followScore(slideId)];
    return () => {
      for (const stop of stops) stop();
    };
  }, [slideId]);
  useCells();
  useEffect(() => {
    if (!viewer) return undefined;
    const layer = createShapesLayer(canvas.current!, viewer);
    const stop = effect(() => layer.show(shapes.value));
    viewer.setDoubleClick(() => {
      const { value: outline } = drawing;
      if (outline && outline.points.length >= 3) finishOutline();
      return outline !== null;
    });
    return () => {
      stop();
      layer.destroy();
    };
  }, [viewer, canvas]);
  useEffect(() => (viewer && pointed ? followPointer(viewer) : undefined), [viewer, pointed]);
}

/** Know where the pointer is on the slide. Returns the stop. */
function followPointer(viewer: SlideViewer): () => void {
  const { element } = viewer;
  const moved = (event: PointerEvent): void => {
    const box = element.getBoundingClientRect();
    const at = { x: event.clientX - box.left, y: event.clientY - box.top };
    her2.pointer.value = viewer.toSlide(at);
  };
  const left = (): void => void (her2.pointer.value = null);
  element.addEventListener("pointermove", moved);
  element.addEventListener("pointerleave", left);
  element.style.cursor = "crosshair";
  return () => {
    element.removeEventListener("pointermove", moved);
    element.removeEventListener("pointerleave", left);
    element.style.cursor = "";
    left();
  };
}

/** A click on the slide while a tab on HER2 is in front. */
export function clickSlide(at: Point): void {
  if (drawing.value) addCorner(at);
  else if (bench.tab.value === "regions") selectRegion(regionAt(regions.value, at)?.id ?? null);
  else if (bench.tab.value === "score") pickCell(at);
}

/** Outline what the viewer shows now: drawing without a pointer. */
export function outlineViewport(kind: RegionKind): void {
  const viewer = bench.viewer.value;
  if (viewer && mayEdit.value) void addOutline(kind, cornersOf(viewer.viewport()));
}

export function showRegion(region: RegionFeature): void {
  const { x, y, width, height } = boundsOf(region);
  const room = MARGIN * Math.max(width, height);
  bench.viewer.value?.fit({
    x: x - room,
    y: y - room,
    width: width + 2 * room,
    height: height + 2 * room,
  });
}
