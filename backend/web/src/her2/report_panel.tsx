/** Reports of a slide: asked for, listed, one of them open. */

import { useState } from "preact/hooks";
import { notify } from "../notices";
import { ago } from "../saving";
import { askReport } from "./api";
import { FIRST_CHOICE, ProtocolChoice, type Choice } from "./protocol_choice";
import { ReportView } from "./report_view";
import type { ReportSummary } from "./types";
import { useReportList } from "./use_reports";
import { REPORT_WORDS, scoreColour } from "./words";

export function ReportPanel({ slide, mayEdit }: { slide: string; mayEdit: boolean }) {
  const [open, setOpen] = useState<string | null>(null);
  if (open) {
    return <ReportView id={open} mayEdit={mayEdit} onOpen={setOpen} onBack={() => setOpen(null)} />;
  }
  return <ReportList slide={slide} mayEdit={mayEdit} onOpen={setOpen} />;
}

function ReportList(props: { slide: string; mayEdit: boolean; onOpen: (id: string) => void }) {
  const { slide, mayEdit, onOpen } = props;
  const { list } = useReportList(slide);
  return (
    <>
      {mayEdit && <Ask slide={slide} onAsked={onOpen} />}
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
  const [choice, setChoice] = useState<Choice>(FIRST_CHOICE);
  const [busy, setBusy] = useState(false);
  async function ask(): Promise<void> {
    setBusy(true);
    try {
      onAsked((await askReport(slide, choice)).report_id);
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
      <button
        type="button"
        class="primary wide"
        disabled={busy}
        data-testid="report-ask"
        onClick={() => void ask()}
      >
        Score the tumour regions
      </button>
    </section>
  );
}

function ReportItem({ report, onOpen }: { report: ReportSummary; onOpen: (id: string) => void }) {
  const score = report.signature?.score ?? report.printed_score;
  return (
    <li>
      <button
        type="button"
        class="plain report-item"
        data-testid="report-item"
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
      </button>
    </li>
  );
}
