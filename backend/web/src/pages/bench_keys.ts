/** What each key does at the bench. */

import type { Editing } from "../editing/editing";
import { TAB_WORDS, TABS, type Tab } from "../shell/tabs";
import type { Tool } from "../viewer/painting";
import type { Preferences, SetPreferences } from "../shell/preferences";
import type { Shortcut } from "../shell/shortcuts";

export const SMALLEST_BRUSH = 1;
export const LARGEST_BRUSH = 64;

export interface BenchActions {
  setTool(tool: Tool): void;
  setPeeking(peeking: boolean): void;
  setPanning(panning: boolean): void;
  setPreferences: SetPreferences;
  next(): void;
  save(): void;
  accept(): void;
  skip(): void;
  help(): void;
  zoomIn(): void;
  zoomOut(): void;
  home(): void;
  close(): void;
}

/** A number for each tab. */
export function tabShortcuts(setTab: (tab: Tab) => void): Shortcut[] {
  return TABS.map((tab, number) => ({
    keys: [String(number + 1)],
    label: TAB_WORDS[tab],
    run: () => setTab(tab),
  }));
}

/** One step larger or smaller: single pixels while thin, then by a fifth. */
export function nextDiameter(diameter: number, direction: 1 | -1): number {
  const step = Math.max(1, Math.round(diameter / 5));
  return Math.min(LARGEST_BRUSH, Math.max(SMALLEST_BRUSH, diameter + direction * step));
}

export function benchShortcuts(
  bench: BenchActions & { editing: Editing | null; mayEdit: boolean; preferences: Preferences },
): Shortcut[] {
  const { editing, preferences, setPreferences } = bench;
  const resize = (direction: 1 | -1) => (): void =>
    setPreferences({ diameter: nextDiameter(preferences.diameter, direction) });
  const looking: Shortcut[] = [
    {
      keys: ["h"],
      label: "Hide the overlays while held",
      run: () => bench.setPeeking(true),
      release: () => bench.setPeeking(false),
    },
    {
      keys: ["space"],
      label: "Pan while held",
      run: () => bench.setPanning(true),
      release: () => bench.setPanning(false),
    },
    {
      keys: ["u"],
      label: "Uncertain pixels on or off",
      run: () => setPreferences({ uncertain: !preferences.uncertain }),
    },
    { keys: ["+", "="], label: "Zoom in", run: bench.zoomIn, repeats: true },
    { keys: ["-"], label: "Zoom out", run: bench.zoomOut, repeats: true },
    { keys: ["0"], label: "Whole slide", run: bench.home },
    { keys: ["?"], label: "This list", run: bench.help },
  ];
  if (!bench.mayEdit) return looking;
  const finding: Shortcut[] = [
    { keys: ["n"], label: "Next patch of the queue", run: bench.next },
  ];
  if (!editing) return [...finding, ...looking];
  return [
    ...finding,
    { keys: ["a"], label: "Accept the proposal as it is", run: bench.accept },
    { keys: ["x"], label: "Put the patch aside, take the next", run: bench.skip },
    { keys: ["s", "ctrl+s"], label: "Save", run: bench.save },
    { keys: ["b"], label: "Brush (Alt erases)", run: () => bench.setTool("brush") },
    { keys: ["e"], label: "Eraser", run: () => bench.setTool("eraser") },
    { keys: ["i"], label: "Ignore brush", run: () => bench.setTool("ignore") },
    { keys: ["v"], label: "Pan", run: () => bench.setTool("pan") },
    { keys: ["["], label: "Smaller brush", run: resize(-1), repeats: true },
    { keys: ["]"], label: "Larger brush", run: resize(1), repeats: true },
    { keys: ["z", "ctrl+z"], label: "Undo", run: () => editing.undo(), repeats: true },
    {
      keys: ["shift+z", "ctrl+shift+z", "ctrl+y"],
      label: "Redo",
      run: () => editing.redo(),
      repeats: true,
    },
    { keys: ["escape"], label: "Close the patch", run: bench.close },
    ...looking,
  ];
}
