/** An in situ hybridisation as it is typed, sent and read; nothing is concluded from it. No DOM. */

import type { EnteredIsh, IshWish } from "../api/types";

export type IshField = keyof IshWish;
/** What stands in the fields: words, not yet numbers. */
export type IshDraft = Record<IshField, string>;

export const DUAL = "dual probe";
const NUMBERS: readonly IshField[] = ["group", "copies", "ratio", "cells"];
/** Only a dual probe has a second count to divide by. */
export const OF_DUAL: readonly IshField[] = ["ratio", "group"];
const EMPTY: IshDraft = {
  method: DUAL,
  result: "",
  read_by: "",
  group: "",
  copies: "",
  ratio: "",
  cells: "",
};

export function draftOf(ish: EnteredIsh | null): IshDraft {
  if (!ish) return EMPTY;
  const fields = Object.keys(EMPTY) as IshField[];
  return Object.fromEntries(
    fields.map((name) => [name, ish[name] == null ? "" : String(ish[name])]),
  ) as IshDraft;
}

/** A number with point or comma; what is none goes as it is, and the service says so. */
function numeric(text: string): number | string | null {
  const typed = text.trim().replace(",", ".");
  if (!typed) return null;
  const value = Number(typed);
  return Number.isFinite(value) ? value : text;
}

/** What is sent: numbers, and of a single probe only what it has. */
export function wishOf(draft: IshDraft): IshWish {
  const wish: IshWish = { ...draft };
  for (const name of NUMBERS) wish[name] = numeric(draft[name]);
  if (draft.method !== DUAL) for (const name of OF_DUAL) wish[name] = null;
  return wish;
}

/** The result in the words of the report's pages. */
export function inWords(ish: EnteredIsh): string {
  const numbers = (
    [
      ["group", ish.group],
      ["ratio", ish.ratio],
      ["copies a nucleus", ish.copies],
      ["nuclei counted", ish.cells],
    ] as const
  ).flatMap(([word, value]) => (value === null ? [] : [`${word} ${value}`]));
  return (
    `In situ hybridisation as entered by ${ish.entered_by.name}: ` +
    `${[ish.result, ...numbers].join(", ")} (${ish.method}, read by ${ish.read_by}).`
  );
}
