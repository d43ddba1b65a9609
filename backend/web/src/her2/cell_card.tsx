/** The chosen cell: what was measured, and a person's word on it. */

import { useState } from "preact/hooks";
import type { Label } from "../api/types";
import { her2 } from "../store";
import { closeCell, decideOnCell } from "./cells";
import { colourOf, isPartial, LABEL_WORDS, LABELS } from "./words";
import { Button, Options, Problem, TextField } from "../shell/controls";

/** Offered, not prescribed: any words will do. */
const REASONS = ["Not a tumour cell", "In-situ component", "Artefact", "Out of focus", "Misjudged"];

export function CellCard() {
  const [reason, setReason] = useState("");
  const [missing, setMissing] = useState(false);
  const cell = her2.chosen.value;
  const waiting = her2.deciding.value;
  if (!cell) return null;

  /** A decision without a reason is not one. */
  function decide(action: "exclude" | "include" | "class", label?: Label): void {
    const why = reason.trim() || (action === "include" ? "Taken back" : "");
    setMissing(!why);
    if (why) void decideOnCell(action, why, label);
  }

  return (
    <section
      class="cell-card"
      aria-label="Chosen cell"
      data-testid="cell-card"
      data-label={cell.label}
      data-included={cell.included}
      data-edited={cell.edited}
    >
      <div class="panel-head">
        <i
          class={isPartial(cell.label) ? "cell-mark partial" : "cell-mark"}
          style={{ borderColor: cell.included ? colourOf(cell.label) : "#8b969d" }}
          aria-hidden="true"
        />
        <h3>{cell.included ? LABEL_WORDS[cell.label] : "Left out"}</h3>
        <Button class="plain" aria-label="Close the cell" onClick={closeCell}>×</Button>
      </div>
      <p class="quiet">
        {Math.round(100 * cell.completeness)} % of its membrane is stained, with an optical density
        of {cell.intensity.toFixed(2)}
        {cell.edited && ` · measured: ${LABEL_WORDS[cell.measured].toLowerCase()}`}
      </p>
      <TextField
        word="Reason"
        list="cell-reasons"
        maxLength={1000}
        value={reason}
        aria-invalid={missing}
        placeholder="Why it counts otherwise"
        testid="cell-reason"
        onInput={setReason}
      >
        <datalist id="cell-reasons">
          {REASONS.map((words) => (
            <option key={words} value={words} />
          ))}
        </datalist>
      </TextField>
      <Problem>{missing && "Say why first; it is kept with your name."}</Problem>
      <div class="button-row">
        {cell.included && (
          <Button disabled={waiting} testid="cell-exclude" onClick={() => decide("exclude")}>
            Leave out
          </Button>
        )}
        {(cell.edited || !cell.included) && (
          <Button disabled={waiting} testid="cell-include" onClick={() => decide("include")}>
            As measured
          </Button>
        )}
      </div>
      {cell.included && (
        <label class="field">
          <span>Its class is</span>
          <select
            value={cell.label}
            disabled={waiting}
            data-testid="cell-class"
            onChange={({ currentTarget }) => {
              const wanted = currentTarget.value as Label;
              currentTarget.value = cell.label; // shows the service's word until it follows
              decide("class", wanted);
            }}
          >
            <Options of={LABELS.map((label) => [label, LABEL_WORDS[label]])} />
          </select>
        </label>
      )}
    </section>
  );
}
