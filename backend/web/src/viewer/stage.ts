/** The hook that keeps the viewer, the mask layer and the pointer in step with the page's state. */

import type { RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { OverlayKind } from "../api/client";
import type { Changed, Editing } from "../editing/editing";
import type { Point } from "../masks/mask";
import { createMaskLayer, type MaskLayer } from "./mask_layer";
import { createPainting, type Hand, type Painting } from "./painting";
import type { Preferences } from "../shell/preferences";
import { scaleBar, type ScaleBar } from "./scale_bar";
import type { Patch, Slide } from "../api/types";
import type { Looked } from "../editing/use_revisions";
import { createViewer, type Box0, type SlideViewer } from "./viewer";

export interface StageState {
  model: string | null;
  preferences: Preferences;
  patches: Patch[];
  /** Patches that hold unsaved strokes. */
  drafted: { patchId: string }[];
  editing: Editing | null;
  /** A revision of the open patch that is shown beside its mask, or beside another. */
  looked: Looked | null;
  hand: Hand;
  peeking: boolean;
  onPick: (patch: Patch) => void;
  /** Takes a click on the slide, level-0 px, from the patches; null leaves it to them. */
  onPoint: ((at: Point) => void) | null;
}

export interface Stage {
  changed(what: Changed): void;
  reread(kinds: readonly OverlayKind[]): void;
  show(patch: Patch): void;
  fit(box0: Box0): void;
  zoomBy(factor: number): void;
  home(): void;
}

export interface StageView {
  stage: Stage;
  viewer: SlideViewer | null;
  ready: boolean;
  problem: string;
  scale: number;
  bar: ScaleBar | null;
}

interface Parts {
  viewer: SlideViewer;
  layer: MaskLayer;
  painting: Painting;
}

/** Room around a patch when it is shown, as a share of its size. */
const MARGIN = 0.12;

/** How strongly overlays show around an open patch: its neighbours step back. */
const NEIGHBOURS = 0.35;

function patchAt(patches: Patch[], x: number, y: number): Patch | undefined {
  return patches.find(
    (patch) => x >= patch.x && y >= patch.y && x < patch.x + patch.size && y < patch.y + patch.size,
  );
}

export function useStage(
  host: RefObject<HTMLDivElement | null>,
  map: RefObject<HTMLDivElement | null>,
  canvas: RefObject<HTMLCanvasElement | null>,
  slide: Slide,
  state: StageState,
): StageView {
  const [ready, setReady] = useState(false);
  const [problem, setProblem] = useState("");
  const [scale, setScale] = useState(0);
  const parts = useRef<Parts | null>(null);
  const [viewer, setViewer] = useState<SlideViewer | null>(null);
  const latest = useRef(state);
  latest.current = state;
  const waiting = useRef<Patch | null>(null);

  const stage = useMemo<Stage>(() => {
    const zoomTo = (patch: Patch, immediately: boolean): void => {
      const room = patch.size * MARGIN;
      const side = patch.size + 2 * room;
      const box = { x: patch.x - room, y: patch.y - room, width: side, height: side };
      parts.current?.viewer.fit(box, immediately);
    };
    return {
      changed: (what) => parts.current?.layer.redraw(what === "state" ? "view" : "mask"),
      reread: (kinds) => parts.current?.viewer.reread(kinds),
      show(patch) {
        if (parts.current && parts.current.viewer.scale() > 0) zoomTo(patch, false);
        else waiting.current = patch;
      },
      fit: (box0) => parts.current?.viewer.fit(box0),
      zoomBy: (factor) => parts.current?.viewer.zoomBy(factor),
      home: () => parts.current?.viewer.home(),
    };
  }, []);

  useEffect(() => {
    const element = host.current!;
    const viewer = createViewer(element, map.current!, slide.id, {
      opened: () => {
        setReady(true);
        if (waiting.current) stage.show(waiting.current);
        waiting.current = null;
      },
      failed: setProblem,
    });
    const layer = createMaskLayer(canvas.current!, viewer);
    const painting = createPainting(element, layer, () => latest.current.hand);
    viewer.setHeld(painting.holds);
    viewer.onMove(() => setScale(viewer.scale()));
    viewer.onClick(({ x, y }) => {
      if (latest.current.onPoint) {
        latest.current.onPoint({ x, y });
        return;
      }
      const patch = patchAt(latest.current.patches, x, y);
      if (patch && patch.id !== latest.current.editing?.patch.id) latest.current.onPick(patch);
    });
    parts.current = { viewer, layer, painting };
    setViewer(viewer);
    return () => {
      parts.current = null;
      setViewer(null);
      painting.destroy();
      layer.destroy();
      viewer.destroy();
    };
  }, [host, map, canvas, slide.id, stage]);

  useEffect(() => parts.current?.viewer.setVersion(state.model), [state.model]);
  const editingNow = state.editing !== null;
  useEffect(() => {
    const { layers, opacity } = state.preferences;
    // peeking hides everything that was drawn over the tissue; the tiles stay loaded
    const share = state.peeking ? 0 : editingNow ? NEIGHBOURS : 1;
    parts.current?.viewer.setLayers({ shown: layers, opacity: (share * opacity) / 100 });
  }, [state.preferences.layers, state.preferences.opacity, state.peeking, editingNow]);
  useEffect(() => {
    const layer = parts.current?.layer;
    if (!layer) return;
    const { editing, preferences } = state;
    layer.scene.patches = state.patches;
    layer.scene.drafted = new Set(state.drafted.map(({ patchId }) => patchId));
    layer.scene.gridShown = preferences.grid && !state.peeking;
    layer.scene.open = editing && {
      patch: editing.patch,
      image: editing.image.naturalWidth > 0 ? editing.image : null,
      mask: state.looked?.against?.mask ?? editing.mask,
      looked: state.looked?.mask ?? null,
      uncertain: preferences.uncertain ? editing.uncertain : null,
      theirs: editing.theirs,
      opacity: preferences.maskOpacity,
      hidden: state.peeking,
    };
    layer.redraw("mask");
    parts.current?.painting.refresh();
  }, [state.editing, state.editing?.theirs, state.looked, state.patches, state.drafted, state.preferences, state.peeking]);
  useEffect(() => parts.current?.painting.refresh(), [state.hand.tool, state.hand.panning]);

  const bar = slide.mpp ? scaleBar(slide.mpp, scale) : null;
  return { stage, viewer, ready, problem, scale, bar };
}
