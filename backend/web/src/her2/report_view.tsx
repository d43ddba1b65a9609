/** One report: what was computed, the pathologist's own word on it, and its files. */

import { her2, mayEdit } from "../store";
import { Category, Evidence } from "./evidence";
import { Amend } from "./amend_form";
import { FORMATS, reportUrl } from "./api";
import { SignForm } from "./sign_form";
import type { Report, Signature } from "../api/types";
import { useReport, type Progress } from "./use_reports";
import { protocolTitle, REPORT_WORDS, scoreColour } from "./words";
import { Button, Problem } from "../shell/controls";

export function ReportView(props: {
  id: string;
  onOpen: (id: string) => void;
  onBack: () => void;
}) {
  const { id, onOpen, onBack } = props;
  const { report, progress, take } = useReport(id);
  return (
    <div
      class="report"
      data-testid="report"
      data-report-id={id}
      data-state={report?.state ?? ""}
      data-version={report?.version ?? ""}
    >
      <div class="panel-head">
        <h2>{report && report.version > 1 ? `Report, version ${report.version}` : "Report"}</h2>
        {report && <span class={`tag ${report.state}`}>{REPORT_WORDS[report.state]}</span>}
        <Button class="plain" testid="report-back" onClick={onBack}>All reports</Button>
      </div>
      {report && (
        <p class="quiet" data-testid="report-slide">
          {report.slide.name}
          {report.slide.case_id && ` · case ${report.slide.case_id}`}
          {report.slide.block && ` · block ${report.slide.block}`}
        </p>
      )}
      {report && (
        <p class="research" data-testid="report-research-use">
          {report.research_use_only}
        </p>
      )}
      {report?.state === "computing" && <Computing progress={progress} />}
      {report?.state === "failed" && (
        <Problem>{report.problem?.detail ?? "The report could not be computed."}</Problem>
      )}
      {report?.document && (
        <>
          {report.signature && <Signed signature={report.signature} />}
          <section aria-label="Computed">
            <h3>
              Computed <span class="quiet">{protocolTitle(report.protocol)}</span>
            </h3>
            <Category document={report.document} ish={report.ish} />
          </section>
          <Evidence document={report.document} />
          {report.state === "draft" && mayEdit.value && (
            <SignForm report={report} known={report.ish ?? her2.live.value?.ish ?? null} onSigned={take} />
          )}
          <Downloads report={report} />
          {report.state === "signed" && mayEdit.value && <Amend report={report} onAsked={onOpen} />}
          {report.amendment_reason && (
            <p class="quiet">Amended because: {report.amendment_reason}</p>
          )}
          {report.amended_by && (
            <Button class="wide" testid="report-newer" onClick={() => onOpen(report.amended_by!)}>
              Go to the version that amends this one
            </Button>
          )}
        </>
      )}
    </div>
  );
}

function Computing({ progress }: { progress: Progress | null }) {
  return (
    <div class="computing" role="status" data-testid="report-progress">
      <progress {...(progress?.share != null && { value: progress.share })} max={1} />
      <p class="quiet">{progress?.message || "Waiting for a worker…"}</p>
    </div>
  );
}

function Signed({ signature }: { signature: Signature }) {
  const { score, by, full_name, role, at, comment, reason, without_review } = signature;
  return (
    <section
      class="signature"
      style={{ "--score": scoreColour(score) }}
      aria-label="Signature"
      data-testid="signature"
      data-score={score}
    >
      <p>
        <strong>{score}</strong>
        <span>
          signed by {full_name ?? by.username}
          {role && `, ${role === "admin" ? "administrator" : role}`}
          <br />
          <time class="quiet" dateTime={at}>
            {new Date(at).toLocaleString()}
          </time>
        </span>
      </p>
      {without_review && (
        <p class="quiet" data-testid="signed-without-review">
          Signed without a review: nobody had reviewed a patch or decided on a cell of it here.
        </p>
      )}
      {comment && <blockquote>{comment}</blockquote>}
      {reason && <p class="quiet">Not the computed category: {reason}</p>}
    </section>
  );
}

function Downloads({ report }: { report: Report }) {
  return (
    <section aria-label="Files">
      <h3>Files</h3>
      <div class="downloads">
        {FORMATS.map(([word, ending]) => (
          <a
            key={ending}
            href={reportUrl(report.id, ending)}
            download
            data-testid={`download-${ending}`}
          >
            {word}
          </a>
        ))}
      </div>
    </section>
  );
}
