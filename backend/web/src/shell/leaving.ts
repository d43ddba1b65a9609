/** Going elsewhere with unsaved strokes saves them first, or asks: every way out passes here. */

import { choose } from "./choice_dialog";
import { notify } from "./notices";

/** What the person would leave behind. */
export interface LeftBehind {
  /** Why saving is no way out; empty if it is one. */
  undecided: string;
  /** Whether this browser keeps the strokes. */
  stored: boolean;
  /** Save; the sentence why that did not work, or null. */
  save(): Promise<string | null>;
}

let leftBehind: () => Promise<LeftBehind | null> = () => Promise.resolve(null);
let asking: Promise<boolean> | null = null;

/** Ask `look` before the page goes elsewhere. Returns the stop. */
export function guardLeaving(look: () => Promise<LeftBehind | null>): () => void {
  leftBehind = look;
  return () => {
    if (leftBehind === look) leftBehind = () => Promise.resolve(null);
  };
}

/** Whether the page may go elsewhere; may save, may ask the person. */
export function mayLeave(): Promise<boolean> {
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

async function ask(): Promise<boolean> {
  const left = await leftBehind();
  if (!left) return true;
  const stays = left.stored
    ? "Without saving they stay in this browser only, marked on the slide and in the list of slides."
    : "This browser keeps no copy: without saving they are lost when this page is closed.";
  const answer = await choose({
    title: "This patch has unsaved strokes",
    text: left.undecided ? `${left.undecided} ${stays}` : stays,
    choices: [
      ...(left.undecided ? [] : ([["save", "Save and go on"]] as [string, string][])),
      ["stay", "Stay here"],
      ["leave", "Go on without saving"],
    ],
    otherwise: "stay",
  });
  if (answer !== "save") return answer === "leave";
  const failure = await left.save();
  if (failure) notify(failure, "bad");
  return failure === null;
}
