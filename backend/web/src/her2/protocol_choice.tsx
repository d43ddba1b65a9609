/** Which rules a slide is scored by; the gap policy only where the guideline leaves a gap. */

import type { Gap } from "./types";
import { PROTOCOLS, takesGap } from "./words";

const GAPS: readonly Gap[] = ["0+", "1+", "2+"];

export interface Choice {
  protocol: string;
  gap: Gap | null;
}

export const FIRST_CHOICE: Choice = { protocol: PROTOCOLS[0]![0], gap: null };

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
            onChoice({ protocol: value, gap: takesGap(value) ? choice.gap : null })
          }
        >
          {PROTOCOLS.map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
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
            {GAPS.map((gap) => (
              <option key={gap} value={gap}>
                {gap}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}
