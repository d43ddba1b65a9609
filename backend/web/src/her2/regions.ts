/** The regions of the open slide: read, drawn, labelled, taken away and put back. */

import { computed } from "@preact/signals";
import { ApiError } from "../api/client";
import { subscribe } from "../api/events";
import type { RegionFeature, RegionKind } from "../api/types";
import type { Point } from "../masks/mask";
import { notify } from "../shell/notices";
import { bench, her2, openSlide, page } from "../store";
import {
  addRegion,
  changeRegion,
  putBackRegion,
  readRegions,
  removeRegion,
  type TaggedRegions,
} from "./api";
import { clicked, ringOf } from "./polygon";

/** The outline of a region that is being drawn. */
export interface Outline {
  kind: RegionKind;
  points: Point[];
}

export const regions = computed(() => her2.regions.value?.features ?? []);
export const selectedRegion = computed(
  () => regions.value.find(({ id }) => id === her2.selected.value) ?? null,
);
const etag = (): string => her2.regions.value?.etag ?? '"r0"';

/** Read the regions, and again when an event names them. Returns the stop. */
export function followRegions(slideId: string): () => void {
  const reload = (): void => reloadRegions(slideId);
  reload();
  return subscribe((topic, event) => {
    if (topic === "regions" && event.id === slideId) reload();
  }, reload);
}

function reloadRegions(slideId: string): void {
  readRegions(slideId).then(
    (read) => show(slideId, read),
    (error: Error) => notify(error.message, "bad"),
  );
}

function show(slideId: string, read: TaggedRegions): void {
  // an answer that was overtaken by a newer one, or is of a slide that is closed, is dropped
  if (slideId !== page.route.value.slide) return;
  if ((her2.regions.value?.revision ?? 0) <= read.revision) her2.regions.value = read;
}

/** Change the regions; null, and a word on it, when the service did not take it. */
async function send(
  call: (slideId: string) => Promise<TaggedRegions>,
): Promise<TaggedRegions | null> {
  const { slide } = page.route.value;
  if (!slide) return null;
  her2.savingRegions.value = true;
  try {
    const answer = await call(slide);
    show(slide, answer);
    return answer;
  } catch (error) {
    const stale = error instanceof ApiError && error.status === 412;
    notify(
      stale
        ? "Somebody changed the regions meanwhile. They are read again: look, and do it once more."
        : (error as Error).message,
      "bad",
    );
    if (stale) reloadRegions(slide);
    return null;
  } finally {
    her2.savingRegions.value = false;
  }
}

/** Add an outline as a region: what was drawn, or what needs no drawing, as the viewport. */
export async function addOutline(kind: RegionKind, points: Point[]): Promise<void> {
  const before = new Set(regions.value.map(({ id }) => id));
  const { width, height } = openSlide.value ?? {};
  const ring = ringOf(points, width ?? Infinity, height ?? Infinity);
  const answer = await send((slide) => addRegion(slide, kind, ring));
  if (!answer) return; // the outline stays, to be mended
  her2.outline.value = null;
  selectRegion(answer.features.find(({ id }) => !before.has(id))?.id ?? null);
}

export function selectRegion(id: string | null): void {
  her2.selected.value = id;
}

export function beginOutline(kind: RegionKind): void {
  selectRegion(null);
  her2.outline.value = { kind, points: her2.outline.value?.points ?? [] };
}

/** A click on the slide while an outline is drawn. */
export function addCorner(at: Point): void {
  const outline = her2.outline.value;
  if (!outline || her2.savingRegions.value) return;
  const { points, closed } = clicked(outline.points, at, bench.viewer.value!.scale());
  if (closed) void addOutline(outline.kind, points);
  else her2.outline.value = { ...outline, points };
}

export function takeBackCorner(): void {
  const outline = her2.outline.value;
  if (outline) her2.outline.value = { ...outline, points: outline.points.slice(0, -1) };
}

export function finishOutline(): void {
  const outline = her2.outline.value;
  if (outline && outline.points.length >= 3) void addOutline(outline.kind, outline.points);
  else notify("A region needs at least three corners.");
}

export function dropOutline(): void {
  her2.outline.value = null;
}

export function relabelRegion(region: RegionFeature, kind: RegionKind): void {
  if (region.properties.kind === kind) return;
  const changed = { ...region, properties: { ...region.properties, kind } };
  void send((slide) => changeRegion(slide, changed, etag()));
}

export async function takeAwayRegion(region: RegionFeature): Promise<void> {
  if (!(await send((slide) => removeRegion(slide, region.id, etag())))) return;
  her2.removed.value = region;
  selectRegion(null);
}

export async function putBack(): Promise<void> {
  const region = her2.removed.value;
  if (!region || !(await send((slide) => putBackRegion(slide, region)))) return;
  her2.removed.value = null;
  selectRegion(region.id);
}
