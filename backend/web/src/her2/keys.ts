/** What each key does in the tabs on HER2. */

import type { Shortcut } from "../shell/shortcuts";
import { her2 } from "../store";
import { closeCell, walkCells } from "./cells";
import {
  beginOutline,
  dropOutline,
  finishOutline,
  selectedRegion,
  selectRegion,
  takeAwayRegion,
  takeBackCorner,
} from "./regions";

/** What each key does while regions are drawn. */
export function regionShortcuts(): Shortcut[] {
  const selected = selectedRegion.value;
  const begin: Shortcut[] = [
    { keys: ["t"], label: "Draw a tumour region", run: () => beginOutline("tumour") },
    { keys: ["x"], label: "Draw a region to exclude", run: () => beginOutline("exclude") },
    { keys: ["f"], label: "Draw an artefact", run: () => beginOutline("artefact") },
  ];
  if (her2.outline.value) {
    return [
      { keys: ["enter"], label: "Close the region and save it", run: finishOutline },
      { keys: ["backspace"], label: "Take the last corner back", run: takeBackCorner },
      { keys: ["escape"], label: "Draw no region", run: dropOutline },
      ...begin,
    ];
  }
  if (!selected) return begin;
  return [
    {
      keys: ["delete", "backspace"],
      label: "Delete the chosen region",
      run: () => void takeAwayRegion(selected),
    },
    { keys: ["escape"], label: "Choose no region", run: () => selectRegion(null) },
    ...begin,
  ];
}

/** What each key does while the score is looked at. */
export function cellShortcuts(): Shortcut[] {
  if (her2.cells.value.cells.length === 0) return [];
  const walk: Shortcut[] = [
    { keys: ["."], label: "Next cell in view", run: () => walkCells(1), repeats: true },
    { keys: [","], label: "Cell before", run: () => walkCells(-1), repeats: true },
  ];
  if (!her2.chosen.value) return walk;
  return [{ keys: ["escape"], label: "Choose no cell", run: closeCell }, ...walk];
}
