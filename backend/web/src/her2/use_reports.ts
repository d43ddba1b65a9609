/** Reports as hooks: the list of a slide, and one report with how far its job is. */

import { useCallback, useEffect, useState } from "preact/hooks";
import { subscribe } from "../api/events";
import { notify } from "../shell/notices";
import { listReports, readJob, readReport } from "./api";
import type { Report, ReportSummary } from "../api/types";

const complain = (error: Error): void => void notify(error.message, "bad");

export function useReportList(slide: string): { list: ReportSummary[] | null; reload(): void } {
  const [list, setList] = useState<ReportSummary[] | null>(null);
  const reload = useCallback(() => {
    listReports(slide).then(setList, complain);
  }, [slide]);
  useEffect(() => {
    reload();
    return subscribe((topic) => {
      if (topic === "report") reload();
    }, reload);
  }, [reload]);
  return { list, reload };
}

export interface Progress {
  share: number | null;
  message: string;
}

export interface OpenReport {
  report: Report | null;
  progress: Progress | null;
  /** Show this answer of the service at once. */
  take(report: Report): void;
}

export function useReport(id: string): OpenReport {
  const [report, setReport] = useState<Report | null>(null);
  const [progress, setProgress] = useState<Progress | null>(null);
  const reload = useCallback(() => {
    readReport(id).then(setReport, complain);
  }, [id]);
  useEffect(() => {
    setReport(null);
    setProgress(null);
    reload();
    return subscribe((topic, event) => {
      if (topic === "report" && event.id === id) reload();
      if (topic === "job" && event.subject === id) {
        setProgress({ share: event.progress ?? null, message: event.message ?? "" });
        if (event.state === "succeeded" || event.state === "failed") reload();
      }
    }, reload);
  }, [id, reload]);

  // the job had begun before anybody listened
  const job = report?.state === "computing" ? report.job_id : null;
  useEffect(() => {
    if (!job) return;
    readJob(job).then(
      ({ progress: share, message }) =>
        setProgress((old) => old ?? { share: share ?? null, message: message ?? "" }),
      () => undefined, // how far it is, is no more than a courtesy
    );
  }, [job]);

  return { report, progress, take: setReport };
}
