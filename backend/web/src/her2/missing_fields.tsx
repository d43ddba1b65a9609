/** What a signed report has to name and does not yet: asked for in the form that signs. */

import { useEffect, useState } from "preact/hooks";
import { nameSlide, readProfile, sayFullName } from "../api/client";
import type { Report } from "../api/types";
import { TextField } from "../shell/controls";

const FIELDS = {
  case_id: { word: "Case", hint: "As your laboratory numbers it", longest: 100 },
  block: { word: "Block", hint: "“none” if there is none", longest: 100 },
  full_name: { word: "Your full name", hint: "As it is to be printed", longest: 200 },
} as const;
export type MissingName = keyof typeof FIELDS;
export type Missing = Partial<Record<MissingName, string>>;

/** What is missing, and what has been typed of it; null before the service has told. */
export function useMissing(report: Report) {
  const [nameless, setNameless] = useState(false);
  const [typed, setTyped] = useState<Missing>({});
  useEffect(() => {
    readProfile().then(
      (own) => setNameless(!own.full_name),
      () => undefined, // the service asks for it when the report is signed
    );
  }, []);
  const { case_id, block } = report.slide;
  const names: MissingName[] = [];
  if (!case_id) names.push("case_id");
  if (!block && !report.assay.block) names.push("block");
  if (nameless) names.push("full_name");

  /** Tell the service what was typed: the slide's names and one's own stay for the next report. */
  async function keep(): Promise<void> {
    const { case_id: ofCase, block: ofBlock, full_name: own } = typed;
    const ofSlide = { ...(ofCase && { case_id: ofCase }), ...(ofBlock && { block: ofBlock }) };
    if (Object.keys(ofSlide).length > 0) await nameSlide(report.slide_id, ofSlide);
    if (own) await sayFullName(own);
  }
  return { names, typed, setTyped, keep };
}

export function MissingFields(props: {
  names: MissingName[];
  typed: Missing;
  onTyped: (typed: Missing) => void;
}) {
  const { names, typed, onTyped } = props;
  if (names.length === 0) return null;
  return (
    <fieldset data-testid="sign-missing">
      <legend>
        <h3>Missing before it can be signed</h3>
      </legend>
      {names.map((name) => {
        const { word, hint, longest } = FIELDS[name];
        return (
          <TextField
            key={name}
            word={word}
            required
            maxLength={longest}
            placeholder={hint}
            value={typed[name] ?? ""}
            testid={`sign-${name.replace("_", "-")}`}
            onInput={(value) => onTyped({ ...typed, [name]: value.trimStart() })}
          />
        );
      })}
    </fieldset>
  );
}
