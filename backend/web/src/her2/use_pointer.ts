/** The pointer on the slide, as a hook. */

import { useEffect, useState } from "preact/hooks";
import type { Point } from "../masks/mask";
import type { SlideViewer } from "../viewer/viewer";

/** Where the pointer is on the slide, while somebody wants to know. */
export function usePointer(viewer: SlideViewer | null, wanted: boolean): Point | null {
  const [pointer, setPointer] = useState<Point | null>(null);
  useEffect(() => {
    if (!viewer || !wanted) return undefined;
    const { element } = viewer;
    const moved = (event: PointerEvent): void => {
      const box = element.getBoundingClientRect();
      setPointer(viewer.toSlide({ x: event.clientX - box.left, y: event.clientY - box.top }));
    };
    const left = (): void => setPointer(null);
    element.addEventListener("pointermove", moved);
    element.addEventListener("pointerleave", left);
    element.style.cursor = "crosshair";
    return () => {
      element.removeEventListener("pointermove", moved);
      element.removeEventListener("pointerleave", left);
      element.style.cursor = "";
      setPointer(null);
    };
  }, [viewer, wanted]);
  return pointer;
}
