/** The panel beside the viewer: the row of tabs, and the parts of each. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Tabs } from "../shell/tabs";
import { UntilLearning } from "../editing/film_strip";
import { bench, mayEdit } from "../store";
import { shortcutsNow } from "./bench_keys";
import { Button } from "../shell/controls";

export function SidePanel(props: { children: ComponentChildren }) {
  const tab = bench.tab.value;
  const shortcuts = bench.helpShown.value ? shortcutsNow() : null;
  return (
    <div class="side">
      <Tabs />
      {mayEdit.value && <UntilLearning />}
      <div
        id="panel"
        class="side-panel"
        role="tabpanel"
        aria-labelledby={`tab-${tab}`}
        data-testid={`panel-${tab}`}
      >
        {props.children}
        <Button
          class="plain help-toggle"
          onClick={() => (bench.helpShown.value = !bench.helpShown.value)}
          aria-expanded={shortcuts !== null}
        >
          Keys <kbd>?</kbd>
        </Button>
        {shortcuts && (
          <dl class="help">
            {shortcuts.map((shortcut) => (
              <div key={shortcut.label}>
                <dt>
                  <kbd>{keyLabel(shortcut.keys[0]!)}</kbd>
                </dt>
                <dd>{shortcut.label}</dd>
              </div>
            ))}
          </dl>
        )}
      </div>
    </div>
  );
}

/** A part that, once shown, only hides: what was typed into it stays. */
export function Visited({ shown, children }: { shown: boolean; children: ComponentChildren }) {
  const [visited, setVisited] = useState(shown);
  useEffect(() => setVisited((old) => old || shown), [shown]);
  if (!shown && !visited) return null;
  return (
    <div class="kept" hidden={!shown}>
      {children}
    </div>
  );
}

function keyLabel(key: string): string {
  return key.length === 1
    ? key.toUpperCase()
    : key.replace(/(^|\+)(\w)/g, (all) => all.toUpperCase());
}
