/** A slide on the bench: the viewer, its overlays, and the patch in the person's hands. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useActivity } from "../editing/activity";
import { listPatches, skipPatch } from "../api/client";
import type { Changed } from "../editing/editing";
import { EditorPanel } from "../editing/patch_panel";
import { subscribe } from "../api/events";
import { cellShortcuts, regionShortcuts } from "../her2/keys";
import { RegionsPanel } from "../her2/regions_panel";
import { ReportPanel } from "../her2/report_panel";
import { ScorePanel } from "../her2/score_panel";
import type { Tab } from "../shell/tabs";
import { useHer2 } from "../her2/use_her2";
import { LayersPanel } from "../viewer/layers";
import type { Learning } from "../learning/learning";
import { mayLeave } from "../shell/leaving";
import type { Point } from "../masks/mask";
import { notify } from "../shell/notices";
import type { Tool } from "../viewer/painting";
import { usePreferences } from "../shell/preferences";
import { go, jump } from "../route";
import { listenToKeys, releaseFocus } from "../shell/shortcuts";
import { benchShortcuts, tabShortcuts } from "./bench_keys";
import type { Patch, Session, Slide } from "../api/types";
import { Kept, SidePanel } from "./side_panel";
import { useStage, type Stage } from "../viewer/stage";
import type { Unsaved } from "../drafts/unsaved";
import { useEditing } from "../editing/use_editing";
import { useQueue } from "../editing/use_queue";
import { revisionShortcuts, useRevisions } from "../editing/use_revisions";
import { ViewerControls } from "../viewer/viewer_controls";
import { OVERLAYS } from "../viewer/viewer";

const REREAD_MS = 1500;

export interface WorkbenchProps {
  slide: Slide;
  patchId: string | null;
  user: Session["user"];
  learning: Learning;
  /** All unsaved strokes of this person in this browser. */
  unsaved: Unsaved[];
}

export function Workbench({ slide, patchId, user, learning, unsaved }: WorkbenchProps) {
  const mayEdit = user.role !== "viewer";
  const [preferences, setPreferences] = usePreferences();
  const [patches, setPatches] = useState<Patch[]>([]);
  const queue = useQueue(slide.id, preferences.strategy);
  const [busy, setBusy] = useState("");
  const [tool, setTool] = useState<Tool>("brush");
  const [peeking, setPeeking] = useState(false);
  const [panning, setPanning] = useState(false);
  const [help, setHelp] = useState(false);
  const [, tick] = useState(0);
  const stageNow = useRef<Stage | null>(null);
  const redraw = useCallback((what: Changed): void => {
    stageNow.current?.changed(what);
    if (what !== "stroke") tick((count) => count + 1);
  }, []);
  const { editing, opening, reopen } = useEditing(patchId, user.id, mayEdit, redraw);

  const host = useRef<HTMLDivElement>(null);
  const map = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const shapes = useRef<HTMLCanvasElement>(null);
  const [tab, setTab] = useState<Tab>("patch");
  // in the other tabs an open patch waits: clicks and keys are about something else there
  const inHand = tab === "patch" ? editing : null;
  const revisions = useRevisions(editing, reopen);
  const looked = inHand && revisions.looked;
  // beside another revision there is no mask in hand to draw on
  const brushed = looked?.against ? null : inHand;
  useActivity(inHand);
  const pointed = useRef<(at: Point) => void>(() => undefined);
  const { stage, ...view } = useStage(host, map, canvas, slide, {
    model: learning.active?.id ?? null,
    preferences,
    patches,
    editing: inHand,
    looked,
    hand: { editing: brushed, tool, diameter: preferences.diameter, panning, mayEdit },
    peeking,
    drafted: unsaved,
    onPick: (patch) => void go(slide.id, patch.id),
    onPoint: tab === "patch" ? null : (at) => pointed.current(at),
  });
  stageNow.current = stage;
  const her2 = useHer2(slide, shapes, view.viewer, {
    tab,
    mayEdit,
    regionsShown: preferences.regions,
    cellsShown: preferences.cells,
    peeking,
  });
  pointed.current = her2.onPoint;

  const reloadPatches = useCallback(() => {
    listPatches(slide.id).then(setPatches, (error: Error) => notify(error.message, "bad"));
  }, [slide.id]);

  useEffect(() => {
    reloadPatches();
    let soon: ReturnType<typeof setTimeout> | undefined;
    // a slide's proposals come piece by piece: read once for several
    const reread = (): void => {
      soon ??= setTimeout(() => {
        soon = undefined;
        stage.reread(OVERLAYS);
        reloadPatches();
      }, REREAD_MS);
    };
    const stop = subscribe((topic, event) => {
      if (topic === "proposals" && (event.subject ?? event.id) === slide.id) reread();
    }, reread);
    return () => {
      stop();
      clearTimeout(soon);
    };
  }, [slide.id, reloadPatches, stage]);

  useEffect(() => {
    if (!patchId) return;
    setTab("patch");
    queue.forget();
  }, [patchId, queue.forget]);

  useEffect(() => {
    if (editing) stage.show(editing.patch);
  }, [editing, stage]);

  // a saved patch turns green on the grid at once
  const saved = editing?.state === "saved" ? editing.patch.id : null;
  useEffect(() => {
    if (!saved) return;
    learning.reload();
    stage.reread(["annotation"]);
    setPatches((old) =>
      old.map((patch) => (patch.id === saved ? { ...patch, state: "annotated" } : patch)),
    );
  }, [saved, learning.reload, stage]);

  const model = learning.active?.name;
  const before = useRef(model);
  useEffect(() => {
    if (before.current && model && before.current !== model) {
      notify(`${model} is the active model now. New proposals follow; your masks stay.`, "good");
    }
    before.current = model;
  }, [model]);

  const goOn = useCallback(async () => {
    setBusy("Looking for the next patch…");
    const item = await queue.ask(patchId);
    setBusy("");
    if (item) jump(slide.id, item.patch.id);
    else setTab("patch"); // says why
  }, [slide.id, patchId, queue.ask]);

  const next = useCallback(async () => {
    if (await mayLeave()) await goOn();
  }, [goOn]);

  const skip = useCallback(async () => {
    if (!editing || !(await mayLeave())) return;
    try {
      await skipPatch(editing.patch.id);
      await goOn();
    } catch (error) {
      notify((error as Error).message, "bad");
    }
  }, [editing, goOn]);

  const save = useCallback(async () => {
    if (!editing) return;
    if (editing.state === "conflict") {
      notify("First say what becomes of your strokes: use theirs, or save mine on top.");
      return;
    }
    await editing.save();
    if (editing.state === "saved" && preferences.advance) await next();
  }, [editing, next, preferences.advance]);

  const accept = useCallback(async () => {
    if (!editing) return;
    if (!editing.isProposal()) {
      notify("You have changed the proposal: save it, or go back to the proposal first.");
      return;
    }
    await save();
  }, [editing, save]);

  const actions = useMemo(
    () => ({
      setTool,
      setPeeking,
      setPanning,
      setPreferences,
      next: () => void next(),
      save: () => void save(),
      accept: () => void accept(),
      skip: () => void skip(),
      help: () => setHelp((shown) => !shown),
      zoomIn: () => stage.zoomBy(1.6),
      zoomOut: () => stage.zoomBy(1 / 1.6),
      home: () => stage.home(),
      close: () => void go(slide.id),
    }),
    [next, save, accept, skip, stage, slide.id],
  );
  const shortcuts = [
    ...(tab === "regions" && mayEdit ? regionShortcuts(her2.regions) : []),
    ...(tab === "score" ? cellShortcuts(her2.cells) : []),
    ...(inHand ? revisionShortcuts(revisions) : []),
    ...benchShortcuts({ editing: inHand, mayEdit, preferences, ...actions }),
    ...tabShortcuts(setTab),
  ];
  const current = useRef(shortcuts);
  current.current = shortcuts;
  useEffect(() => listenToKeys(() => current.current), []);

  return (
    <main class="workbench" data-testid="workbench" onClick={releaseFocus}>
      <div class="stage">
        <div
          ref={host}
          class="viewer"
          data-testid="viewer"
          data-ready={view.ready}
          data-zoom={view.scale.toFixed(4)}
        />
        <canvas ref={canvas} class="mask-layer" data-testid="mask-layer" aria-hidden="true" />
        <canvas ref={shapes} class="mask-layer" data-testid="shapes-layer" aria-hidden="true" />
        <div ref={map} class="map over-viewer" data-testid="map" aria-hidden="true" />
        {view.problem && (
          <p class="viewer-problem problem" role="alert">
            {view.problem}
          </p>
        )}
        <LayersPanel
          preferences={preferences}
          setPreferences={setPreferences}
          cells={tab === "score"}
        />
        <ViewerControls bar={view.bar} actions={actions} />
      </div>
      <SidePanel tab={tab} setTab={setTab} shortcuts={help ? shortcuts : null} onHelp={actions.help}>
        {tab === "patch" && (
          <EditorPanel
            editing={editing}
            mayEdit={mayEdit}
            busy={opening ? "Opening the patch…" : busy}
            unsaved={unsaved}
            revisions={revisions}
            reopen={reopen}
            queue={queue}
            tool={tool}
            preferences={preferences}
            actions={actions}
            learning={learning}
          />
        )}
        {tab === "regions" && (
          <RegionsPanel
            regions={her2.regions}
            mayEdit={mayEdit}
            onField={her2.onField}
            onShow={her2.onShow}
          />
        )}
        {tab === "score" && (
          <ScorePanel
            score={her2.score}
            cells={her2.cells}
            cellsShown={preferences.cells}
            mayEdit={mayEdit}
          />
        )}
        <Kept shown={tab === "report"}>
          <ReportPanel slide={slide.id} live={her2.score.live} mayEdit={mayEdit} />
        </Kept>
      </SidePanel>
    </main>
  );
}
