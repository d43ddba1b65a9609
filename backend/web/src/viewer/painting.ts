/** The pointer over the viewer: paints with the chosen tool, or leaves the drag to the viewer. */

import { computed } from "@preact/signals";
import type { Editing, PaintTool } from "../editing/editing_state";
import { bench, inHand, mayEdit, openSlide, page } from "../store";
import type { Point } from "../masks/mask";
import type { MaskLayer } from "./mask_layer";

export type Tool = PaintTool | "pan";

export const SMALLEST_BRUSH = 1;
/** Wider than any screen shows tissue that can be judged: brackets meet no limit before. */
export const LARGEST_BRUSH = 4096;
/** As far as the slider goes, which has to be aimed at; brackets go on. */
export const SLIDER_BRUSH = 256;

/** One step larger or smaller: single pixels while thin, then by a fifth. */
export function nextDiameter(diameter: number, direction: 1 | -1): number {
  const step = Math.max(1, Math.round(diameter / 5));
  return Math.min(LARGEST_BRUSH, Math.max(SMALLEST_BRUSH, diameter + direction * step));
}

export interface Painting {
  /** Whether drags and clicks now paint, so that the viewer keeps still. */
  holds(): boolean;
  /** Redraw the brush circle after its size or tool changed. */
  refresh(): void;
  destroy(): void;
}

const PRIMARY = 0;

/** The mask that a stroke changes, if one does: beside another revision there is none to draw on. */
const brushed = computed(() =>
  mayEdit.value && !bench.comparison.value?.against ? inHand.value : null,
);
const diameterNow = (): number => page.preferences.value.diameter;

export function createPainting(element: HTMLElement, layer: MaskLayer): Painting {
  let last: Point | null = null; // in patch pixels, while a stroke is drawn
  let stroke: PaintTool | null = null;
  let painted: Editing | null = null; // it ends the stroke, whatever is in front then
  let hover: Point | null = null;

  const ready = (): boolean =>
    brushed.value !== null && bench.tool.value !== "pan" && !bench.panning.value;

  /** Beside the slide a drag still moves it, whatever the tool. */
  function overSlide(): boolean {
    const editing = brushed.value;
    const slide = openSlide.value;
    if (!hover || !editing || !slide) return false;
    const px0 = editing.patch.size / editing.mask.width;
    const at = layer.toPatch(hover);
    const [x, y] = [editing.patch.x + at.x * px0, editing.patch.y + at.y * px0];
    const room = (diameterNow() / 2) * px0;
    const [width, height] = [slide.width ?? 0, slide.height ?? 0];
    return x >= -room && y >= -room && x < width + room && y < height + room;
  }

  function at(event: PointerEvent): Point {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  function showBrush(): void {
    const shown = ready() && (stroke !== null || overSlide());
    layer.scene.brush = shown
      ? {
          at: layer.toPatch(hover!),
          diameter: diameterNow(),
          erases: (stroke ?? bench.tool.value) === "eraser",
        }
      : null;
    element.style.cursor = shown ? "crosshair" : "";
    layer.redraw("changed");
  }

  function down(event: PointerEvent): void {
    const editing = brushed.value;
    const tool = bench.tool.value;
    hover = at(event);
    if (event.button !== PRIMARY || !editing || !ready() || tool === "pan" || !overSlide()) return;
    stroke = event.altKey && tool === "brush" ? "eraser" : tool;
    last = layer.toPatch(at(event));
    painted = editing;
    editing.stroke(stroke, last, last, diameterNow());
    showBrush();
  }

  function move(event: PointerEvent): void {
    hover = at(event);
    const editing = brushed.value;
    if (stroke && last && editing) {
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length > 0 ? steps : [event]) {
        const next = layer.toPatch(at(step));
        editing.stroke(stroke, last, next, diameterNow());
        last = next;
      }
    }
    showBrush();
  }

  function up(): void {
    if (!stroke) return;
    stroke = null;
    last = null;
    painted?.endStroke();
    painted = null;
    showBrush();
  }

  function leave(): void {
    hover = null;
    showBrush();
  }

  // capture: the viewer below takes the pointer for itself
  element.addEventListener("pointerdown", down, true);
  element.addEventListener("pointermove", move, true);
  window.addEventListener("pointerup", up, true);
  window.addEventListener("pointercancel", up, true);
  element.addEventListener("pointerleave", leave);
  return {
    holds: () => stroke !== null || (ready() && overSlide()),
    refresh: showBrush,
    destroy() {
      element.removeEventListener("pointerdown", down, true);
      element.removeEventListener("pointermove", move, true);
      window.removeEventListener("pointerup", up, true);
      window.removeEventListener("pointercancel", up, true);
      element.removeEventListener("pointerleave", leave);
    },
  };
}
