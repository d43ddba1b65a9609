/** The cells of what is seen as a hook: read when the view rests and when the score changes. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { notify } from "../shell/notices";
import type { Slide } from "../api/types";
import type { Box0, SlideViewer } from "../viewer/viewer";
import { decideCell, readCells } from "./api";
import { cellAt, isSame, neighbour, REACH_UM } from "./cell_search";
import type { Point } from "../masks/mask";
import type { Cell, CellAction, Label } from "../api/types";

const RESTS_MS = 150;
/** CSS px per µm below which cells are too small to be told apart. */
const SMALLEST_SCALE = 0.3;
const ROW_UM = 15;
const NONE: Cell[] = [];

export interface Cells {
  cells: Cell[];
  total: number;
  /** What `cells` and `total` are worth: of the view as it is, of one before, or of none. */
  state: "reading" | "read" | "failed";
  /** The view is too far out for cells. */
  far: boolean;
  chosen: Cell | null;
  /** A decision is on its way. */
  waiting: boolean;
  pick(at: Point): void;
  walk(step: 1 | -1): void;
  close(): void;
  decide(action: CellAction, reason: string, label?: Label): void;
}

/** `wanted`: whether they are shown; `version` changes with every computed score. */
export function useCells(
  slide: Slide,
  viewer: SlideViewer | null,
  wanted: boolean,
  version: string,
): Cells {
  const [found, setFound] = useState<{ items: Cell[]; total: number }>({ items: NONE, total: 0 });
  const [state, setState] = useState<Cells["state"]>("reading");
  const [far, setFar] = useState(false);
  const [chosen, setChosen] = useState<Cell | null>(null);
  const [waiting, setWaiting] = useState(false);
  const asked = useRef(0);
  const mpp = slide.mpp ?? 0.25;

  const read = useCallback((): void => {
    if (!viewer || viewer.scale() <= 0) return;
    asked.current += 1;
    const ticket = asked.current;
    const small = viewer.scale() / mpp < SMALLEST_SCALE;
    setFar(small);
    const box = onSlide(viewer.field(), slide);
    if (small || box.width <= 0 || box.height <= 0) {
      setFound({ items: NONE, total: 0 });
      setState("read");
      return;
    }
    setState("reading");
    readCells(slide.id, box).then(
      (answer) => {
        if (ticket !== asked.current) return;
        setFound(answer);
        setState("read");
        setChosen((old) => old && (answer.items.find((cell) => isSame(cell, old)) ?? old));
      },
      (error: Error) => {
        if (ticket === asked.current) setState("failed");
        notify(error.message, "bad");
      },
    );
  }, [viewer, slide, mpp]);

  useEffect(() => {
    if (!viewer || !wanted) {
      setFound({ items: NONE, total: 0 });
      setState("reading");
      setChosen(null);
      return undefined;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    let before = viewer.field();
    const rested = (): void => {
      // the viewer draws without moving, too: each tile that arrives
      const now = viewer.field();
      if (sameBox(now, before)) return;
      before = now;
      clearTimeout(timer);
      setState("reading");
      timer = setTimeout(read, RESTS_MS);
    };
    const stop = viewer.onMove(rested);
    read();
    return () => {
      stop();
      clearTimeout(timer);
      asked.current += 1; // an answer under way is for a view that is no more
    };
  }, [viewer, wanted, version, read]);

  return {
    cells: found.items,
    total: found.total,
    state,
    far,
    chosen,
    waiting,
    pick: (at) => setChosen(cellAt(found.items, at, REACH_UM / mpp)),
    walk: (step) => setChosen(neighbour(found.items, chosen, step, ROW_UM / mpp)),
    close: () => setChosen(null),
    decide(action, reason, label) {
      if (!chosen) return;
      setWaiting(true);
      // the cell shows at once what was decided; the score follows
      decideCell(slide.id, chosen, action, { reason, ...(label && { label }) })
        .then(
          () => {
            // a cell outside the view is not among those that are read anew
            setChosen((old) => old && isSame(old, chosen) ? judged(old, action, label) : old);
            read();
          },
          (error: Error) => notify(error.message, "bad"),
        )
        .finally(() => setWaiting(false));
    },
  };
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
