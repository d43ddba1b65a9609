/**
 * One canvas over the viewer: the patch grid, the open patch's own pixels, its mask and outlines,
 * and the brush's true circle. Redrawn when the view moves or the mask changes.
 */

import { MEMBRANE, IGNORE, UNSEEN, outline, type Mask, type Point } from "../masks/mask";
import type { Patch, PatchState } from "../api/types";
import type { SlideViewer } from "./viewer";

const FILL_MEMBRANE = rgba(0, 214, 178);
const FILL_IGNORE = rgba(150, 160, 170);
const FILL_ONLY_COMPARED = rgba(255, 122, 217);
const FILL_ONLY_BESIDE = rgba(255, 157, 61);
/** Differences are seen even where the mask itself is set to be faint. */
const LEAST_OPACITY_COMPARED = 0.6;
const LINE_MEMBRANE = "#00f0c8";
const LINE_IGNORE = "#dfe5ea";
const LINE_UNCERTAIN = "#ffe14a";
const LINE_THEIRS = "#ff7ad9";
const GRID: Partial<Record<PatchState, string>> = {
  annotated: "#00d6b2",
  approved: "#00d6b2",
  returned: "#ffb13d",
  in_annotation: "#ffffff",
  partial: "#8fb8ff",
};
/** Not finished: in somebody's hands, or painted only in part. */
const DASHED: ReadonlySet<PatchState> = new Set(["in_annotation", "partial"]);
/** Unsaved strokes: a corner, so that the colour of the frame still says the state. */
const DRAFTED = "#ff5c5c";
const DRAFTED_PX = 14;
const GRID_FAINT = "rgba(20, 30, 40, 0.28)";
const SMALLEST_GRID_PX = 14;

/** What is drawn; the owner changes it and calls `redraw`. */
export interface Scene {
  patches: Patch[];
  /** Ids of patches that hold unsaved strokes in this browser. */
  drafted: ReadonlySet<string>;
  gridShown: boolean;
  /** The open patch with its mask; null when none is open. */
  open: {
    patch: Patch;
    image: CanvasImageSource | null;
    mask: Mask;
    uncertain: Mask | null;
    theirs: Mask | null;
    /** A revision that the mask is compared with: where they differ is filled. */
    compared: Mask | null;
    opacity: number;
    hidden: boolean;
  } | null;
  /** The brush at a place in patch pixels; diameter in patch pixels. */
  brush: { at: Point; diameter: number; erases: boolean } | null;
}

export interface MaskLayer {
  scene: Scene;
  /** Draw at the next frame; say so when mask pixels or outlines changed. */
  redraw(what?: "view" | "mask"): void;
  /** CSS px of the viewer element → patch pixels of the open patch. */
  toPatch(screen: Point): Point;
  fromPatch(point: Point): Point;
  destroy(): void;
}

export function createMaskLayer(canvas: HTMLCanvasElement, viewer: SlideViewer): MaskLayer {
  const context = canvas.getContext("2d")!;
  const fill = document.createElement("canvas");
  let lines: Record<"membrane" | "ignore" | "uncertain" | "theirs", Path2D | null>;
  let stale = true;
  let frame = 0;

  /** Screen rectangle of a patch, CSS px. */
  function place(patch: Patch): { x: number; y: number; size: number } {
    return { ...pick(viewer.toScreen(patch)), size: patch.size * viewer.scale() };
  }

  /** The outline of a mask that does not change while it is shown: made once. */
  const outlines = new WeakMap<Mask, Path2D>();
  function still(mask: Mask | null): Path2D | null {
    if (!mask) return null;
    const known = outlines.get(mask) ?? path(outline(mask, (value) => value === MEMBRANE));
    outlines.set(mask, known);
    return known;
  }

  function prepare(open: NonNullable<Scene["open"]>): void {
    const { mask, compared } = open;
    fill.width = mask.width;
    fill.height = mask.height;
    const pixels = new ImageData(mask.width, mask.height);
    const words = new Uint32Array(pixels.data.buffer);
    mask.data.forEach((value, i) => {
      const beside = compared?.data[i] ?? value;
      words[i] = colourOf(value, beside === UNSEEN ? value : beside); // unseen: nothing to compare
    });
    fill.getContext("2d")!.putImageData(pixels, 0, 0);
    lines = {
      membrane: path(outline(mask, (value) => value === MEMBRANE)),
      ignore: path(outline(mask, (value) => value === IGNORE)),
      uncertain: compared ? null : still(open.uncertain),
      theirs: still(compared ?? open.theirs),
    };
    stale = false;
  }

  function drawGrid(width: number, height: number): void {
    for (const patch of layer.scene.patches) {
      const { x, y, size } = place(patch);
      if (x > width || y > height || x + size < 0 || y + size < 0) continue;
      const colour = GRID[patch.state];
      if (size < SMALLEST_GRID_PX) {
        if (!colour) continue;
        context.fillStyle = colour;
        context.fillRect(x, y, Math.max(size, 2), Math.max(size, 2));
        continue;
      }
      context.lineWidth = colour ? 2 : 1;
      context.strokeStyle = colour ?? GRID_FAINT;
      context.setLineDash(DASHED.has(patch.state) ? [5, 4] : []);
      const inset = colour ? 1.5 : 0.5;
      context.strokeRect(x + inset, y + inset, size - 2 * inset, size - 2 * inset);
    }
    context.setLineDash([]);
  }

  /** Shown with the grid hidden, too: nobody must look for unsaved strokes. */
  function drawDrafted(): void {
    context.fillStyle = DRAFTED;
    for (const patch of layer.scene.patches) {
      if (!layer.scene.drafted.has(patch.id)) continue;
      const { x, y, size } = place(patch);
      const side = Math.max(Math.min(size / 2, DRAFTED_PX), 4);
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x + side, y);
      context.lineTo(x, y + side);
      context.fill();
    }
  }

  function drawOpen(open: NonNullable<Scene["open"]>): void {
    if (stale) prepare(open);
    const { x, y, size } = place(open.patch);
    const scale = size / open.mask.width;
    context.imageSmoothingEnabled = scale < 1;
    if (open.image) context.drawImage(open.image, x, y, size, size);
    if (!open.hidden) {
      const least = open.compared ? LEAST_OPACITY_COMPARED : 0;
      context.globalAlpha = Math.max(open.opacity, least);
      context.drawImage(fill, x, y, size, size);
      context.globalAlpha = 1;
      const stroke = (
        line: Path2D | null,
        colour: string,
        weight: number,
        dash: number[],
      ): void => {
        if (!line) return;
        context.save();
        context.translate(x, y);
        context.scale(scale, scale);
        context.lineWidth = weight / scale;
        context.setLineDash(dash.map((length) => length / scale));
        context.strokeStyle = colour;
        context.stroke(line);
        context.restore();
      };
      stroke(lines.membrane, LINE_MEMBRANE, 1.25, []);
      stroke(lines.ignore, LINE_IGNORE, 1.25, [2, 3]);
      stroke(lines.uncertain, "rgba(30, 20, 0, 0.55)", 2.5, []);
      stroke(lines.uncertain, LINE_UNCERTAIN, 1.25, []);
      stroke(lines.theirs, LINE_THEIRS, 1.75, [6, 3]);
    }
    // dark under light: seen on glass and on tissue, and nothing around it is dimmed
    for (const [colour, weight] of [
      ["rgba(0, 0, 0, 0.65)", 4],
      ["#ffffff", 2],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = weight;
      context.strokeRect(x - 1, y - 1, size + 2, size + 2);
    }
  }

  function drawBrush(brush: NonNullable<Scene["brush"]>, open: NonNullable<Scene["open"]>): void {
    const at = layer.fromPatch(brush.at);
    const radius = (Math.max(brush.diameter, 1) / 2) * (place(open.patch).size / open.mask.width);
    for (const [colour, weight] of [
      ["rgba(0, 0, 0, 0.65)", 3],
      [brush.erases ? "#ff9a8a" : "#ffffff", 1.25],
    ] as const) {
      context.beginPath();
      context.arc(at.x, at.y, radius, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = weight;
      context.setLineDash(brush.erases ? [4, 3] : []);
      context.stroke();
    }
    context.setLineDash([]);
  }

  function draw(): void {
    frame = 0;
    const { clientWidth: width, clientHeight: height } = canvas;
    const ratio = window.devicePixelRatio || 1;
    if (
      canvas.width !== Math.round(width * ratio) ||
      canvas.height !== Math.round(height * ratio)
    ) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const { open, brush, gridShown } = layer.scene;
    if (gridShown) drawGrid(width, height);
    if (open) drawOpen(open);
    drawDrafted();
    if (open && brush && !open.hidden) drawBrush(brush, open);
  }

  const layer: MaskLayer = {
    scene: { patches: [], drafted: new Set(), gridShown: true, open: null, brush: null },
    redraw(what = "view") {
      if (what === "mask") stale = true;
      frame ||= requestAnimationFrame(draw);
    },
    toPatch(screen) {
      const { open } = layer.scene;
      if (!open) return { x: -1, y: -1 };
      const { x, y, size } = place(open.patch);
      const scale = open.mask.width / size;
      return { x: (screen.x - x) * scale, y: (screen.y - y) * scale };
    },
    fromPatch(point) {
      const { open } = layer.scene;
      if (!open) return { x: 0, y: 0 };
      const { x, y, size } = place(open.patch);
      const scale = size / open.mask.width;
      return { x: x + point.x * scale, y: y + point.y * scale };
    },
    destroy() {
      cancelAnimationFrame(frame);
    },
  };
  viewer.onMove(() => layer.redraw());
  return layer;
}

/** What fills a pixel of a mask that has `there` in the revision beside it. */
function colourOf(here: number, there: number): number {
  if (there === MEMBRANE && here !== MEMBRANE) return FILL_ONLY_COMPARED;
  if (here === MEMBRANE && there !== MEMBRANE) return FILL_ONLY_BESIDE;
  if (here === MEMBRANE) return FILL_MEMBRANE;
  return here === IGNORE || there === IGNORE ? FILL_IGNORE : 0;
}

/** An opaque colour as a word of ImageData, in this machine's byte order. */
function rgba(red: number, green: number, blue: number): number {
  return new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer)[0]!;
}

function pick({ x, y }: Point): Point {
  return { x, y };
}

function path(edges: number[]): Path2D {
  const line = new Path2D();
  for (let i = 0; i < edges.length; i += 4) {
    line.moveTo(edges[i]!, edges[i + 1]!);
    line.lineTo(edges[i + 2]!, edges[i + 3]!);
  }
  return line;
}
