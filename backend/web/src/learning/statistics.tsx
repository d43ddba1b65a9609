/** The work in figures: time, acceptance, what was edited and overridden; read when it opens. */

import { useEffect, useState } from "preact/hooks";
import { apiUrl, json } from "../api/client";
import type { AnnotationStatistics, Figures, FigureGroup } from "../api/types";
import { Button, Problem } from "../shell/controls";

/** Slides in the table; the file has them all. */
const MOST_SLIDES = 10;
type Row = readonly [name: string, figures: Figures];

const percent = (share: number | null): string =>
  share === null ? "–" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const minutes = (value: number | null): string => (value === null ? "–" : value.toFixed(1));
const rows = (groups: readonly FigureGroup[]): Row[] =>
  groups.map(({ name, figures }) => [name, figures]);

function Part({ title, of }: { title: string; of: readonly Row[] }) {
  if (of.length === 0) return null;
  return (
    <tbody>
      <tr>
        <th colSpan={6} scope="rowgroup">
          {title}
        </th>
      </tr>
      {of.map(([name, figures], place) => (
        <tr key={place}>
          <th scope="row">{name}</th>
          <td>{figures.patches}</td>
          <td>{minutes(figures.minutes_per_patch)}</td>
          <td>{percent(figures.acceptance_rate)}</td>
          <td>{percent(figures.edited_membrane_share)}</td>
          <td>{percent(figures.override_rate)}</td>
        </tr>
      ))}
    </tbody>
  );
}

export function Statistics() {
  const [known, setKnown] = useState<AnnotationStatistics | null>(null);
  const [problem, setProblem] = useState("");

  function read(): void {
    json<AnnotationStatistics>("statistics/annotation").then(
      (answer) => {
        setKnown(answer);
        setProblem("");
      },
      (error: Error) => setProblem(error.message),
    );
  }
  useEffect(read, []);

  if (problem) return <Problem>{problem}</Problem>;
  if (!known) return <p class="quiet">Counting…</p>;
  return (
    <>
      <table class="figures" data-testid="statistics-table">
        <thead>
          <tr>
            <td />
            <th scope="col">Patches</th>
            <th scope="col" title="Of active work, pauses left out">Minutes each</th>
            <th scope="col" title="Proposals saved as they were">Accepted</th>
            <th scope="col" title="Of the membrane in proposal or mask, what is in one of them only">
              Edited
            </th>
            <th scope="col" title="Masks in which more was changed than was left">Overridden</th>
          </tr>
        </thead>
        <Part title="Everybody" of={[["all", known.overall], ...rows(known.by_mode)]} />
        <Part title="By the model that proposed" of={rows(known.by_round)} />
        <Part title="By reader" of={rows(known.by_reader)} />
        <Part title="By slide" of={rows(known.by_slide.slice(0, MOST_SLIDES))} />
      </table>
      {known.overall.signed > 0 && (
        <p class="quiet">
          {known.overall.category_overridden} of {known.overall.signed} signed reports have another
          category than was computed.
        </p>
      )}
      <p class="button-row">
        <Button onClick={read}>Count again</Button>
        <a href={apiUrl("statistics/annotation.csv")} download data-testid="statistics-csv">
          All of it as CSV
        </a>
      </p>
    </>
  );
}
