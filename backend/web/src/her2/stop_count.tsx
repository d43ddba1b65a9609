/** The rule to stop, in the header: how many places are left, or that one may stop. */

import { next } from "../editing/queue";
import { Button } from "../shell/controls";
import { her2, mayEdit, setPreferences } from "../store";
import { stopWords } from "./words";

export function StopCount() {
  const live = her2.live.value;
  const stop = live?.stop;
  const words = live && stopWords(live);
  if (!live || !stop || !words) return null;
  const { confidence, met, places_left, text } = stop;
  const goes = !met && places_left.length > 0 && mayEdit.value;
  function look(): void {
    setPreferences({ strategy: "clinical" });
    void next();
  }
  const state = live.state === "computing" ? "following" : met ? "met" : "open";
  return (
    <span
      class={`stop-count ${state}`}
      data-testid="stop-count"
      data-state={state}
      data-left={places_left.length}
      data-confidence={confidence ?? ""}
      role="status"
      title={text}
    >
      {goes ? (
        <Button class="plain" testid="stop-next" onClick={look}>
          {words}
        </Button>
      ) : (
        words
      )}
    </span>
  );
}
