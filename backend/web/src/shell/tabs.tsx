/** What the panel beside the viewer is about; clicks on the slide follow it. */

import { bench } from "../store";
import { Button } from "./controls";

export const TABS = ["patch", "regions", "score", "report"] as const;
export type Tab = (typeof TABS)[number];

export const TAB_WORDS: Record<Tab, string> = {
  patch: "Patches",
  regions: "Regions",
  score: "Score",
  report: "Report",
};

export function Tabs() {
  const tab = bench.tab.value;
  /** Arrow keys move within the row, as in every tab list. */
  function move(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length]!;
    bench.tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  }
  return (
    <div class="tabs" role="tablist" aria-label="Panel" onKeyDown={move}>
      {TABS.map((name, number) => (
        <Button
          key={name}
          id={`tab-${name}`}
          role="tab"
          aria-selected={tab === name}
          aria-controls="panel"
          tabIndex={tab === name ? 0 : -1}
          title={`Key ${number + 1}`}
          testid={`tab-${name}`}
          onClick={() => (bench.tab.value = name)}
        >
          {TAB_WORDS[name]}
        </Button>
      ))}
    </div>
  );
}
