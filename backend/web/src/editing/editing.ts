/** One patch in a person's hands: its mask, tools, undo, and what became of the last save. */

import { computed, signal } from "@preact/signals";
import { createActivityClock } from "./activity";
import { listAnnotations } from "../api/client";
import type { Draft, TileDraft } from "../drafts/journal";
import type { Editing, EditingFacts, PaintTool, SaveState } from "./editing_state";
import {
  BACKGROUND,
  copyMask,
  countLabels,
  emptyMask,
  IGNORE,
  MEMBRANE,
  sameMask,
  wholeMask,
  type Label,
  type Mask,
  type Point,
} from "../masks/mask";
import { keyOf, placeOf, TILE_PX } from "../masks/mask_store";
import { kinshipOf, readCurrent } from "../drafts/current";
import { deliver, type Sent } from "../drafts/outbox";
import { holdDraft, NOTHING_BESIDE } from "../drafts/own_draft";
import {
  NOT_STORED,
  SAVED_AROUND,
  SENT_LATER,
  SENT_LATER_NOT_STORED,
  STAYS_HERE,
  STORED,
  YOURS_IS_THE_SAME,
} from "./save_words";
import { openContent, readMask } from "./patch_reading";
import { createSurroundings, type SlideAround } from "./surroundings";
import {
  conflictSentence,
  overtakenTilesSentence,
  revisionOf,
  saved,
  savedSentence,
  type Current,
  type Kinship,
  type Outcome,
  type OvertakenTile,
} from "../drafts/saving";
import { broadcast } from "../drafts/browser_tabs";
import type { Annotation, Patch, Source } from "../api/types";

export type { Editing, PaintTool, SaveState } from "./editing_state";

export const PATCH_PX = 256;

/** The version of no state: what was sent is an earlier one, strokes have come since. */
const EARLIER = -1;

/** The service has said no: what was sent has not arrived. */
const isAnswered = ({ kind }: Outcome): boolean => kind === "conflict" || kind === "refused";

const LABEL_OF: Record<PaintTool, Label> = {
  brush: MEMBRANE,
  eraser: BACKGROUND,
  ignore: IGNORE,
};

/**
 * Open a patch. `wanted`: the draft to go on with, of those that tabs which are gone have left.
 * `slide`: what strokes may reach around it; without it they end at its border.
 */
export async function openEditing(
  patchId: string,
  userId: string,
  wanted?: string,
  slide: SlideAround | null = null,
): Promise<Editing> {
  const own = await holdDraft(userId, patchId, wanted);
  const content = await openContent(patchId).catch((error: unknown) => {
    own.release();
    throw error;
  });
  const { patch, image, proposal, uncertain, annotation } = content;
  const draft = own.draft;
  let baseline: Mask | null = annotation ?? proposal ?? emptyMask(PATCH_PX, PATCH_PX);
  const { width, height, data } = draft ?? baseline;
  const mask: Mask = { width, height, data: data.slice() };
  const place = placeOf(patch);
  const around = createSurroundings(patch, mask, slide, draft?.around?.tiles ?? [], () => {
    pixels.value += 1;
  });
  const { store } = around;
  around.setSent(draft?.tilesSent ?? [], true);
  /** A state of the patch in hand may have arrived, so it is not as it was opened. */
  let isSent = Boolean(draft && (draft.etag !== content.etag || draft.unanswered));
  /** What was sent of the tiles around, by the draft's version. */
  const tilesSent = new Map<number, TileDraft[]>();
  if (draft) tilesSent.set(draft.version, draft.around?.tiles ?? []);
  const clock = createActivityClock(draft?.seconds ?? 0);
  let fromScratch = draft ? draft.source === "scratch" : !annotation && !proposal;
  const shown = proposal ? patch.model_version_id : null;
  /** Whose proposal was shown to the person who drew the mask in hand. */
  let model = draft ? draft.model : shown;
  let version = draft?.version ?? 0;
  let conflict: { current: Current; tiles: OvertakenTile[] } | null = null;
  let saving: Promise<void> | null = null;
  const pixels = signal(0);
  const edits = signal(0);

  /** A point of the patch on the slide's grid. */
  function onGrid({ x, y }: Point): Point {
    return { x: x + place.column * TILE_PX, y: y + place.row * TILE_PX };
  }

  function maskChanged(): void {
    pixels.value += 1;
    edits.value += 1;
  }

  function source(): Source {
    if (proposal && sameMask(mask, proposal)) return "proposal";
    return fromScratch ? "scratch" : "edited";
  }

  function draftNow(pending: boolean, complete = false): Draft {
    const tiles = around.drafts();
    const isLeft = tiles.length > 0 && !complete && !isSent && isHandAsBefore();
    const how = source();
    return {
      ...own.key,
      slideId: patch.slide_id,
      width: mask.width,
      height: mask.height,
      data: mask.data.slice(),
      etag: editing.etag,
      // of what is written, nothing is the proposal
      source: isLeft && how === "proposal" ? "edited" : how,
      ...(isLeft ? { onlyAround: true } : {}),
      ...(model === undefined ? {} : { model }),
      seconds: clock.seconds(),
      changedAt: new Date().toISOString(),
      version,
      pending,
      ...(tiles.length > 0 ? { around: { x: patch.x, y: patch.y, tiles } } : {}),
    };
  }

  function set(part: Partial<EditingFacts>): void {
    facts.value = { ...facts.value, ...part };
  }

  function setState(state: SaveState, message: string): void {
    set({ state, message, refused: [] });
  }

  function edited(): void {
    version += 1;
    maskChanged();
    const now = draftNow(false);
    if (!conflict && isAsBefore(now)) {
      set({ state: "clean", message: "", written: true, refused: [] }); // every stroke is undone
      void own.forget();
      return;
    }
    if (!conflict) setState("unsaved", STORED);
    const written = version;
    set({ written: false });
    void own.store(now).then((stored) => {
      if (!stored && editing.state === "unsaved") setState("unsaved", NOT_STORED);
      if (written === version) set({ written: true });
    });
  }

  const isHandAsBefore = (): boolean => baseline !== null && sameMask(mask, baseline);
  const isAsBefore = (now: Draft): boolean => !now.around && !isSent && isHandAsBefore();

  /** Replace the whole mask of the patch as one step that can be undone. */
  function replace(data: Uint8Array): void {
    if (store.replace(new Map([[keyOf(place), data]]))) edited();
  }

  function adopt(sent: Sent, etag: string, by?: Annotation): void {
    const revision = revisionOf(etag);
    const own = !by || (by.author.id === userId && revision === revisionOf(editing.etag) + 1);
    conflict = null;
    isSent = false;
    model = shown;
    // the service may have said more of it since it was opened, whose lease it is not any more
    const saved: Patch = { ...editing.patch, state: "annotated", revision, unseen_px: 0 };
    set({ etag, theirs: null, restored: null, patch: saved });
    clock.saved(own && sent.version === EARLIER ? (by?.seconds_spent ?? 0) : undefined);
    fromScratch = false;
    // strokes made while the save was under way are not in it
    const whole = sent.version === version && around.drafts().length === 0;
    baseline = whole ? copyMask(mask) : null;
    if (whole && own) setState("saved", `Saved as revision ${revision}.`);
    else if (whole) setState("saved", `${savedSentence(by!, userId)}. ${YOURS_IS_THE_SAME}`);
    else edited();
  }

  /** The tiles around are saved; the patch in hand was not sent. */
  function adoptAround(sent: Sent): void {
    if (conflict) return; // the person is still asked about the patch in hand
    clock.saved();
    set({ restored: null });
    if (sent.version === version && around.drafts().length === 0) setState("clean", SAVED_AROUND);
    else edited();
  }

  async function receive(sent: Sent, outcome: Outcome): Promise<void> {
    if (sent.id !== own.key.id) return; // another's revision is never taken for one's own
    if (outcome.kind === "saved") {
      const tiles = tilesSent.get(sent.version) ?? [];
      for (const each of tilesSent.keys()) if (each <= sent.version) tilesSent.delete(each);
      await around.adopt(tiles, outcome.tiles ?? []);
      const news = revisionOf(outcome.etag) - revisionOf(editing.etag);
      if (news === 0 && tiles.length > 0) return adoptAround(sent);
      if (news <= 0) return; // told late, of a state before the one that is saved
      adopt(sent, outcome.etag, outcome.by);
      await listAnnotations(patchId).then((revisions) => set({ revisions }), () => undefined);
    } else if (sent.version !== version && editing.state !== "saving") {
      return; // decided on pixels that have changed since
    } else if (outcome.kind === "conflict") {
      await contradict(outcome.current, outcome.tiles);
    } else if (outcome.kind === "waiting") {
      setState("waiting", `${outcome.message} ${own.isStored() ? SENT_LATER : SENT_LATER_NOT_STORED}`);
    } else {
      setState("refused", `${outcome.message} ${own.isStored() ? STAYS_HERE : NOT_STORED}`);
      set({ refused: outcome.tiles ?? [] });
    }
  }

  async function send(complete: boolean): Promise<void> {
    editing.endStroke();
    const sent = draftNow(true, complete);
    const wasSent = isSent;
    const tilesNew = around.setSent(sent.around?.tiles ?? [], true);
    isSent ||= !sent.onlyAround;
    tilesSent.set(sent.version, sent.around?.tiles ?? []);
    clock.sending();
    setState("saving", "Saving…");
    try {
      const outcome = await deliver(sent);
      if (isAnswered(outcome)) {
        isSent = wasSent;
        around.setSent(tilesNew, false);
      }
      await receive(sent, outcome);
    } finally {
      // whatever went wrong: Save must stay within reach
      if (editing.state === "saving") setState("unsaved", own.isStored() ? STORED : NOT_STORED);
    }
  }

  /** Ask the person at once; the masks to choose follow, or can be asked for again. */
  async function contradict(current: Current, tiles: OvertakenTile[] = []): Promise<void> {
    const asked = (conflict = { current, tiles });
    const isMoved = current.revision > revisionOf(editing.etag);
    const message = isMoved
      ? conflictSentence(current, new Date(), userId)
      : overtakenTilesSentence(tiles, new Date(), userId);
    set({ state: "conflict", message, theirs: null, theirsUnread: false, theirsReady: false });
    const [theirs, areRead] = await Promise.all([
      isMoved ? readMask(patchId, "annotation").catch(() => null) : null,
      around.oppose(tiles),
    ]);
    if (conflict !== asked) return; // decided, or overtaken, meanwhile
    const theirsReady = areRead && (!isMoved || theirs !== null);
    set({ theirs: theirs && wholeMask(theirs, proposal), theirsUnread: !theirsReady, theirsReady });
  }

  async function catchUp(): Promise<boolean> {
    around.readAgain();
    if (saving) await saving; // theirs may have come on top of it
    const isWaiting = (): boolean => editing.state === "waiting"; // the outbox finds out
    if (isWaiting()) return false;
    const known = (): number => revisionOf((conflict?.current ?? editing).etag);
    const current = await readCurrent(patchId);
    const mine = draftNow(false);
    const news = current.revision > known() && editing.isUnsaved();
    // unread, it is the person's to decide
    const kin = news ? await kinshipOf(mine, current).catch(() => null) : null;
    if (saving) return catchUp();
    if (current.revision <= known() || isWaiting()) return false;
    if (!editing.isUnsaved()) return true; // a stroke under way counts
    if (!resolve(mine, current, kin)) await contradict(current, conflict?.tiles);
    return false;
  }

  /** Whether a newer revision is no conflict: what was drawn is in it, or goes on top of one's own. */
  function resolve(mine: Draft, current: Current, kin: Kinship | null): boolean {
    if (kin !== "same" && kin !== "earlier") return false;
    // all tiles go on top of what arrived of them when they are saved, this one with them
    if (mine.around) return true;
    const all = kin === "same" && mine.version === version && !store.painting();
    if (all) void own.forget();
    const sent = { ...own.key, version: all ? version : EARLIER };
    adopt(sent, current.etag, current.annotation ?? undefined);
    return true;
  }

  /** What was drawn on a revision that is not the newest any more is a conflict from the start. */
  async function compareDraft(old: Draft): Promise<void> {
    if (revisionOf(old.etag) >= patch.revision) return;
    const current = await readCurrent(patchId);
    const kin = await kinshipOf(old, current);
    const goesOn = kin === "earlier" || (kin === "same" && old.around !== undefined);
    if (goesOn && old.pending) return; // the outbox writes the rest on top
    if (!resolve(old, current, kin)) return contradict(current);
    const sent = { ...own.key, version: old.version };
    if (kin === "same" && !old.around) broadcast({ kind: "delivered", draft: sent, outcome: saved(current) });
  }

  async function look(): Promise<void> {
    set({ beside: await own.look().catch(() => NOTHING_BESIDE) });
  }

  const facts = signal<EditingFacts>({
    patch,
    theirs: null,
    theirsUnread: false,
    theirsReady: false,
    refused: [],
    revisions: content.revisions,
    etag: draft?.etag ?? content.etag,
    state: draft ? (draft.pending ? "waiting" : "unsaved") : "clean",
    message: draft ? (draft.pending ? SENT_LATER : STORED) : "",
    written: true,
    restored: draft?.changedAt ?? null,
    beside: NOTHING_BESIDE,
  });
  /** Of the mask as it is after each edit; a stroke under way is counted when it ends. */
  const ofMask = computed(() => {
    edits.value;
    return {
      canUndo: store.canUndo(),
      canRedo: store.canRedo(),
      isProposal: proposal !== null && sameMask(mask, proposal),
      counts: countLabels(mask),
    };
  });
  const editing: Editing = {
    get patch() { return facts.value.patch; },
    get theirs() { return facts.value.theirs; },
    get theirsUnread() { return facts.value.theirsUnread; },
    get theirsReady() { return facts.value.theirsReady; },
    get refused() { return facts.value.refused; },
    get revisions() { return facts.value.revisions; },
    get etag() { return facts.value.etag; },
    get state() { return facts.value.state; },
    get message() { return facts.value.message; },
    get written() { return facts.value.written; },
    get restored() { return facts.value.restored; },
    get beside() { return facts.value.beside; },
    id: own.key.id,
    image,
    mask,
    proposal,
    uncertain,
    pixels,
    tiles: around.shown,
    painted: around.painted,
    takeDirty: store.takeDirty,
    canUndo: () => ofMask.value.canUndo,
    canRedo: () => ofMask.value.canRedo,
    isProposal: () => ofMask.value.isProposal && !store.painting(),
    isUnsaved: () => store.painting() || !["clean", "saved"].includes(editing.state),
    isStored: own.isStored,
    counts: () => ofMask.value.counts,
    update: (part) => set({ patch: { ...editing.patch, ...part } }),
    moveTo: (revision) => set({ etag: `"r${revision}"` }),
    stroke(tool, from, to, diameter) {
      store.paint(onGrid(from), onGrid(to), diameter, LABEL_OF[tool]);
      pixels.value += 1;
    },
    endStroke() {
      if (store.end()) edited();
    },
    undo() {
      if (!store.painting() && store.undo()) edited();
    },
    redo() {
      if (!store.painting() && store.redo()) edited();
    },
    clear() {
      fromScratch = true;
      replace(new Uint8Array(mask.data.length));
    },
    reset() {
      fromScratch = false;
      model = shown;
      if (proposal) replace(proposal.data);
    },
    async save(complete = false) {
      if (editing.state === "conflict") return;
      saving ??= send(complete).finally(() => (saving = null));
      await saving;
    },
    async keepMine() {
      if (saving) await saving; // it still reads what it met
      if (!conflict) return;
      const { current, tiles } = conflict;
      try {
        await around.keepMine(tiles);
      } catch {
        return set({ theirsUnread: true }); // what to go on top of can't be read now
      }
      if (tiles.length > 0) version += 1;
      const overHand = current.revision > revisionOf(editing.etag);
      set({ etag: current.etag, state: "unsaved" });
      conflict = null;
      await editing.save(overHand);
    },
    async readTheirs() {
      if (conflict) await contradict(conflict.current, conflict.tiles);
    },
    leaveOut() {
      editing.endStroke();
      if (editing.refused.length === 0) return;
      store.replace(around.leaveOut(editing.refused));
      edited();
    },
    takeTheirs() {
      editing.endStroke();
      if (!conflict || !editing.theirsReady) return;
      const theirs = around.takeTheirs(conflict.tiles);
      if (editing.theirs) {
        theirs.set(keyOf(place), editing.theirs.data);
        baseline = editing.theirs;
        isSent = false;
      }
      store.replace(theirs); // undo brings one's own pixels back
      set({ etag: conflict.current.etag, theirs: null, theirsReady: false, restored: null });
      conflict = null;
      if (!isAsBefore(draftNow(false))) return edited(); // strokes elsewhere
      version += 1;
      void own.forget();
      maskChanged();
      setState("clean", "Their revision is shown. Undo brings your pixels back.");
    },
    heard: around.heard,
    receive,
    catchUp,
    look,
    async discard(id) {
      await own.discard(id);
      await look();
    },
    close() {
      editing.endStroke(); // whatever closes the patch under the pointer
      own.release();
    },
    touch: clock.touch,
    pause: clock.pause,
    seconds: clock.seconds,
  };
  own.watch(() => void look());
  void look();
  if (draft) await compareDraft(draft).catch(() => undefined); // Save will find out
  return editing;
}
