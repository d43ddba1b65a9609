/** Which rules a slide is scored by; the gap policy only where the guideline leaves a gap. */

import type { Gap, LiveScore } from "../api/types";
import { PROTOCOLS, STAINING_WORDS, takesGap } from "./words";
import { Check, Options } from "../shell/controls";

const GAPS: readonly Gap[] = ["0+", "1+", "2+"];

export interface Choice {
  protocol: string;
  gap: Gap | null;
  merge_zero_plus: boolean;
}

const FIRST_CHOICE: Choice = { protocol: PROTOCOLS[0]![0], gap: null, merge_zero_plus: false };

/** What a slide is scored by now. */
export function choiceOf(live: LiveScore | null): Choice {
  if (!live?.protocol) return FIRST_CHOICE;
  return { protocol: live.protocol, gap: live.gap, merge_zero_plus: live.merge_zero_plus };
}

export function ProtocolChoice(props: {
  choice: Choice;
  onChoice: (choice: Choice) => void;
  disabled?: boolean;
}) {
  const { choice, onChoice, disabled = false } = props;
  return (
    <div class="choice">
      <label>
        <span>Protocol</span>
        <select
          value={choice.protocol}
          disabled={disabled}
          data-testid="protocol"
          onChange={({ currentTarget: { value } }) =>
            onChoice(
              takesGap(value)
                ? { ...choice, protocol: value }
                : { protocol: value, gap: null, merge_zero_plus: false },
            )
          }
        >
          <Options of={PROTOCOLS} />
        </select>
      </label>
      {takesGap(choice.protocol) && (
        <label title="Strong or complete staining in few cells and nothing else over the cut: the guideline does not say what that is">
          <span>Unnamed patterns count as</span>
          <select
            value={choice.gap ?? ""}
            disabled={disabled}
            data-testid="gap"
            onChange={({ currentTarget: { value } }) =>
              onChoice({ ...choice, gap: (value || null) as Gap | null })
            }
          >
            <option value="">Protocol's own</option>
            <Options of={GAPS.map((gap) => [gap, gap])} />
          </select>
        </label>
      )}
      {takesGap(choice.protocol) && (
        <Check
          title="For laboratories that follow the guideline of 2023 literally; the percentage stays beside it"
          checked={choice.merge_zero_plus}
          disabled={disabled}
          testid="merge-zero-plus"
          onChange={(merge_zero_plus) => onChoice({ ...choice, merge_zero_plus })}
        >
          {STAINING_WORDS.merge_zero_plus}
        </Check>
      )}
    </div>
  );
}

/** Membranes under brown cytoplasm can't be counted: a 2+ pattern that only a person sees. */
export function Cytoplasm(props: {
  obscures: boolean;
  disabled: boolean;
  onChange: (obscures: boolean) => void;
}) {
  return (
    <Check
      title="A 2+ pattern of the guideline that can't be counted: it is remarked"
      checked={props.obscures}
      disabled={props.disabled}
      testid="cytoplasm-obscures"
      onChange={props.onChange}
    >
      {STAINING_WORDS.cytoplasm_obscures}
    </Check>
  );
}
