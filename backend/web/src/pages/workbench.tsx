/** A slide on the bench: the viewer, its overlays, and the patch in the person's hands. */

import { computed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { listPatches } from "../api/client";
import { subscribe } from "../api/events";
import type { Slide } from "../api/types";
import { useActivity } from "../editing/activity";
import { useComing } from "../editing/coming";
import { EditorPanel } from "../editing/patch_panel";
import { useOpenPatch } from "../editing/use_open_patch";
import { useRevisions } from "../editing/use_revisions";
import { RegionsPanel } from "../her2/regions_panel";
import { ReportPanel } from "../her2/report_panel";
import { ScorePanel } from "../her2/score_panel";
import { clickSlide, useHer2 } from "../her2/use_her2";
import { reloadLearning } from "../learning/learning";
import { notify } from "../shell/notices";
import { listenToKeys, releaseFocus } from "../shell/shortcuts";
import { activeModel, bench, inHand, page } from "../store";
import { LayersPanel } from "../viewer/layers";
import { useStage } from "../viewer/stage";
import { OVERLAYS } from "../viewer/viewer";
import { ViewerControls } from "../viewer/viewer_controls";
import { shortcutsNow } from "./bench_keys";
import { SidePanel, Visited } from "./side_panel";

const REREAD_MS = 1500;

export function Workbench({ slide }: { slide: Slide }) {
  const host = useRef<HTMLDivElement>(null);
  const map = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const shapes = useRef<HTMLCanvasElement>(null);

  useOpenPatch();
  useRevisions();
  useActivity(inHand.value);
  useStage(host, map, canvas, slide.id, clickSlide);
  useHer2(slide.id, shapes);
  usePatches(slide.id);
  useComing(slide.id);
  useChanges();

  useEffect(() => listenToKeys(shortcutsNow), []);

  const tab = bench.tab.value;
  return (
    <main class="workbench" data-testid="workbench" onClick={releaseFocus}>
      <div class="stage">
        <div
          ref={host}
          class="viewer"
          data-testid="viewer"
          data-ready={bench.viewerReady.value}
          data-zoom={zoom}
        />
        <canvas ref={canvas} class="mask-layer" data-testid="mask-layer" aria-hidden="true" />
        <canvas ref={shapes} class="mask-layer" data-testid="shapes-layer" aria-hidden="true" />
        <div ref={map} class="map over-viewer" data-testid="map" aria-hidden="true" />
        {bench.viewerProblem.value && (
          <p class="viewer-problem problem" role="alert">
            {bench.viewerProblem.value}
          </p>
        )}
        <LayersPanel />
        <ViewerControls />
      </div>
      <SidePanel>
        {tab === "patch" && <EditorPanel />}
        {tab === "regions" && <RegionsPanel />}
        {tab === "score" && <ScorePanel />}
        <Visited shown={tab === "report"}>
          <ReportPanel slide={slide.id} />
        </Visited>
      </SidePanel>
    </main>
  );
}

const zoom = computed(() => bench.scale.value.toFixed(4));

function reloadPatches(slideId: string): void {
  listPatches(slideId).then(
    (patches) => {
      if (slideId === page.route.value.slide) bench.patches.value = patches;
    },
    (error: Error) => notify(error.message, "bad"),
  );
}

/** Keep the slide's patches and their overlays fresh. */
function usePatches(slideId: string): void {
  useEffect(() => {
    const reload = (): void => reloadPatches(slideId);
    reload();
    let soon: ReturnType<typeof setTimeout> | undefined;
    // a slide's proposals come piece by piece: read once for several
    const reread = (): void => {
      soon ??= setTimeout(() => {
        soon = undefined;
        bench.viewer.value?.reread(OVERLAYS);
        reload();
      }, REREAD_MS);
    };
    const stop = subscribe((topic, event) => {
      if (topic === "proposals" && (event.subject ?? event.id) === slideId) reread();
    }, reread);
    return () => {
      stop();
      clearTimeout(soon);
    };
  }, [slideId]);
}

/** What follows from a patch that is opened or saved, and from another active model. */
function useChanges(): void {
  const { patch } = page.route.value;
  useEffect(() => {
    if (!patch) return;
    bench.tab.value = "patch";
    bench.queueNote.value = "";
  }, [patch]);

  // a saved patch turns green on the grid at once
  const editing = bench.editing.value;
  const saved = editing?.state === "saved" ? editing.patch.id : null;
  useEffect(() => {
    if (!saved) return;
    reloadLearning();
    bench.viewer.value?.reread(["annotation"]);
    bench.patches.value = bench.patches.value.map((each) =>
      each.id === saved ? { ...each, state: "annotated", unseen_px: 0 } : each,
    );
    // strokes may have reached patches around it, and made some
    if (editing && editing.tiles.value.length > 0) reloadPatches(editing.patch.slide_id);
  }, [saved]);

  const model = activeModel.value?.name;
  const before = useRef(model);
  useEffect(() => {
    if (before.current && model && before.current !== model) {
      notify(`${model} is the active model now. New proposals follow; your masks stay.`, "good");
    }
    before.current = model;
  }, [model]);
}
