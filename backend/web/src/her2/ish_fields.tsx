/** The fields of an in situ hybridisation, each with what the service says is wrong in it. */

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { DUAL, type IshDraft, type IshField } from "./ish";
import { ISH_METHODS, ISH_RESULTS, ISH_WORDS } from "./words";
import { Options, Problem } from "../shell/controls";

/** What is wrong, by field. */
export type Wrong = Readonly<Record<string, string>>;

export function IshFields(props: {
  draft: IshDraft;
  wrong: Wrong;
  onDraft: (draft: IshDraft) => void;
}) {
  const { draft, wrong, onDraft } = props;
  const own = useId();

  /** A field's name, its control, and the service's word on it: announced, and tied to it. */
  function field(name: IshField, control: (about: object) => ComponentChildren) {
    const [id, problemId] = [`${own}-${name}`, `${own}-${name}-wrong`];
    const bad = wrong[name] !== undefined;
    const about = {
      id,
      value: draft[name],
      "aria-invalid": bad,
      "aria-describedby": bad ? problemId : undefined,
      "data-testid": `ish-${name}`,
    };
    return (
      <div class="field">
        <label for={id}>{ISH_WORDS[name]}</label>
        {control(about)}
        {bad && (
          <Problem id={problemId} testid={`ish-${name}-wrong`}>
            {wrong[name]}
          </Problem>
        )}
      </div>
    );
  }
  const typed = (name: IshField, mode: "decimal" | "numeric" | "text") =>
    field(name, (about) => (
      <input
        {...about}
        type="text"
        inputMode={mode}
        maxLength={200}
        onInput={({ currentTarget: { value } }) => onDraft({ ...draft, [name]: value })}
      />
    ));
  const chosen = (name: IshField, options: readonly string[], none?: string) =>
    field(name, (about) => (
      <select
        {...about}
        onChange={({ currentTarget: { value } }) => onDraft({ ...draft, [name]: value })}
      >
        {none !== undefined && <option value="">{none}</option>}
        <Options of={options.map((option) => [option, option])} />
      </select>
    ));
  return (
    <>
      <div class="pair">
        {chosen("method", ISH_METHODS)}
        {chosen("result", ISH_RESULTS, "Choose…")}
        {draft.method === DUAL && typed("ratio", "decimal")}
        {typed("copies", "decimal")}
        {draft.method === DUAL && chosen("group", ["1", "2", "3", "4", "5"], "Not stated")}
        {typed("cells", "numeric")}
      </div>
      {typed("read_by", "text")}
    </>
  );
}
