/** A pathologist's own category and comment, signed with their password asked again. */

import { useState } from "preact/hooks";
import type { ApiError } from "../api/client";
import { signReport } from "./api";
import { draftOf, wishOf, type IshDraft } from "./ish";
import { IshFields, type Wrong } from "./ish_fields";
import { IshFold } from "./ish_panel";
import { MissingFields, useMissing } from "./missing_fields";
import type { EnteredIsh, Report, ScoreName } from "../api/types";
import { scoreColour } from "./words";
import { Problem, TextField } from "../shell/controls";

const SCORES: readonly ScoreName[] = ["0", "0+", "1+", "2+", "3+", "not assessable"];

export function SignForm(props: {
  report: Report;
  /** The hybridisation as the report has it, or else what was entered beside the live score. */
  known: EnteredIsh | null;
  onSigned: (report: Report) => void;
}) {
  const { report, known, onSigned } = props;
  const [score, setScore] = useState<ScoreName | null>(null);
  const [comment, setComment] = useState("");
  const [reason, setReason] = useState("");
  const [password, setPassword] = useState("");
  const [typed, setTyped] = useState<IshDraft | null>(null);
  const [wrong, setWrong] = useState<Wrong>({});
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [unreviewed, setUnreviewed] = useState(false);
  const missing = useMissing(report);
  const differs = score !== null && score !== report.score;

  async function sign(event: Event): Promise<void> {
    event.preventDefault();
    if (!score) {
      setProblem("Choose your category first.");
      return;
    }
    setBusy(true);
    setProblem("");
    setWrong({});
    try {
      const why = differs ? reason : "";
      // what the report has already stays as it was entered
      const entered = typed ?? (report.ish ? null : known && draftOf(known));
      const ish = entered ? { ish: wishOf(entered) } : {};
      await missing.keep();
      const verdict = { score, password, comment, reason: why, without_review: unreviewed, ...ish };
      onSigned(await signReport(report.id, verdict));
    } catch (error) {
      const { fields = {}, message } = error as ApiError;
      const inFields = Object.keys(fields).some((name) => name in draftOf(null));
      setWrong(fields);
      setProblem(inFields ? "The hybridisation's fields need another look." : message);
    } finally {
      setPassword("");
      setBusy(false);
    }
  }

  return (
    <form class="sign" data-testid="sign-form" onSubmit={(event) => void sign(event)}>
      <fieldset>
        <legend>
          <h3>Your category</h3>
        </legend>
        <div class="scores">
          {SCORES.map((name) => (
            <label
              key={name}
              style={{ "--score": scoreColour(name) }}
              data-testid={`sign-score-${name.replace(" ", "-")}`}
            >
              <input
                type="radio"
                class="unseen"
                name="score"
                value={name}
                checked={score === name}
                onChange={() => setScore(name)}
              />
              <span>{name}</span>
            </label>
          ))}
        </div>
      </fieldset>
      {differs && (
        <TextField
          word={`Why not ${report.printed_score}?`}
          required
          maxLength={200}
          value={reason}
          testid="sign-reason"
          onInput={setReason}
        />
      )}
      <IshFold
        required={report.document?.ish_required || score === "2+"}
        result={(typed ?? known)?.result}
      >
        <div class="choice">
          <IshFields draft={typed ?? draftOf(known)} wrong={wrong} onDraft={setTyped} />
        </div>
      </IshFold>
      <label class="field">
        <span>Comment</span>
        <textarea
          maxLength={4000}
          value={comment}
          data-testid="sign-comment"
          onInput={(event) => setComment(event.currentTarget.value)}
        />
      </label>
      <MissingFields names={missing.names} typed={missing.typed} onTyped={missing.setTyped} />
      {!report.seen.anything && (
        <label class="check" data-testid="sign-nothing-seen">
          <input
            type="checkbox"
            required
            checked={unreviewed}
            data-testid="sign-without-review"
            onChange={({ currentTarget }) => setUnreviewed(currentTarget.checked)}
          />
          <span>
            Nobody has reviewed a patch or decided on a cell of this report here. I have judged the
            slide otherwise and sign without a review; the report will say so.
          </span>
        </label>
      )}
      <TextField
        word="Your password, once more"
        type="password"
        required
        autocomplete="current-password"
        value={password}
        testid="sign-password"
        onInput={setPassword}
      />
      <button type="submit" class="primary wide" disabled={busy} data-testid="sign-submit">
        {busy ? "Signing…" : "Sign the report"}
      </button>
      <p class="quiet">
        I scored this slide and am responsible for this category. A signed report never changes; it
        can be amended by a new version.
      </p>
      <Problem testid="sign-error">{problem}</Problem>
    </form>
  );
}
