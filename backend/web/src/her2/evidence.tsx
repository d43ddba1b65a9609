/** A score document as a person reads it: the category first, then what it rests on. */

import { inWords } from "./ish";
import type { Distance, EnteredIsh, Flag, ScoreDocument } from "../api/types";
import {
  colourOf,
  flagWords,
  isPartial,
  LABEL_WORDS,
  LABELS,
  mm2,
  percent,
  scoreColour,
  TEST_WORDS,
  plain,
} from "./words";
import { Fold } from "../shell/controls";

/** The category large, and what it was before if that was another. */
export function Category(props: {
  document: ScoreDocument;
  previous?: string | null;
  ish?: EnteredIsh | null;
}) {
  const { document: result, previous, ish } = props;
  const { printed_score: printed, score } = result;
  return (
    <div
      class="category"
      style={{ "--score": scoreColour(score) }}
      data-testid="category"
      data-score={score}
      aria-live="polite"
    >
      <p class={printed.length > 3 ? "category-score long" : "category-score"}>
        {previous && previous !== printed && (
          <span class="category-before" data-testid="category-before">
            <span class="unseen">before: </span>
            {previous}
            <span aria-hidden="true"> →</span>
          </span>
        )}
        <strong>{printed}</strong>
      </p>
      <p class="category-reason" data-testid="category-reason">
        {result.reason_text}
        {score === "0+" && printed !== score && (
          <>
            {" "}
            Stained: {percent(result.percent.stained?.value)} %; category 0+, printed as 0.
          </>
        )}
        {result.ish_required && !ish && " In situ hybridisation is asked for."}
      </p>
      {ish && (
        <p class="category-reason" data-testid="category-ish">
          {inWords(ish)}
        </p>
      )}
    </div>
  );
}

export function Flags({ flags }: { flags: Flag[] }) {
  if (flags.length === 0) return null;
  return (
    <ul class="flags" aria-label="Remarks" data-testid="flags">
      {flags.map((flag) => (
        <li key={flag.code} class={flag.severity} data-code={flag.code}>
          <details>
            <summary>{flagWords(flag.code)}</summary>
            <p class="quiet">{flag.detail}</p>
          </details>
        </li>
      ))}
    </ul>
  );
}

/** Percent of the tumour cells per class with its interval; also the legend of the cells. */
export function Percentages({ document: result }: { document: ScoreDocument }) {
  return (
    <table class="percentages" data-testid="percentages">
      <caption class="unseen">Percent of {result.cells} tumour cells, with 95 % intervals</caption>
      <tbody>
        {LABELS.map((label) => {
          const { value, low, high } = result.percent[label]!;
          return (
            <tr key={label} data-label={label} title={`${result.counts[label]} cells`}>
              <th scope="row">
                <i
                  class={isPartial(label) ? "cell-mark partial" : "cell-mark"}
                  style={{ borderColor: colourOf(label) }}
                  aria-hidden="true"
                />
                {LABEL_WORDS[label]}
              </th>
              <td class="track" aria-hidden="true">
                <i style={{ width: `${value ?? 0}%`, background: colourOf(label) }} />
              </td>
              <td class="number">{percent(value)} %</td>
              <td class="interval">
                {value === null ? "" : `${percent(low)}–${percent(high)}`}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** How sure the category is if other tiles of the same tumour had been looked at. */
export function Probability({ document: result }: { document: ScoreDocument }) {
  const known = Object.entries(result.probability).filter(([, share]) => share > 0);
  return (
    <div data-testid="probability">
      <div class="stacked" aria-hidden="true">
        {known.map(([score, share]) => (
          <i key={score} style={{ flexGrow: share, background: scoreColour(score) }} />
        ))}
      </div>
      <p class="stacked-words">
        {known.map(([score, share]) => (
          <span key={score}>
            <i style={{ background: scoreColour(score) }} aria-hidden="true" />
            {score} <b>{share > 0.995 ? ">99" : percent(100 * share)} %</b>
          </span>
        ))}
      </p>
    </div>
  );
}

/** For each test of the decision table how far it is from turning over. */
export function Distances({ distances, cut }: { distances: Distance[]; cut: string }) {
  return (
    <ol class="distances" data-testid="distances">
      {distances.map((distance, number) => (
        <DistanceItem key={`${distance.test}-${number}`} distance={distance} cut={cut} />
      ))}
    </ol>
  );
}

const isClustered = ({ test }: Distance): boolean => test.endsWith("_cluster");

/** What a test asks for, in words: the cut, cells in clusters, or more than chance. */
export function asked(distance: Distance, cut: string): string {
  const { test, threshold, cells_needed: needed } = distance;
  if (isClustered(distance)) return `at least ${needed} cells`;
  const over = /[gl][te]10$/.test(test) && !test.includes("_le") && cut.startsWith("> ");
  return `${over ? "more than" : "at least"} ${percent(threshold)} %`;
}

function DistanceItem({ distance, cut }: { distance: Distance; cut: string }) {
  const inClusters = isClustered(distance);
  const { percent_now: now, threshold, passed, cells_to_flip: flips } = distance;
  // the cut stands in the middle unless the share is far beyond it
  const most = Math.min(100, Math.max(2 * threshold, 1.1 * now));
  const score = distance.score === "gap" ? "" : ` → ${distance.score}`;
  return (
    <li class={passed ? "passed" : ""}>
      <div>
        <span>
          {TEST_WORDS[distance.test] ?? plain(distance.test)}
          {score}
        </span>
        <span class="number">
          {inClusters ? `${distance.cells_now} cells` : `${percent(now)} %`}{" "}
          <span class="quiet">asked: {asked(distance, cut)}</span>
        </span>
      </div>
      <div class="track" aria-hidden="true">
        <i style={{ width: `${(100 * now) / most}%` }} />
        <b style={{ left: `${(100 * threshold) / most}%` }} />
      </div>
      <p class="quiet">
        {passed ? "Holds; fails with " : "Would hold with "}
        {flips.toLocaleString("en")} {flips === 1 ? "cell" : "cells"} {passed ? "fewer" : "more"}
      </p>
    </li>
  );
}

/** What the numbers were counted on. */
export function Grounds({ document: result }: { document: ScoreDocument }) {
  const facts: [string, string | null][] = [
    ["Tumour cells", result.cells.toLocaleString("en")],
    ["Tissue evaluated", result.evaluated_area_mm2 == null ? null : mm2(result.evaluated_area_mm2)],
    ["Fields", result.tiles.toLocaleString("en")],
    ["H-score", result.h_score.value === null ? null : result.h_score.value.toFixed(0)],
    [
      "On people's masks",
      result.reviewed_share === null ? null : `${percent(100 * result.reviewed_share)} %`,
    ],
    ["Cells decided by hand", result.edited_cells ? String(result.edited_cells) : null],
    ["Calibrated on", result.protocol.calibrated?.on ?? "nothing: start values"],
  ];
  return (
    <dl class="grounds">
      {facts.map(
        ([word, value]) =>
          value !== null && (
            <div key={word}>
              <dt>{word}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** Everything under the category. */
export function Evidence({ document: result }: { document: ScoreDocument }) {
  if (result.cells === 0) return <Flags flags={result.flags} />;
  return (
    <>
      <section aria-label="Percentages">
        <Percentages document={result} />
      </section>
      <section aria-label="Probability">
        <h3>How sure</h3>
        <Probability document={result} />
      </section>
      <section aria-label="Distance to the thresholds">
        <Fold title="Distance to each threshold">
          <Distances
            distances={result.distance}
            cut={String(result.protocol.thresholds.cut ?? "")}
          />
        </Fold>
        <Fold title="Counted on">
          <Grounds document={result} />
        </Fold>
      </section>
      <Flags flags={result.flags} />
    </>
  );
}
