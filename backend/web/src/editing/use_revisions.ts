/** The revisions of the open patch as a hook: the list, the one that is looked at, restoring. */

import { useEffect } from "preact/hooks";
import type { Editing } from "./editing";
import { subscribe } from "../api/events";
import { notify } from "../shell/notices";
import { listRevisions, readRevision, restoreRevision } from "./revisions";
import type { Shortcut } from "../shell/shortcuts";
import { bench } from "../store";
import { reopen } from "./use_open_patch";

/** What arrives late is of a patch, or of a wish, that is no more. */
let wish = 0;

/** Keep the list of the open patch's revisions fresh. */
export function useRevisions(): void {
  const editing = bench.editing.value;
  const patch = editing?.patch.id ?? null;
  useEffect(() => {
    closeRevisions();
    bench.revisions.value = [];
  }, [patch]);
  useEffect(() => reload(patch), [patch, editing?.etag]);
  useEffect(
    () =>
      subscribe(
        (topic, event) => {
          if (topic === "annotation" && event.id === patch) reload(patch);
        },
        () => reload(patch),
      ),
    [patch],
  );
}

function reload(patch: string | null): void {
  if (!patch) return;
  listRevisions(patch).then(
    (revisions) => {
      if (patch === bench.editing.value?.patch.id) bench.revisions.value = revisions;
    },
    () => undefined, // it is read again with the next event
  );
}

function show(revision: number, against: number | null): void {
  const patch = bench.editing.value?.patch.id;
  if (!patch) return;
  const mine = (wish += 1);
  const masks = [readRevision(patch, revision)];
  if (against !== null) masks.push(readRevision(patch, against));
  Promise.all(masks).then(
    ([mask, other]) => {
      if (mine !== wish) return;
      const base = against !== null && other ? { revision: against, mask: other } : null;
      bench.comparison.value = { revision, mask: mask!, against: base };
    },
    (error: Error) => notify(error.message, "bad"),
  );
}

/** Look at a revision, beside what the one before was compared with. */
export function lookAt(revision: number): void {
  show(revision, bench.comparison.value?.against?.revision ?? null);
}

export function compareWith(against: number | null): void {
  const { value: comparison } = bench.comparison;
  if (comparison) show(comparison.revision, against);
}

/** Look at the next older (1) or newer (-1) revision. */
function step(direction: 1 | -1): void {
  const list = bench.revisions.value;
  const shown = bench.comparison.value?.revision;
  const beside = list[list.findIndex(({ revision }) => revision === shown) + direction];
  if (beside) lookAt(beside.revision);
  else if (direction < 0) closeRevisions();
}

export function closeRevisions(): void {
  wish += 1;
  bench.comparison.value = null;
}

/** Make the revision that is looked at the newest. */
export async function restore(): Promise<void> {
  const { editing, comparison, restoring } = bench;
  if (!editing.value || !comparison.value || restoring.value) return;
  restoring.value = true;
  try {
    if (await restored(editing.value, comparison.value.revision)) {
      closeRevisions();
      reopen();
    }
  } catch (error) {
    notify((error as Error).message, "bad");
  } finally {
    restoring.value = false;
  }
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
  editing.moveTo(written.revision); // one's own, and no news
  notify(`Revision ${revision} is back, as revision ${written.revision}.`, "good");
  return true;
}

export function revisionShortcuts(): Shortcut[] {
  if (bench.revisions.value.length === 0) return [];
  const stepping: Shortcut[] = [
    { keys: ["r"], label: "Look at the revisions, from the newest back", run: () => step(1) },
    { keys: ["shift+r"], label: "Back to newer revisions", run: () => step(-1) },
  ];
  if (!bench.comparison.value) return stepping;
  return [
    ...stepping,
    { keys: ["escape"], label: "Leave the revisions, back to the mask", run: closeRevisions },
  ];
}
