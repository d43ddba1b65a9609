/** What the panel beside the viewer is about; clicks on the slide follow it. */

export const TABS = ["patch", "regions", "score", "report"] as const;
export type Tab = (typeof TABS)[number];

export const TAB_WORDS: Record<Tab, string> = {
  patch: "Patches",
  regions: "Regions",
  score: "Score",
  report: "Report",
};

export function Tabs({ tab, setTab }: { tab: Tab; setTab: (tab: Tab) => void }) {
  /** Arrow keys move within the row, as in every tab list. */
  function move(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length]!;
    setTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  }
  return (
    <div class="tabs" role="tablist" aria-label="Panel" onKeyDown={move}>
      {TABS.map((name, number) => (
        <button
          key={name}
          id={`tab-${name}`}
          type="button"
          role="tab"
          aria-selected={tab === name}
          aria-controls="panel"
          tabIndex={tab === name ? 0 : -1}
          title={`Key ${number + 1}`}
          data-testid={`tab-${name}`}
          onClick={() => setTab(name)}
        >
          {TAB_WORDS[name]}
        </button>
      ))}
    </div>
  );
}
