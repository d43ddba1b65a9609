/** What each key does in the tabs on HER2. */

import type { Shortcut } from "../shell/shortcuts";
import type { Cells } from "./use_cells";
import type { Regions } from "./use_regions";

/** What each key does while regions are drawn. */
export function regionShortcuts(regions: Regions): Shortcut[] {
  const { draft, selected } = regions;
  const begin: Shortcut[] = [
    { keys: ["t"], label: "Draw a tumour region", run: () => regions.begin("tumour") },
    { keys: ["x"], label: "Draw a region to exclude", run: () => regions.begin("exclude") },
    { keys: ["f"], label: "Draw an artefact", run: () => regions.begin("artefact") },
  ];
  if (draft) {
    return [
      { keys: ["enter"], label: "Close the region and save it", run: regions.finish },
      { keys: ["backspace"], label: "Take the last corner back", run: regions.takeBackCorner },
      { keys: ["escape"], label: "Draw no region", run: regions.cancel },
      ...begin,
    ];
  }
  if (!selected) return begin;
  return [
    {
      keys: ["delete", "backspace"],
      label: "Delete the chosen region",
      run: () => regions.remove(selected),
    },
    { keys: ["escape"], label: "Choose no region", run: () => regions.select(null) },
    ...begin,
  ];
}

/** What each key does while the score is looked at. */
export function cellShortcuts(cells: Cells): Shortcut[] {
  if (cells.cells.length === 0) return [];
  const walk: Shortcut[] = [
    { keys: ["."], label: "Next cell in view", run: () => cells.walk(1), repeats: true },
    { keys: [","], label: "Cell before", run: () => cells.walk(-1), repeats: true },
  ];
  if (!cells.chosen) return walk;
  return [{ keys: ["escape"], label: "Choose no cell", run: cells.close }, ...walk];
}
