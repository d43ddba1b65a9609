/** The cells of the viewport: read when the view rests and when the score changes. */

import { batch, computed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Cell, CellAction, Label, Slide } from "../api/types";
import type { Point } from "../masks/mask";
import { notify } from "../shell/notices";
import { bench, her2, openSlide, page } from "../store";
import type { Box0, SlideViewer } from "../viewer/viewer";
import { decideCell, readCells } from "./api";
import { cellAt, isSame, neighbour, REACH_UM } from "./cell_search";

const RESTS_MS = 150;
/** CSS px per µm below which cells are too small to be told apart. */
const SMALLEST_SCALE = 0.3;
const ROW_UM = 15;

/** The cells that are shown, of those in the viewport. */
export interface CellsInView {
  cells: readonly Cell[];
  total: number;
  /** What `cells` and `total` are worth: of the view as it is, of one before, or of none. */
  state: "reading" | "read" | "failed";
  /** The view is too far out for cells. */
  far: boolean;
}
export const NO_CELLS: CellsInView = { cells: [], total: 0, state: "reading", far: false };

const wanted = computed(
  () =>
    bench.tab.value === "score" &&
    page.preferences.value.cells &&
    her2.live.value?.document != null,
);
/** Changes with every computed score. */
const version = computed(() => {
  const live = her2.live.value;
  return `${live?.computed_at} ${live?.state === "failed"}`;
});
const mppNow = (): number => openSlide.value?.mpp ?? 0.25;

let ticket = 0;

function show(part: Partial<CellsInView>): void {
  her2.cells.value = { ...her2.cells.value, ...part };
}

function read(viewer: SlideViewer): void {
  const slide = openSlide.value;
  if (!slide || viewer.scale() <= 0) return;
  const mine = (ticket += 1);
  const far = viewer.scale() / mppNow() < SMALLEST_SCALE;
  const box = onSlide(viewer.viewport(), slide);
  if (far || box.width <= 0 || box.height <= 0) {
    show({ cells: [], total: 0, state: "read", far });
    return;
  }
  show({ state: "reading", far });
  readCells(slide.id, box).then(
    ({ items, total }) => {
      if (mine !== ticket) return;
      batch(() => {
        show({ cells: items, total, state: "read" });
        const { value: chosen } = her2.chosen;
        if (chosen) her2.chosen.value = items.find((cell) => isSame(cell, chosen)) ?? chosen;
      });
    },
    (error: Error) => {
      if (mine === ticket) show({ state: "failed" });
      notify(error.message, "bad");
    },
  );
}

/** Keep them read while they are to be shown. */
export function useCells(): void {
  const viewer = wanted.value ? bench.viewer.value : null;
  const { value: computedAs } = version;
  useEffect(() => {
    if (!viewer) {
      her2.cells.value = NO_CELLS;
      her2.chosen.value = null;
      return undefined;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    let before = viewer.viewport();
    const stop = viewer.onMove(() => {
      // the viewer draws without moving, too: each tile that arrives
      const now = viewer.viewport();
      if (sameBox(now, before)) return;
      before = now;
      clearTimeout(timer);
      show({ state: "reading" });
      timer = setTimeout(() => read(viewer), RESTS_MS);
    });
    read(viewer);
    return () => {
      stop();
      clearTimeout(timer);
      ticket += 1; // an answer under way is for a view that is no more
    };
  }, [viewer, computedAs]);
}

export function pickCell(at: Point): void {
  her2.chosen.value = cellAt(her2.cells.value.cells, at, REACH_UM / mppNow());
}

export function walkCells(step: 1 | -1): void {
  const row = ROW_UM / mppNow();
  her2.chosen.value = neighbour(her2.cells.value.cells, her2.chosen.value, step, row);
}

export function closeCell(): void {
  her2.chosen.value = null;
}

/** A person's word on the chosen cell: it shows at once, the score follows. */
export async function decideOnCell(
  action: CellAction,
  reason: string,
  label?: Label,
): Promise<void> {
  const { slide } = page.route.value;
  const chosen = her2.chosen.value;
  if (!chosen || !slide) return;
  her2.deciding.value = true;
  try {
    await decideCell(slide, chosen, action, { reason, ...(label && { label }) });
    // a cell outside the view is not among those that are read anew
    const { value: shown } = her2.chosen;
    if (shown && isSame(shown, chosen)) her2.chosen.value = judged(shown, action, label);
    if (bench.viewer.value) read(bench.viewer.value);
  } catch (error) {
    notify((error as Error).message, "bad");
  } finally {
    her2.deciding.value = false;
  }
}

/** A cell as it counts after a decision. */
function judged(cell: Cell, action: CellAction, label?: Label): Cell {
  return {
    ...cell,
    edited: action !== "include",
    included: action !== "exclude",
    label: action === "class" && label ? label : cell.measured,
  };
}

function sameBox(a: Box0, b: Box0): boolean {
  return a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
}

/** The part of a box that lies on the slide. */
function onSlide(box: Box0, slide: Slide): Box0 {
  const x = Math.max(0, box.x);
  const y = Math.max(0, box.y);
  const right = Math.min(slide.width ?? Infinity, box.x + box.width);
  const bottom = Math.min(slide.height ?? Infinity, box.y + box.height);
  return { x, y, width: right - x, height: bottom - y };
}
