/** The hook behind the tabs on HER2: what a click on the slide means there, and what is drawn. */

import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Point } from "../masks/mask";
import type { Slide } from "../api/types";
import { bench, mayEdit, page } from "../store";
import { boundsOf, cornersOf, regionAt } from "./polygon";
import { usePointer } from "./use_pointer";
import { createShapesLayer, type ShapesLayer } from "./shapes_layer";
import type { Cell, RegionFeature, RegionKind } from "../api/types";
import { useCells, type Cells } from "./use_cells";
import { useRegions, type Regions } from "./use_regions";
import { useScore, type Score } from "./use_score";

export interface Her2 {
  regions: Regions;
  score: Score;
  cells: Cells;
  onPoint: (at: Point) => void;
  onField: (kind: RegionKind) => void;
  onShow: (region: RegionFeature) => void;
}

/** Room around a region when it is shown, as a share of its size. */
const MARGIN = 0.15;
const NO_CELLS: Cell[] = [];

export function useHer2(
  slide: Slide,
  canvas: RefObject<HTMLCanvasElement | null>,
): Her2 {
  const tab = bench.tab.value;
  const viewer = bench.viewer.value;
  const peeking = bench.peeking.value;
  const { regions: regionsShown, cells: cellsShown } = page.preferences.value;
  const regions = useRegions(slide);
  const score = useScore(slide.id);
  const scored = score.live?.document != null;
  const cells = useCells(
    slide,
    viewer,
    tab === "score" && cellsShown && scored,
    `${score.live?.computed_at} ${score.live?.state === "failed"}`,
  );
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
  const shown = !peeking && (regionsShown || tab === "regions");
  useEffect(() => {
    layer.current?.show({
      regions: shown ? regions.features : [],
      selected,
      draft: drawing && !peeking ? { ...drawing, pointer } : null,
      cells: peeking ? NO_CELLS : cells.cells,
      chosen: peeking ? null : cells.chosen,
    });
  }, [
    viewer,
    regions.features,
    shown,
    selected,
    drawing,
    pointer,
    peeking,
    cells.cells,
    cells.chosen,
  ]);

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
    score,
    cells,
    onPoint(at) {
      if (drawing) regions.corner(at, viewer!.scale());
      else if (tab === "regions") regions.select(regionAt(regions.features, at)?.id ?? null);
      else if (tab === "score") cells.pick(at);
    },
    onField(kind) {
      if (viewer && mayEdit.value) regions.add(kind, cornersOf(viewer.field()));
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
