/** What each key does at the bench. */

import { accept, closePatch, complete, later, next, save, skip } from "../editing/queue";
import { revisionShortcuts } from "../editing/use_revisions";
import { cellShortcuts, regionShortcuts } from "../her2/keys";
import type { Shortcut } from "../shell/shortcuts";
import { TAB_WORDS, TABS } from "../shell/tabs";
import { bench, inHand, mayEdit, page, setPreferences } from "../store";
import { nextDiameter } from "../viewer/painting";
import { zoomIn, zoomOut } from "../viewer/viewer_controls";

/** All keys as they are now: those of the tab in front come first. */
export function shortcutsNow(): Shortcut[] {
  const tab = bench.tab.value;
  return [
    ...(tab === "regions" && mayEdit.value ? regionShortcuts() : []),
    ...(tab === "score" ? cellShortcuts() : []),
    ...(inHand.value ? revisionShortcuts() : []),
    ...benchShortcuts(),
    ...TABS.map((name, number) => ({
      keys: [String(number + 1)],
      label: TAB_WORDS[name],
      run: () => (bench.tab.value = name),
    })),
  ];
}

function benchShortcuts(): Shortcut[] {
  const editing = inHand.value;
  const resize = (direction: 1 | -1) => (): void =>
    setPreferences({ diameter: nextDiameter(page.preferences.value.diameter, direction) });
  const looking: Shortcut[] = [
    {
      keys: ["h"],
      label: "Hide the overlays while held",
      run: () => (bench.peeking.value = true),
      release: () => (bench.peeking.value = false),
    },
    {
      keys: ["space"],
      label: "Pan while held",
      run: () => (bench.panning.value = true),
      release: () => (bench.panning.value = false),
    },
    {
      keys: ["u"],
      label: "Areas worth a look on or off",
      run: () => setPreferences({ uncertain: !page.preferences.value.uncertain }),
    },
    { keys: ["+", "="], label: "Zoom in", run: zoomIn, repeats: true },
    { keys: ["-"], label: "Zoom out", run: zoomOut, repeats: true },
    { keys: ["0"], label: "Whole slide", run: () => bench.viewer.value?.home() },
    { keys: ["?"], label: "This list", run: () => (bench.helpShown.value = !bench.helpShown.value) },
  ];
  if (!mayEdit.value) return looking;
  const finding: Shortcut[] = [
    { keys: ["n"], label: "Next patch of the queue", run: () => void next() },
  ];
  if (!editing) return [...finding, ...looking];
  return [
    ...finding,
    { keys: ["enter"], label: "Complete as it is shown, take the next", run: () => void complete() },
    { keys: ["k"], label: "Leave it for later, take the next", run: () => void later() },
    { keys: ["a"], label: "Accept the proposal as it is", run: () => void accept() },
    { keys: ["x"], label: "Put the patch aside, take the next", run: () => void skip() },
    { keys: ["s", "ctrl+s"], label: "Save", run: () => void save() },
    { keys: ["b"], label: "Brush (Alt erases)", run: () => (bench.tool.value = "brush") },
    { keys: ["e"], label: "Eraser", run: () => (bench.tool.value = "eraser") },
    { keys: ["i"], label: "Ignore brush", run: () => (bench.tool.value = "ignore") },
    { keys: ["v"], label: "Pan", run: () => (bench.tool.value = "pan") },
    { keys: ["["], label: "Smaller brush", run: resize(-1), repeats: true },
    { keys: ["]"], label: "Larger brush", run: resize(1), repeats: true },
    { keys: ["z", "ctrl+z"], label: "Undo", run: () => editing.undo(), repeats: true },
    {
      keys: ["shift+z", "ctrl+shift+z", "ctrl+y"],
      label: "Redo",
      run: () => editing.redo(),
      repeats: true,
    },
    { keys: ["escape"], label: "Close the patch", run: closePatch },
    ...looking,
  ];
}
