/** A new version of a signed report, computed from the slide as it is now. */

import { useState } from "preact/hooks";
import { amendReport } from "./api";
import { ProtocolChoice, type Choice } from "./protocol_choice";
import type { Report } from "./types";

export function Amend({ report, onAsked }: { report: Report; onAsked: (id: string) => void }) {
  const [choice, setChoice] = useState<Choice>({
    protocol: report.protocol,
    gap: report.inputs.gap ?? null,
  });
  const [reason, setReason] = useState("");
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);

  async function amend(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setSaid("");
    try {
      onAsked((await amendReport(report.id, { ...choice, reason })).report_id);
    } catch (error) {
      setSaid((error as Error).message);
      setBusy(false);
    }
  }

  return (
    <details class="fold amend" data-testid="amend">
      <summary>
        <h3>Amend</h3>
      </summary>
      <form data-testid="amend-form" onSubmit={(event) => void amend(event)}>
        <p class="quiet">
          The slide is scored again as it is now. This version stays as signed until you sign the
          new one.
        </p>
        <ProtocolChoice choice={choice} onChoice={setChoice} disabled={busy} />
        <label class="field">
          <span>Why is it amended?</span>
          <input
            type="text"
            required
            maxLength={1000}
            value={reason}
            data-testid="amend-reason"
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="wide" disabled={busy} data-testid="amend-submit">
          Begin the new version
        </button>
        {said && (
          <p class="problem" role="alert">
            {said}
          </p>
        )}
      </form>
    </details>
  );
}
