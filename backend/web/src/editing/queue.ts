/** The way from patch to patch: the queue by the chosen strategy, or the sentence why it is at its end. */

import { ApiError, nextPatch, putBack, skipPatch } from "../api/client";
import { go, jump, type Route } from "../route";
import { mayLeave } from "../shell/leaving";
import { notify } from "../shell/notices";
import { bench, page } from "../store";
import type { ComingPatch, QueueItem, Strategy } from "../api/types";

const EMPTY: Record<Strategy, string> = {
  uncertainty:
    "Nothing is left in the queue of this slide. Either every patch has been looked at, or its " +
    "proposals are still being made.",
  clinical: "No patch is left whose correction could change the score.",
};

/** The patch after the open one, or the wanted one; null when nothing is left. */
async function askQueue(slide: string, wanted: string | null): Promise<QueueItem | null> {
  const { strategy } = page.preferences.value;
  bench.queueNote.value = "";
  try {
    const item = await nextPatch(slide, page.route.value.patch, strategy, wanted);
    bench.offer.value = item;
    if (!item) bench.queueNote.value = EMPTY[strategy];
    return item;
  } catch (error) {
    const { message } = error as Error;
    // said where it was asked for: it is no failure, the slide has no live score yet
    if (error instanceof ApiError && error.code === "no_score") bench.queueNote.value = message;
    else notify(message, "bad");
    return null;
  }
}

/** What the person sees when they say that they go on: where they are, and what is drawn there. */
function placeNow(): { route: Route; strokes: number | undefined } {
  return { route: page.route.value, strokes: bench.editing.value?.pixels.value };
}

/** What the strip shows first: that is what comes, if nobody else has taken it meanwhile. */
const shownFirst = (): string | null => coming()[0]?.patch.id ?? null;

/** What comes next; the open patch, which came, may still be in the list. */
export const coming = (): ComingPatch[] =>
  bench.coming.value.filter(({ patch }) => patch.id !== page.route.value.patch);

/** `allowed`: what was seen when the open patch might be left. */
async function goOn(
  allowed: ReturnType<typeof placeNow>,
  wanted: string | null = shownFirst(),
): Promise<void> {
  const { slide } = allowed.route;
  if (!slide || page.route.value !== allowed.route) return;
  bench.asking.value = true;
  const item = await askQueue(slide, wanted);
  bench.asking.value = false;
  if (page.route.value !== allowed.route) return; // the person went elsewhere meanwhile
  if (!item) bench.tab.value = "patch"; // says why
  else if (placeNow().strokes === allowed.strokes) jump(slide, item.patch.id);
  else await go(slide, item.patch.id); // nobody has asked about strokes made since
}

/** Go on to the next patch, if the open one may be left. */
export async function next(): Promise<void> {
  if (await mayLeave()) await goOn(placeNow());
}

/** Go on to one that the strip shows; to another, if somebody else has it by now. */
export async function nextOf(patchId: string): Promise<void> {
  if (await mayLeave()) await goOn(placeNow(), patchId);
}

export function closePatch(): void {
  const { slide } = page.route.value;
  if (slide) void go(slide);
}

/** Put the open patch aside and go on. */
export async function skip(): Promise<void> {
  const editing = bench.editing.value;
  if (!editing || !(await mayLeave())) return;
  const allowed = placeNow();
  try {
    await skipPatch(editing.patch.id);
    await goOn(allowed);
  } catch (error) {
    notify((error as Error).message, "bad");
  }
}

/** Leave the open patch for later and go on: it comes back when nothing else is left. */
export async function later(): Promise<void> {
  const editing = bench.editing.value;
  if (!editing || !(await mayLeave())) return;
  const allowed = placeNow();
  try {
    await putBack(editing.patch.id);
    await goOn(allowed);
  } catch (error) {
    notify((error as Error).message, "bad");
  }
}

/** Say that the patch is complete as it is shown, and go on; one that is so already just stays. */
export async function complete(): Promise<void> {
  const editing = bench.editing.value;
  if (!editing) return next();
  if (editing.state === "conflict") return save();
  const { state, unseen_px } = editing.patch;
  const done = (state === "annotated" || state === "approved") && unseen_px === 0;
  if (!done || editing.isUnsaved()) await editing.save(!done);
  if (!editing.isUnsaved() || editing.state === "waiting") await next();
}

/** Save the open patch; go on if the person wants that. */
export async function save(complete = false): Promise<void> {
  const editing = bench.editing.value;
  if (!editing) return;
  if (editing.state === "conflict") {
    notify("First say what becomes of your strokes: use theirs, or save mine on top.");
    return;
  }
  await editing.save(complete);
  if (editing.state === "saved" && page.preferences.value.advance) await next();
}

/** Save the proposal as it is. */
export async function accept(): Promise<void> {
  const editing = bench.editing.value;
  if (!editing) return;
  if (!editing.isProposal()) {
    notify("You have changed the proposal: save it, or go back to the proposal first.");
    return;
  }
  await save(true);
}
