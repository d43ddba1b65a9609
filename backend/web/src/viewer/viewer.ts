/** The slide in OpenSeadragon: its tiles, the overlays on the same grid, and coordinates. */

import OpenSeadragon from "openseadragon";
import { deepZoomUrl, overlayTileUrl, type OverlayKind } from "../api/client";
import type { Point } from "../masks/mask";

export const OVERLAYS: readonly OverlayKind[] = [
  "proposal",
  "probability",
  "uncertainty",
  "annotation",
];

/** Which overlays are shown, and the opacity of all of them, 0-1. */
export interface Layers {
  shown: Record<OverlayKind, boolean>;
  opacity: number;
}

const CHANGE_MS = 1200;

/** A rectangle in level-0 px. */
export interface Box0 {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface SlideViewer {
  readonly element: HTMLElement;
  /** Level-0 px → CSS px of the viewer element, and back. */
  toScreen(point0: Point): Point;
  toSlide(screen: Point): Point;
  /** CSS px per level-0 px. */
  scale(): number;
  /** What is seen now, in level-0 px; parts may lie outside the slide. */
  viewport(): Box0;
  fit(box0: Box0, immediately?: boolean): void;
  zoomBy(factor: number): void;
  home(): void;
  setLayers(layers: Layers): void;
  /** Read these overlays anew: their pixels changed. */
  reread(kinds: readonly OverlayKind[]): void;
  /** Whether a drag or click now belongs to somebody else than the viewer. */
  setHeld(held: () => boolean): void;
  /** Ask before a double click zooms: true if somebody else has used it. */
  setDoubleClick(taken: () => boolean): void;
  /** Returns the stop. */
  onMove(listener: () => void): () => void;
  onClick(listener: (point0: Point) => void): void;
  destroy(): void;
}

export function createViewer(
  element: HTMLElement,
  map: HTMLElement,
  slide: string,
  on: { opened: () => void; failed: (message: string) => void },
): SlideViewer {
  const osd = OpenSeadragon({
    element,
    drawer: "canvas",
    tileSources: deepZoomUrl(slide),
    showNavigationControl: false,
    showNavigator: true,
    navigatorElement: map, // above the mask layer, so not the viewer's own
    navigatorBackground: "#14171a",
    navigatorBorderColor: "#3a4147",
    navigatorDisplayRegionColor: "#27d3b5",
    animationTime: 0.35,
    springStiffness: 9,
    maxZoomPixelRatio: 24,
    minZoomImageRatio: 0.6,
    visibilityRatio: 0.3,
    zoomPerScroll: 1.3,
    immediateRender: false,
    imageLoaderLimit: 8,
    crossOriginPolicy: false,
    smoothTileEdgesMinZoom: Number.POSITIVE_INFINITY, // else a smoothing canvas comes between
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true, flickEnabled: false },
  });
  const images = new Map<OverlayKind, OpenSeadragon.TiledImage>();
  let layers: Layers | null = null;
  // a number that no page has named before: the service may remember what one has seen
  let reading = Date.now();
  let held = (): boolean => false;
  let doubleClick = (): boolean => false;
  let open = false;
  let smooth = true;

  const base = (): OpenSeadragon.TiledImage | undefined => osd.world.getItemAt(0);

  function addOverlay(kind: OverlayKind, opacity: number): void {
    const source = base()?.source;
    if (!source) return;
    const tileSource = {
      width: source.dimensions.x,
      height: source.dimensions.y,
      tileSize: source.getTileWidth(source.maxLevel),
      tileOverlap: source.tileOverlap,
      minLevel: source.minLevel,
      maxLevel: source.maxLevel,
      getTileUrl: (level: number, column: number, row: number): string =>
        overlayTileUrl(slide, kind, { level, column, row }, reading),
    };
    osd.addTiledImage({
      tileSource: tileSource as never,
      opacity,
      success: (event: unknown) => {
        const added = (event as { item: OpenSeadragon.TiledImage }).item;
        if (!layers?.shown[kind] || images.has(kind)) {
          osd.world.removeItem(added);
          return;
        }
        images.set(kind, added);
        added.setOpacity(layers.opacity);
      },
    });
  }

  function show(): void {
    if (!open || !layers) return;
    for (const kind of OVERLAYS) {
      const image = images.get(kind);
      const shown = layers.shown[kind];
      if (image && !shown) {
        osd.world.removeItem(image);
        images.delete(kind);
      } else if (image) image.setOpacity(layers.opacity);
      else if (shown) addOverlay(kind, layers.opacity);
    }
  }

  function reread(kinds: readonly OverlayKind[]): void {
    reading += 1;
    const old = kinds.flatMap((kind) => images.get(kind) ?? []);
    for (const kind of kinds) images.delete(kind);
    show();
    // the old pixels stay until the new ones had time to come: no flicker
    setTimeout(() => {
      if (open) for (const image of old) osd.world.removeItem(image);
    }, CHANGE_MS);
  }

  osd.addHandler("open", () => {
    open = true;
    // the small map shows the slide alone: overlays would only cover it, and cost tiles
    osd.navigator.addTiledImage = () => undefined;
    show();
    on.opened();
  });
  osd.addHandler("open-failed", () => on.failed("The slide's tiles can't be read."));
  // past the slide's own resolution its pixels are shown as they are, not smeared
  osd.addHandler("zoom", () => {
    const zoom = base()?.viewportToImageZoom(osd.viewport.getZoom()) ?? 1;
    if (smooth === zoom < 2) return;
    smooth = zoom < 2;
    osd.drawer.setImageSmoothingEnabled(smooth);
  });
  // one keyboard map for the page: letters are the editor's, not rotate or flip
  osd.addHandler("canvas-key", (event) => {
    event.preventDefaultAction = true;
  });
  const yieldIfHeld = (event: { preventDefaultAction?: boolean }): void => {
    if (held()) event.preventDefaultAction = true;
  };
  osd.addHandler("canvas-drag", yieldIfHeld);
  osd.addHandler("canvas-drag-end", yieldIfHeld);
  osd.addHandler("canvas-double-click", (event) => {
    if (held() || doubleClick()) event.preventDefaultAction = true;
  });

  const viewer: SlideViewer = {
    element,
    toScreen(point0) {
      const image = base();
      if (!image) return { x: 0, y: 0 };
      const at = image.imageToViewportCoordinates(point0.x, point0.y, true);
      return osd.viewport.pixelFromPoint(at, true);
    },
    toSlide(screen) {
      const image = base();
      if (!image) return { x: 0, y: 0 };
      const at = osd.viewport.pointFromPixel(new OpenSeadragon.Point(screen.x, screen.y), true);
      return image.viewportToImageCoordinates(at.x, at.y, true);
    },
    scale() {
      return base()?.viewportToImageZoom(osd.viewport.getZoom(true)) ?? 0;
    },
    viewport() {
      const start = viewer.toSlide({ x: 0, y: 0 });
      const end = viewer.toSlide({ x: element.clientWidth, y: element.clientHeight });
      return { x: start.x, y: start.y, width: end.x - start.x, height: end.y - start.y };
    },
    fit(box0, immediately = false) {
      const image = base();
      if (!image) return;
      osd.viewport.fitBounds(
        image.imageToViewportRectangle(box0.x, box0.y, box0.width, box0.height),
        immediately,
      );
    },
    zoomBy(factor) {
      osd.viewport.zoomBy(factor);
      osd.viewport.applyConstraints();
    },
    home: () => void osd.viewport.goHome(),
    setLayers(wanted) {
      layers = wanted;
      show();
    },
    reread,
    setHeld(asked) {
      held = asked;
    },
    setDoubleClick(taken) {
      doubleClick = taken;
    },
    onMove(listener) {
      const events = ["update-viewport", "resize", "open"] as const;
      for (const event of events) osd.addHandler(event, listener);
      return () => {
        for (const event of events) osd.removeHandler(event, listener);
      };
    },
    onClick(listener) {
      osd.addHandler("canvas-click", (event) => {
        if (!event.quick || held()) return;
        const at = osd.viewport.pointFromPixel(event.position, true);
        const point = base()?.viewportToImageCoordinates(at.x, at.y, true);
        if (point) listener(point);
      });
    },
    destroy() {
      open = false;
      osd.destroy();
    },
  };
  return viewer;
}
