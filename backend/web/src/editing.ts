/** One patch in a person's hands: its mask, tools, undo, and what became of the last save. */

import { createActivityClock } from "./activity";
import { listAnnotations, patchImageUrl, readPatch, readPatchMask } from "./api";
import { findDraft, forgetDraft, keepDraft, type Draft } from "./drafts";
import { createHistory } from "./history";
import {
  asLabels,
  BACKGROUND,
  copyMask,
  countLabels,
  emptyMask,
  IGNORE,
  MEMBRANE,
  paintSegment,
  sameMask,
  union,
  type Label,
  type Mask,
  type Point,
  type Rect,
} from "./mask";
import { deliver } from "./outbox";
import { decodeGray } from "./png";
import {
  conflictSentence,
  revisionOf,
  type Current,
  type Outcome,
} from "./saving";
import type { Annotation, Patch, Source } from "./types";

export const PATCH_PX = 256;
export type PaintTool = "brush" | "eraser" | "ignore";
export type SaveState =
  "clean" | "unsaved" | "saving" | "saved" | "waiting" | "conflict" | "refused";

const LABEL_OF: Record<PaintTool, Label> = {
  brush: MEMBRANE,
  eraser: BACKGROUND,
  ignore: IGNORE,
};

/** A stroke under way touches pixels only; the others concern the panel too. */
export type Changed = "stroke" | "mask" | "state";

export interface Editing {
  patch: Patch;
  readonly image: HTMLImageElement;
  readonly mask: Mask;
  readonly proposal: Mask | null;
  readonly uncertain: Mask | null;
  /** The revision that got in between, while a conflict is open. */
  theirs: Mask | null;
  revisions: Annotation[];
  etag: string;
  state: SaveState;
  message: string;
  restored: string | null;
  canUndo(): boolean;
  canRedo(): boolean;
  isProposal(): boolean;
  isUnsaved(): boolean;
  counts(): { membrane: number; ignore: number };
  stroke(tool: PaintTool, from: Point, to: Point, diameter: number): void;
  endStroke(): void;
  undo(): void;
  redo(): void;
  clear(): void;
  reset(): void;
  save(): Promise<void>;
  keepMine(): Promise<void>;
  takeTheirs(): void;
  /** What the outbox heard about this patch. */
  settle(draft: Draft, outcome: Outcome): Promise<void>;
  /** The patch is shown and somebody is there; time counts until `pause`. */
  touch(): void;
  pause(): void;
}

async function readMask(id: string, kind: "proposal" | "uncertain_pixels" | "annotation") {
  const png = await readPatchMask(id, kind);
  return png && asLabels(await decodeGray(png));
}

async function readImage(id: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = patchImageUrl(id);
  await image.decode().catch(() => undefined); // the slide's own tiles still show below
  return image;
}

export async function openEditing(
  patchId: string,
  userId: string,
  changed: (what: Changed) => void,
): Promise<Editing> {
  const [{ patch, etag }, image, proposal, uncertain, draft] = await Promise.all([
    readPatch(patchId),
    readImage(patchId),
    readMask(patchId, "proposal"),
    readMask(patchId, "uncertain_pixels"),
    findDraft(userId, patchId).catch(() => null),
  ]);
  const annotated = patch.revision > 0;
  const [annotation, revisions] = annotated
    ? await Promise.all([readMask(patchId, "annotation"), listAnnotations(patchId)])
    : [null, []];
  const baseline = annotation ?? proposal ?? emptyMask(PATCH_PX, PATCH_PX);
  const mask = draft
    ? { width: draft.width, height: draft.height, data: draft.data }
    : copyMask(baseline);
  const history = createHistory();
  const clock = createActivityClock(draft?.seconds ?? 0);
  let fromScratch = draft ? draft.source === "scratch" : !annotation && !proposal;
  let conflict: Current | null = null;
  let before: Uint8Array | null = null;
  let touched: Rect | null = null;
  const whole: Rect = { left: 0, top: 0, right: mask.width, bottom: mask.height };

  function source(): Source {
    if (proposal && sameMask(mask, proposal)) return "proposal";
    return fromScratch ? "scratch" : "edited";
  }

  function draftNow(pending: boolean): Draft {
    return {
      patchId,
      userId,
      slideId: patch.slide_id,
      width: mask.width,
      height: mask.height,
      data: mask.data.slice(),
      etag: editing.etag,
      source: source(),
      seconds: clock.seconds(),
      changedAt: new Date().toISOString(),
      pending,
    };
  }

  function say(state: SaveState, message: string): void {
    editing.state = state;
    editing.message = message;
    changed("state");
  }

  function edited(): void {
    if (editing.state !== "conflict") {
      editing.state = "unsaved";
      editing.message = "Not saved yet; kept in this browser.";
    }
    changed("mask");
    keepDraft(draftNow(false)).catch(() => {
      if (editing.state === "unsaved")
        say("unsaved", "Not saved yet, and this browser keeps no copy.");
    });
  }

  /** Replace the whole mask as one step that can be undone. */
  function replace(data: Uint8Array): void {
    const old = mask.data.slice();
    mask.data.set(data);
    if (history.record(old, mask, whole)) edited();
  }

  async function settle(draft: Draft, outcome: Outcome): Promise<void> {
    if (outcome.kind === "saved") {
      editing.etag = outcome.etag;
      editing.theirs = null;
      editing.restored = null;
      conflict = null;
      const revision = revisionOf(outcome.etag);
      editing.patch = { ...patch, state: "annotated", revision };
      clock.saved();
      fromScratch = false;
      // strokes made while the save was under way are not in it
      if (sameMask(draft, mask)) say("saved", `Saved as revision ${revision}.`);
      else edited();
      editing.revisions = await listAnnotations(patchId).catch(() => editing.revisions);
      changed("state");
    } else if (outcome.kind === "conflict") {
      conflict = outcome.current;
      editing.theirs = await readMask(patchId, "annotation").catch(() => null);
      say("conflict", conflictSentence(outcome.current, new Date()));
      changed("mask");
    } else if (outcome.kind === "waiting") {
      say("waiting", `${outcome.message} Your pixels are kept here and sent when it is back.`);
    } else {
      say("refused", `${outcome.message} Your pixels are kept here.`);
    }
  }

  const editing: Editing = {
    patch,
    image,
    mask,
    proposal,
    uncertain,
    theirs: null,
    revisions,
    etag: draft?.etag ?? etag,
    state: draft ? "unsaved" : "clean",
    message: draft ? "Not saved yet; kept in this browser." : "",
    restored: draft?.changedAt ?? null,
    canUndo: history.canUndo,
    canRedo: history.canRedo,
    isProposal: () => proposal !== null && sameMask(mask, proposal),
    isUnsaved: () => !["clean", "saved"].includes(editing.state),
    counts: () => countLabels(mask),
    stroke(tool, from, to, diameter) {
      before ??= mask.data.slice();
      touched = union(touched, paintSegment(mask, from, to, diameter, LABEL_OF[tool]));
      changed("stroke");
    },
    endStroke() {
      const recorded = before && history.record(before, mask, touched);
      before = null;
      touched = null;
      if (recorded) edited();
    },
    undo() {
      if (!before && history.undo(mask)) edited();
    },
    redo() {
      if (!before && history.redo(mask)) edited();
    },
    clear() {
      fromScratch = true;
      replace(new Uint8Array(mask.data.length));
    },
    reset() {
      fromScratch = false;
      if (proposal) replace(proposal.data);
    },
    async save() {
      if (editing.state === "saving" || editing.state === "conflict") return;
      editing.endStroke();
      const draft = draftNow(true);
      clock.sending();
      say("saving", "Saving…");
      await settle(draft, await deliver(draft));
    },
    async keepMine() {
      if (!conflict) return;
      editing.etag = conflict.etag;
      editing.state = "unsaved";
      await editing.save();
    },
    takeTheirs() {
      if (!conflict || !editing.theirs) return;
      const old = mask.data.slice();
      mask.data.set(editing.theirs.data);
      history.record(old, mask, whole); // undo brings one's own pixels back
      editing.etag = conflict.etag;
      editing.theirs = null;
      conflict = null;
      forgetDraft(userId, patchId).catch(() => undefined);
      say("clean", "Their revision is shown. Undo brings your pixels back.");
      changed("mask");
    },
    settle,
    touch: clock.touch,
    pause: clock.pause,
  };
  return editing;
}
