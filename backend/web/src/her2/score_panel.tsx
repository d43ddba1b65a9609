/** The live score: what the slide counts as now, following every change on it. */

import { useEffect, useState } from "preact/hooks";
import { notify } from "../shell/notices";
import { her2, mayEdit, page } from "../store";
import { CellCard } from "./cell_card";
import { Category, Evidence } from "./evidence";
import { IshPanel } from "./ish_panel";
import { choiceOf, Cytoplasm, ProtocolChoice } from "./protocol_choice";
import { ThresholdSliders } from "./threshold_sliders";
import type { LiveScore } from "../api/types";
import { changeScore, setThresholds, thresholds, thresholdsChanged, tryScore } from "./score";
import { inViewWords, protocolTitle } from "./words";
import { Button, Fold, Problem } from "../shell/controls";

export function ScorePanel() {
  const live = her2.live.value;
  if (!live) return null;
  return (
    <div
      class="report"
      data-testid="score"
      data-state={live.state}
      data-revision={live.revision}
      data-score={live.score ?? ""}
    >
      {live.document ? (
        <h2>
          HER2 now <span class="quiet">{protocolTitle(live.document.protocol.name)}</span>
        </h2>
      ) : (
        <h2>HER2 score</h2>
      )}
      {live.document && (
        <Category document={live.document} previous={live.previous_score} ish={live.ish} />
      )}
      <Following live={live} />
      {live.state === "none" && (
        <p class="quiet">
          Once begun, the score follows every mask, region and cell that you change.
        </p>
      )}
      {live.state === "none" && mayEdit.value && <Begin />}
      {live.document && <Staining live={live} />}
      <CellCard />
      {live.document && page.preferences.value.cells && <CellsShown />}
      {live.document && <Evidence document={live.document} />}
      {live.document && mayEdit.value && (
        <section aria-label="Otherwise">
          {thresholds.value && (
            <Fold
              testid="thresholds-fold"
              title="Thresholds"
              tag={thresholdsChanged.value && <span class="tag qc">what-if</span>}
            >
              <ThresholdSliders
                thresholds={thresholds.value}
                changed={thresholdsChanged.value}
                disabled={false}
                onChange={setThresholds}
              />
            </Fold>
          )}
          <Fold title="Protocol">
            <Begin />
          </Fold>
        </section>
      )}
    </div>
  );
}

/** How far the newest change has got. */
function Following({ live }: { live: LiveScore }) {
  const progress = her2.scoreProgress.value;
  if (live.state === "failed") {
    return (
      <Problem testid="score-problem">
        {live.problem?.detail ?? "The score could not be computed."}
      </Problem>
    );
  }
  const computing = live.state === "computing";
  return (
    <div class={computing ? "following" : "following rests"} role="status">
      {computing && <progress {...(progress?.share != null && { value: progress.share })} max={1} />}
      <p class="quiet">{computing ? progress?.message || "Following the change…" : ""}</p>
    </div>
  );
}

/** What only a person sees or knows; it goes into the slide's reports. */
function Staining({ live }: { live: LiveScore }) {
  // ticked at once, before the service has taken it
  const [obscures, setObscures] = useState(live.cytoplasm_obscures);
  useEffect(() => setObscures(live.cytoplasm_obscures), [live.cytoplasm_obscures]);
  function say(cytoplasm_obscures: boolean): void {
    setObscures(cytoplasm_obscures);
    changeScore({ cytoplasm_obscures }).catch((error: Error) => {
      setObscures(live.cytoplasm_obscures);
      notify(error.message, "bad");
    });
  }
  return (
    <section aria-label="Staining">
      <Cytoplasm obscures={obscures} disabled={!mayEdit.value} onChange={say} />
      {mayEdit.value && <IshPanel live={live} />}
    </section>
  );
}

function Begin() {
  const live = her2.live.value;
  const busy = her2.scoreBusy.value;
  const [choice, setChoice] = useState(choiceOf(live));
  const begun = live !== null && live.state !== "none";
  const now = choiceOf(live);
  const as =
    begun &&
    now.protocol === choice.protocol &&
    now.gap === choice.gap &&
    now.merge_zero_plus === choice.merge_zero_plus;
  return (
    <div class="choice">
      <ProtocolChoice choice={choice} onChoice={setChoice} disabled={busy} />
      <Button
        class={begun ? "wide" : "primary wide"}
        disabled={busy || (as && live.state !== "failed")}
        testid="score-begin"
        onClick={() => void tryScore(choice)}
      >
        {begun ? "Score by this protocol" : "Begin scoring"}
      </Button>
    </div>
  );
}

function CellsShown() {
  const inView = her2.cells.value;
  const { far, total, state } = inView;
  const shown = inView.cells.length;
  const known = state === "read" && !far;
  return (
    <p
      class="quiet"
      data-testid="cells-seen"
      data-state={state}
      {...(known && { "data-shown": shown, "data-total": total })}
    >
      {inViewWords(inView)}
      {known && shown > 0 && mayEdit.value && !her2.chosen.value && " Click one to leave it out or name its class."}
    </p>
  );
}
