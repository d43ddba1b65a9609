/**
 * One canvas over the viewer for what lies on the slide as lines: regions, the outline being
 * drawn, cells. Everything is kept in level-0 px, so that panning only moves the pen.
 */

import type { Point } from "../masks/mask";
import type { SlideViewer } from "../viewer/viewer";
import { ringsOf } from "./polygon";
import type { Cell, Label, RegionFeature, RegionKind } from "../api/types";
import { colourOf, isPartial, LABELS, REGION_LINES } from "./words";

/** What is drawn; the owner changes it and calls `redraw`. */
export interface Shapes {
  regions: readonly RegionFeature[];
  selected: string | null;
  /** The outline being drawn: its corners and where the pointer is. */
  outline: { kind: RegionKind; points: readonly Point[]; pointer: Point | null } | null;
  cells: readonly Cell[];
  chosen: Cell | null;
}

export const NO_SHAPES: Shapes = {
  regions: [],
  selected: null,
  outline: null,
  cells: [],
  chosen: null,
};

export interface ShapesLayer {
  show(shapes: Shapes): void;
  destroy(): void;
}

const SHADOW = "rgba(10, 14, 18, 0.7)";
const EXCLUDED = "#8b969d";

export function createShapesLayer(canvas: HTMLCanvasElement, viewer: SlideViewer): ShapesLayer {
  const context = canvas.getContext("2d")!;
  let shapes = NO_SHAPES;
  let cellLines = new Map<Label | "excluded", Path2D>();
  let frame = 0;

  /** A line of that many CSS px over its own shadow: seen on white, brown and blue. */
  function stroke(line: Path2D, colour: string, weight: number, dash: readonly number[]): void {
    const unit = 1 / viewer.scale();
    context.setLineDash(dash.map((length) => length * unit));
    context.lineWidth = (weight + 1.5) * unit;
    context.strokeStyle = SHADOW;
    context.stroke(line);
    context.lineWidth = weight * unit;
    context.strokeStyle = colour;
    context.stroke(line);
  }

  function drawRegions(): void {
    for (const region of shapes.regions) {
      const { colour, dash } = REGION_LINES[region.properties.kind];
      const line = new Path2D();
      for (const ring of ringsOf(region)) trace(line, ring, true);
      const selected = region.id === shapes.selected;
      if (selected) {
        context.fillStyle = `${colour}22`;
        context.fill(line, "evenodd");
      }
      stroke(line, colour, selected ? 3.5 : 2, dash);
    }
  }

  function drawOutline({ kind, points, pointer }: NonNullable<Shapes["outline"]>): void {
    const { colour, dash } = REGION_LINES[kind];
    const line = new Path2D();
    const corners = pointer ? [...points, pointer] : points;
    trace(
      line,
      corners.map(({ x, y }) => [x, y]),
      false,
    );
    stroke(line, colour, 2, dash);
    const radius = 4 / viewer.scale();
    context.setLineDash([]);
    points.forEach(({ x, y }, number) => {
      context.beginPath();
      context.arc(x, y, number === 0 ? 1.6 * radius : radius, 0, 2 * Math.PI);
      context.fillStyle = number === 0 ? "#ffffff" : colour;
      context.fill();
      context.lineWidth = 1.5 / viewer.scale();
      context.strokeStyle = SHADOW;
      context.stroke();
    });
  }

  function drawCells(): void {
    for (const [name, line] of cellLines) {
      if (name === "excluded") stroke(line, EXCLUDED, 1.25, []);
      else stroke(line, colourOf(name), name === "N" ? 1 : 1.75, isPartial(name) ? [5, 4] : []);
    }
    if (!shapes.chosen) return;
    const ring = new Path2D();
    trace(ring, shapes.chosen.outline, true);
    stroke(ring, "#ffffff", 4, []);
    const { label, included } = shapes.chosen;
    stroke(ring, included ? colourOf(label) : EXCLUDED, 2, []);
  }

  function draw(): void {
    frame = 0;
    const { clientWidth: width, clientHeight: height } = canvas;
    const ratio = window.devicePixelRatio || 1;
    const columns = Math.round(width * ratio);
    const rows = Math.round(height * ratio);
    if (canvas.width !== columns || canvas.height !== rows) {
      canvas.width = columns;
      canvas.height = rows;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, columns, rows);
    const scale = viewer.scale() * ratio;
    if (scale <= 0) return;
    const origin = viewer.toScreen({ x: 0, y: 0 });
    context.setTransform(scale, 0, 0, scale, origin.x * ratio, origin.y * ratio);
    context.lineJoin = "round";
    drawCells();
    drawRegions();
    if (shapes.outline) drawOutline(shapes.outline);
  }

  const redraw = (): void => {
    frame ||= requestAnimationFrame(draw);
  };
  viewer.onMove(redraw);
  return {
    show(wanted) {
      if (wanted.cells !== shapes.cells) cellLines = linesOf(wanted.cells);
      shapes = wanted;
      redraw();
    },
    destroy: () => cancelAnimationFrame(frame),
  };
}

function trace(line: Path2D, points: readonly [number, number][], closed: boolean): void {
  points.forEach(([x, y], number) => (number === 0 ? line.moveTo(x, y) : line.lineTo(x, y)));
  if (closed) line.closePath();
}

/** One line for all cells of a class: drawing thousands stays quick. */
function linesOf(cells: readonly Cell[]): Map<Label | "excluded", Path2D> {
  const lines = new Map<Label | "excluded", Path2D>();
  for (const name of ["excluded", ...LABELS] as const) {
    const members = cells.filter((cell) => (cell.included ? cell.label : "excluded") === name);
    if (members.length === 0) continue;
    const line = new Path2D();
    for (const cell of members) {
      trace(line, cell.outline, true);
      if (!cell.included) cross(line, cell);
    }
    lines.set(name, line);
  }
  return lines;
}

/** An excluded cell is crossed out, not only grey. */
function cross(line: Path2D, { x, y, outline }: Cell): void {
  const reach = Math.max(...outline.map(([px, py]) => Math.hypot(px - x, py - y))) * 0.6;
  line.moveTo(x - reach, y - reach);
  line.lineTo(x + reach, y + reach);
  line.moveTo(x - reach, y + reach);
  line.lineTo(x + reach, y - reach);
}
