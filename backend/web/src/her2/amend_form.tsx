/** A new version of a signed report, computed from the slide as it is now. */

import { useState } from "preact/hooks";
import { amendReport } from "./api";
import { Cytoplasm, ProtocolChoice, type Choice } from "./protocol_choice";
import type { Report } from "../api/types";
import { Fold, Problem, TextField } from "../shell/controls";

export function Amend({ report, onAsked }: { report: Report; onAsked: (id: string) => void }) {
  const [choice, setChoice] = useState<Choice>({
    protocol: report.protocol,
    gap: report.inputs.gap ?? null,
    merge_zero_plus: report.inputs.merge_zero_plus ?? false,
  });
  const [obscures, setObscures] = useState(report.assay.cytoplasm_obscures ?? false);
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);

  async function amend(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      const assay = { ...report.assay, cytoplasm_obscures: obscures };
      onAsked((await amendReport(report.id, { ...choice, assay, reason })).report_id);
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  }

  return (
    <Fold class="fold amend" testid="amend" title="Amend">
      <form data-testid="amend-form" onSubmit={(event) => void amend(event)}>
        <p class="quiet">
          The slide is scored again as it is now. This version stays as signed until you sign the
          new one.
        </p>
        <ProtocolChoice choice={choice} onChoice={setChoice} disabled={busy} />
        <Cytoplasm obscures={obscures} disabled={busy} onChange={setObscures} />
        <TextField
          word="Why is it amended?"
          required
          maxLength={1000}
          value={reason}
          testid="amend-reason"
          onInput={setReason}
        />
        <button type="submit" class="wide" disabled={busy} data-testid="amend-submit">
          Begin the new version
        </button>
        <Problem>{problem}</Problem>
      </form>
    </Fold>
  );
}
