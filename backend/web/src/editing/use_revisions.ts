/** The revisions of the open patch as a hook: the list, the one that is looked at, restoring. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Editing } from "./editing";
import { subscribe } from "../api/events";
import type { Mask } from "../masks/mask";
import { notify } from "../shell/notices";
import { listRevisions, readRevision, restoreRevision } from "./revisions";
import type { Shortcut } from "../shell/shortcuts";
import type { Annotation } from "../api/types";

/** A revision that is looked at, and what it is compared with: null is the mask in hand. */
export interface Looked {
  revision: number;
  mask: Mask;
  against: { revision: number; mask: Mask } | null;
}

export interface Revisions {
  /** Newest first. */
  list: Annotation[];
  looked: Looked | null;
  restoring: boolean;
  look(revision: number): void;
  compare(against: number | null): void;
  /** Look at the next older (1) or newer (-1) revision. */
  step(direction: 1 | -1): void;
  close(): void;
  restore(): Promise<void>;
}

export function useRevisions(editing: Editing | null, reopen: () => void): Revisions {
  const [list, setList] = useState<Annotation[]>([]);
  const [looked, setLooked] = useState<Looked | null>(null);
  const [restoring, setRestoring] = useState(false);
  const patch = editing?.patch.id ?? null;
  // what arrives late is of a patch, or of a wish, that is no more
  const wish = useRef(0);
  const open = useRef(patch);
  open.current = patch;

  const reload = useCallback(() => {
    if (!patch) return;
    listRevisions(patch).then(
      (found) => patch === open.current && setList(found),
      () => undefined, // it is read again with the next event
    );
  }, [patch]);
  useEffect(() => {
    wish.current += 1;
    setList([]);
    setLooked(null);
  }, [patch]);
  useEffect(reload, [reload, editing?.etag]);
  useEffect(
    () =>
      subscribe((topic, event) => {
        if (topic === "annotation" && event.id === patch) reload();
      }, reload),
    [patch, reload],
  );

  return useMemo<Revisions>(() => {
    function show(revision: number, against: number | null): void {
      if (!patch) return;
      const mine = (wish.current += 1);
      const masks = [readRevision(patch, revision)];
      if (against !== null) masks.push(readRevision(patch, against));
      Promise.all(masks).then(
        ([mask, other]) => {
          if (mine !== wish.current) return;
          const base = against !== null && other ? { revision: against, mask: other } : null;
          setLooked({ revision, mask: mask!, against: base });
        },
        (error: Error) => notify(error.message, "bad"),
      );
    }
    function close(): void {
      wish.current += 1;
      setLooked(null);
    }
    return {
      list,
      looked,
      restoring,
      close,
      look: (revision) => show(revision, looked?.against?.revision ?? null),
      compare(against) {
        if (looked) show(looked.revision, against);
      },
      step(direction) {
        const at = looked ? list.findIndex(({ revision }) => revision === looked.revision) : -1;
        const next = list[at + direction];
        if (next) show(next.revision, looked?.against?.revision ?? null);
        else if (direction < 0) close();
      },
      async restore() {
        if (!editing || !looked || restoring) return;
        setRestoring(true);
        try {
          if (await restored(editing, looked.revision)) {
            close();
            reopen();
          }
        } catch (error) {
          notify((error as Error).message, "bad");
        } finally {
          setRestoring(false);
        }
      },
    };
  }, [patch, editing, list, looked, restoring, reopen]);
}

/** Restore a revision; strokes in hand are saved first, so that they stay as one of their own. */
async function restored(editing: Editing, revision: number): Promise<boolean> {
  editing.endStroke();
  if (editing.isUnsaved()) await editing.save();
  // what became of that save is said where saving is
  if (editing.isUnsaved()) return false;
  const { id } = editing.patch;
  const about = { etag: editing.etag, seconds: editing.seconds() };
  const written = await restoreRevision(id, revision, about);
  editing.etag = `"r${written.revision}"`; // one's own, and no news
  notify(`Revision ${revision} is back, as revision ${written.revision}.`, "good");
  return true;
}

export function revisionShortcuts(revisions: Revisions): Shortcut[] {
  if (revisions.list.length === 0) return [];
  const stepping: Shortcut[] = [
    { keys: ["r"], label: "Look at the revisions, from the newest back", run: () => revisions.step(1) },
    { keys: ["shift+r"], label: "Back to newer revisions", run: () => revisions.step(-1) },
  ];
  if (!revisions.looked) return stepping;
  return [
    ...stepping,
    { keys: ["escape"], label: "Leave the revisions, back to the mask", run: revisions.close },
  ];
}
