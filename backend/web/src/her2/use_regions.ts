/** The regions of a slide as a hook: read, drawn, labelled, taken away and put back. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { subscribe } from "../api/events";
import type { Point } from "../masks/mask";
import { notify } from "../shell/notices";
import type { Slide } from "../api/types";
import {
  addRegion,
  changeRegion,
  putBackRegion,
  readRegions,
  removeRegion,
  type TaggedRegions,
} from "./api";
import { clicked, ringOf } from "./polygon";
import type { RegionFeature, RegionKind } from "../api/types";

export interface Draft {
  kind: RegionKind;
  points: Point[];
}

export interface Regions {
  features: RegionFeature[];
  revision: number;
  loaded: boolean;
  selected: RegionFeature | null;
  draft: Draft | null;
  /** The region that was taken away last, while it can be put back. */
  removed: RegionFeature | null;
  saving: boolean;
  select(id: string | null): void;
  begin(kind: RegionKind): void;
  corner(at: Point, scale: number): void;
  takeBackCorner(): void;
  finish(): void;
  cancel(): void;
  /** Add an outline that needs no drawing, as the visible field. */
  add(kind: RegionKind, points: Point[]): void;
  relabel(region: RegionFeature, kind: RegionKind): void;
  remove(region: RegionFeature): void;
  putBack(): void;
}

const NONE: Pick<TaggedRegions, "features" | "etag"> = { features: [], etag: '"r0"' };

export function useRegions(slide: Slide): Regions {
  const [set, setSet] = useState<TaggedRegions | null>(null);
  const [selected, select] = useState<string | null>(null);
  const [draft, showDraft] = useState<Draft | null>(null);
  // clicks may come faster than the page is drawn: they go by what is, not by what is shown
  const drawn = useRef<Draft | null>(null);
  const sending = useRef(false);
  const [removed, setRemoved] = useState<RegionFeature | null>(null);
  const [saving, setSaving] = useState(false);
  const { id } = slide;

  function setDraft(next: Draft | null): void {
    drawn.current = next;
    showDraft(next);
  }

  const keep = useCallback((found: TaggedRegions): void => {
    // an answer that was overtaken by a newer one is dropped
    setSet((old) => (old && old.revision > found.revision ? old : found));
  }, []);
  const reload = useCallback((): void => {
    readRegions(id).then(keep, (error: Error) => notify(error.message, "bad"));
  }, [id, keep]);
  useEffect(() => {
    reload();
    return subscribe((topic, event) => {
      if (topic === "regions" && event.id === id) reload();
    }, reload);
  }, [id, reload]);

  async function send(call: () => Promise<TaggedRegions>): Promise<TaggedRegions | null> {
    sending.current = true;
    setSaving(true);
    try {
      const found = await call();
      keep(found);
      return found;
    } catch (error) {
      const stale = error instanceof ApiError && error.status === 412;
      notify(
        stale
          ? "Somebody changed the regions meanwhile. They are read again: look, and do it once more."
          : (error as Error).message,
        "bad",
      );
      if (stale) reload();
      return null;
    } finally {
      sending.current = false;
      setSaving(false);
    }
  }

  const features = set?.features ?? NONE.features;
  const etag = set?.etag ?? NONE.etag;

  async function save(kind: RegionKind, points: Point[]): Promise<void> {
    const known = new Set(features.map((region) => region.id));
    const ring = ringOf(points, slide.width ?? Infinity, slide.height ?? Infinity);
    const found = await send(() => addRegion(id, kind, ring));
    if (!found) return; // the draft stays, to be mended
    setDraft(null);
    select(found.features.find((region) => !known.has(region.id))?.id ?? null);
  }

  const finish = (): void => {
    const { current } = drawn;
    if (current && current.points.length >= 3) void save(current.kind, current.points);
    else notify("A region needs at least three corners.");
  };

  return {
    features,
    revision: set?.revision ?? 0,
    loaded: set !== null,
    selected: features.find((region) => region.id === selected) ?? null,
    draft,
    removed,
    saving,
    select,
    begin(kind) {
      select(null);
      setDraft({ kind, points: drawn.current?.points ?? [] });
    },
    corner(at, scale) {
      const { current } = drawn;
      if (!current || sending.current) return;
      const { points, closed } = clicked(current.points, at, scale);
      if (closed) void save(current.kind, points);
      else setDraft({ ...current, points });
    },
    takeBackCorner() {
      const { current } = drawn;
      if (current) setDraft({ ...current, points: current.points.slice(0, -1) });
    },
    finish,
    cancel: () => setDraft(null),
    add: (kind, points) => void save(kind, points),
    relabel(region, kind) {
      if (region.properties.kind === kind) return;
      const changed = { ...region, properties: { ...region.properties, kind } };
      void send(() => changeRegion(id, changed, etag));
    },
    remove(region) {
      void send(() => removeRegion(id, region.id, etag)).then((found) => {
        if (!found) return;
        setRemoved(region);
        select(null);
      });
    },
    putBack() {
      if (!removed) return;
      void send(() => putBackRegion(id, removed)).then((found) => {
        if (!found) return;
        setRemoved(null);
        select(removed.id);
      });
    },
  };
}
