/** Where the work's figures open: their code is fetched when somebody first looks. */

import type { ComponentType } from "preact";
import { useState } from "preact/hooks";
import { Problem } from "../shell/controls";

export function StatisticsFold() {
  const [Panel, setPanel] = useState<ComponentType | null>(null);
  const [problem, setProblem] = useState("");

  function open(): void {
    import("./statistics").then(
      ({ Statistics }) => setPanel(() => Statistics),
      () => setProblem("This part of the page can't be fetched. Reload the page."),
    );
  }

  return (
    <details
      class="rounds"
      data-testid="statistics"
      onToggle={({ currentTarget }) => currentTarget.open && !Panel && open()}
    >
      <summary>
        <h2>Work in figures</h2>
      </summary>
      {Panel && <Panel />}
      <Problem>{problem}</Problem>
    </details>
  );
}
