/** The pointer over the viewer: paints with the chosen tool, or leaves the drag to the viewer. */

import type { Editing, PaintTool } from "../editing/editing";
import type { Point } from "../masks/mask";
import type { MaskLayer } from "./mask_layer";

export type Tool = PaintTool | "pan";

/** What the pointer must know at the moment of an event. */
export interface Hand {
  editing: Editing | null;
  tool: Tool;
  diameter: number;
  /** Space is held: pan inside any tool. */
  panning: boolean;
  mayEdit: boolean;
}

export interface Painting {
  /** Whether drags and clicks now paint, so that the viewer keeps still. */
  holds(): boolean;
  /** Redraw the brush circle after its size or tool changed. */
  refresh(): void;
  destroy(): void;
}

const PRIMARY = 0;

export function createPainting(element: HTMLElement, layer: MaskLayer, hand: () => Hand): Painting {
  let last: Point | null = null; // in patch pixels, while a stroke is drawn
  let stroke: PaintTool | null = null;
  let hover: Point | null = null;

  const ready = (): boolean => {
    const { editing, tool, panning, mayEdit } = hand();
    return editing !== null && mayEdit && tool !== "pan" && !panning;
  };

  /** Outside the open patch a drag still moves the slide, whatever the tool. */
  function overPatch(): boolean {
    const { editing, diameter } = hand();
    if (!hover || !editing) return false;
    const { x, y } = layer.toPatch(hover);
    const room = diameter / 2;
    const { width, height } = editing.mask;
    return x >= -room && y >= -room && x < width + room && y < height + room;
  }

  function at(event: PointerEvent): Point {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  function showBrush(): void {
    const { tool, diameter } = hand();
    const shown = ready() && (stroke !== null || overPatch());
    layer.scene.brush = shown
      ? { at: layer.toPatch(hover!), diameter, erases: (stroke ?? tool) === "eraser" }
      : null;
    element.style.cursor = shown ? "crosshair" : "";
    layer.redraw();
  }

  function down(event: PointerEvent): void {
    const { editing, tool, diameter } = hand();
    hover = at(event);
    if (event.button !== PRIMARY || !editing || !ready() || tool === "pan" || !overPatch()) return;
    stroke = event.altKey && tool === "brush" ? "eraser" : tool;
    last = layer.toPatch(at(event));
    editing.stroke(stroke, last, last, diameter);
    showBrush();
  }

  function move(event: PointerEvent): void {
    hover = at(event);
    const { editing, diameter } = hand();
    if (stroke && last && editing) {
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length > 0 ? steps : [event]) {
        const next = layer.toPatch(at(step));
        editing.stroke(stroke, last, next, diameter);
        last = next;
      }
    }
    showBrush();
  }

  function up(): void {
    if (!stroke) return;
    stroke = null;
    last = null;
    hand().editing?.endStroke();
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
    holds: () => stroke !== null || (ready() && overPatch()),
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
