/** The hook behind the tabs on HER2: what a click on the slide means there, and what is drawn. */

import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Point } from "../mask";
import type { Shortcut } from "../shortcuts";
import type { Slide } from "../types";
import type { SlideViewer } from "../viewer";
import { boundsOf, cornersOf, regionAt } from "./polygon";
import { createShapesLayer, NO_SHAPES, type ShapesLayer } from "./shapes_layer";
import type { Tab } from "./tabs";
import type { RegionFeature, RegionKind } from "./types";
import { useRegions, type Regions } from "./use_regions";

export interface Her2State {
  tab: Tab;
  mayEdit: boolean;
  regionsShown: boolean;
  peeking: boolean;
}

export interface Her2 {
  regions: Regions;
  onPoint: (at: Point) => void;
  onField: (kind: RegionKind) => void;
  onShow: (region: RegionFeature) => void;
}

/** Room around a region when it is shown, as a share of its size. */
const MARGIN = 0.15;

export function useHer2(
  slide: Slide,
  canvas: RefObject<HTMLCanvasElement | null>,
  viewer: SlideViewer | null,
  state: Her2State,
): Her2 {
  const { tab, mayEdit, peeking } = state;
  const regions = useRegions(slide);
  const drawing = tab === "regions" ? regions.draft : null;
  const pointer = usePointer(viewer, drawing !== null);

  const layer = useRef<ShapesLayer | null>(null);
  useEffect(() => {
    if (!viewer) return undefined;
    const made = createShapesLayer(canvas.current!, viewer);
    layer.current = made;
    return () => {
      layer.current = null;
      made.destroy();
    };
  }, [viewer, canvas]);
  const selected = tab === "regions" ? (regions.selected?.id ?? null) : null;
  const shown = !peeking && (state.regionsShown || tab === "regions");
  useEffect(() => {
    layer.current?.show({
      ...NO_SHAPES,
      regions: shown ? regions.features : [],
      selected,
      draft: drawing && !peeking ? { ...drawing, pointer } : null,
    });
  }, [viewer, regions.features, shown, selected, drawing, pointer, peeking]);

  const latest = useRef({ drawing, regions });
  latest.current = { drawing, regions };
  useEffect(() => {
    viewer?.setDoubleClick(() => {
      const { drawing: now, regions: kept } = latest.current;
      if (now && now.points.length >= 3) kept.finish();
      return now !== null;
    });
  }, [viewer]);

  return {
    regions,
    onPoint(at) {
      if (drawing) regions.corner(at, viewer!.scale());
      else if (tab === "regions") regions.select(regionAt(regions.features, at)?.id ?? null);
    },
    onField(kind) {
      if (viewer && mayEdit) regions.add(kind, cornersOf(viewer.field()));
    },
    onShow(region) {
      const box = boundsOf(region);
      const room = MARGIN * Math.max(box.width, box.height);
      viewer?.fit({
        x: box.x - room,
        y: box.y - room,
        width: box.width + 2 * room,
        height: box.height + 2 * room,
      });
    },
  };
}

/** Where the pointer is on the slide, while somebody wants to know. */
function usePointer(viewer: SlideViewer | null, wanted: boolean): Point | null {
  const [pointer, setPointer] = useState<Point | null>(null);
  useEffect(() => {
    if (!viewer || !wanted) return undefined;
    const { element } = viewer;
    const moved = (event: PointerEvent): void => {
      const box = element.getBoundingClientRect();
      setPointer(viewer.toSlide({ x: event.clientX - box.left, y: event.clientY - box.top }));
    };
    const left = (): void => setPointer(null);
    element.addEventListener("pointermove", moved);
    element.addEventListener("pointerleave", left);
    element.style.cursor = "crosshair";
    return () => {
      element.removeEventListener("pointermove", moved);
      element.removeEventListener("pointerleave", left);
      element.style.cursor = "";
      setPointer(null);
    };
  }, [viewer, wanted]);
  return pointer;
}

/** What each key does while regions are drawn. */
export function regionShortcuts(regions: Regions): Shortcut[] {
  const { draft, selected } = regions;
  const begin: Shortcut[] = [
    { keys: ["t"], label: "Draw a tumour region", run: () => regions.begin("tumour") },
    { keys: ["x"], label: "Draw a region to exclude", run: () => regions.begin("exclude") },
    { keys: ["f"], label: "Draw an artefact", run: () => regions.begin("artefact") },
  ];
  if (draft) {
    return [
      { keys: ["enter"], label: "Close the region and save it", run: regions.finish },
      { keys: ["backspace"], label: "Take the last corner back", run: regions.takeBackCorner },
      { keys: ["escape"], label: "Draw no region", run: regions.cancel },
      ...begin,
    ];
  }
  if (!selected) return begin;
  return [
    {
      keys: ["delete", "backspace"],
      label: "Delete the chosen region",
      run: () => regions.remove(selected),
    },
    { keys: ["escape"], label: "Choose no region", run: () => regions.select(null) },
    ...begin,
  ];
}
