/** Reports of a slide: asked for, listed, one of them open. */

import { useState } from "preact/hooks";
import { notify } from "../shell/notices";
import { her2, mayEdit } from "../store";
import { ago } from "../drafts/saving";
import { askReport } from "./api";
import { choiceOf, Cytoplasm, ProtocolChoice, type Choice } from "./protocol_choice";
import { ReportView } from "./report_view";
import type { ReportSummary } from "../api/types";
import { useReportList } from "./use_reports";
import { REPORT_WORDS, scoreColour } from "./words";
import { Button } from "../shell/controls";

export function ReportPanel({ slide }: { slide: string }) {
  const [open, setOpen] = useState<string | null>(null);
  if (open) {
    const back = (): void => setOpen(null);
    return <ReportView id={open} onOpen={setOpen} onBack={back} />;
  }
  return <ReportList slide={slide} onOpen={setOpen} />;
}

function ReportList({ slide, onOpen }: { slide: string; onOpen: (id: string) => void }) {
  const { list } = useReportList(slide);
  return (
    <>
      {mayEdit.value && <Ask slide={slide} onAsked={onOpen} />}
      <section aria-label="Reports">
        <div class="panel-head">
          <h2>Reports</h2>
          {list && list.length > 0 && <span class="count">{list.length}</span>}
        </div>
        {list?.length === 0 && <p class="quiet">None yet.</p>}
        <ol class="report-list">
          {list?.map((report) => (
            <ReportItem key={report.id} report={report} onOpen={onOpen} />
          ))}
        </ol>
      </section>
    </>
  );
}

function Ask({ slide, onAsked }: { slide: string; onAsked: (id: string) => void }) {
  // what is said of the slide beside its live score goes into its reports
  const live = her2.live.value;
  // as the live score until somebody chooses otherwise here
  const [chosen, setChoice] = useState<Choice | null>(null);
  const [obscures, setObscures] = useState<boolean | null>(null);
  const choice = chosen ?? choiceOf(live);
  const cytoplasm_obscures = obscures ?? live?.cytoplasm_obscures ?? false;
  const [busy, setBusy] = useState(false);
  async function ask(): Promise<void> {
    setBusy(true);
    try {
      onAsked((await askReport(slide, { ...choice, assay: { cytoplasm_obscures } })).report_id);
    } catch (error) {
      notify((error as Error).message, "bad");
    } finally {
      setBusy(false);
    }
  }
  return (
    <section aria-label="Ask for a report">
      <h2>New report</h2>
      <ProtocolChoice choice={choice} onChoice={setChoice} disabled={busy} />
      <Cytoplasm obscures={cytoplasm_obscures} disabled={busy} onChange={setObscures} />
      <Button class="primary wide" disabled={busy} testid="report-ask" onClick={() => void ask()}>
        Score the tumour regions
      </Button>
    </section>
  );
}

function ReportItem({ report, onOpen }: { report: ReportSummary; onOpen: (id: string) => void }) {
  const score = report.signature?.score ?? report.printed_score;
  return (
    <li>
      <Button
        class="plain report-item"
        testid="report-item"
        data-report-id={report.id}
        data-state={report.state}
        onClick={() => onOpen(report.id)}
      >
        <strong style={{ color: score ? scoreColour(score) : undefined }}>
          {score === "not assessable" ? "n/a" : (score ?? "…")}
        </strong>
        <span>
          <span class={`tag ${report.state}`}>{REPORT_WORDS[report.state]}</span>
          {report.version > 1 && <span class="tag">version {report.version}</span>}
          <span class="quiet">
            {report.requested_by.username} · {ago(report.created_at, new Date())}
          </span>
        </span>
      </Button>
    </li>
  );
}
