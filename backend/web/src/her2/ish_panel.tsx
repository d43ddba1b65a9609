/** The in situ hybridisation of a slide beside its live score: entered, changed, taken back. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { draftOf, wishOf } from "./ish";
import { IshFields, type Wrong } from "./ish_fields";
import type { LiveScore } from "../api/types";
import { her2 } from "../store";
import { changeScore } from "./score";
import { Button, Fold, Problem } from "../shell/controls";

/** Open where the category asks for it or there is a result; elsewhere a click away. */
export function IshFold(props: {
  required: boolean;
  result: string | undefined;
  children: ComponentChildren;
}) {
  const { required, result, children } = props;
  return (
    <Fold
      testid="ish"
      title="In situ hybridisation"
      open={required || Boolean(result)}
      tag={
        result ? (
          <span class="tag">{result}</span>
        ) : (
          required && <span class="tag qc">asked for</span>
        )
      }
    >
      {children}
    </Fold>
  );
}

export function IshPanel({ live }: { live: LiveScore }) {
  const { ish } = live;
  const typed = her2.typed.value;
  const draft = typed ?? draftOf(ish);
  const [wrong, setWrong] = useState<Wrong>({});
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const required = live.document?.ish_required ?? false;

  async function keep(wanted: ReturnType<typeof wishOf> | null): Promise<void> {
    setBusy(true);
    setProblem("");
    setWrong({});
    try {
      await changeScore({ ish: wanted });
    } catch (error) {
      const { fields = {}, message } = error as ApiError;
      setWrong(fields);
      if (Object.keys(fields).length === 0) setProblem(message);
    } finally {
      setBusy(false);
    }
  }

  return (
    <IshFold required={required || typed !== null} result={ish?.result}>
      <form
        class="choice"
        data-testid="ish-form"
        onSubmit={(event) => {
          event.preventDefault();
          void keep(wishOf(draft));
        }}
      >
        <IshFields draft={draft} wrong={wrong} onDraft={(draft) => (her2.typed.value = draft)} />
        <Problem testid="ish-error">{problem}</Problem>
        <div class="button-row">
          <button type="submit" disabled={busy} data-testid="ish-keep">
            Enter the result
          </button>
          {ish && (
            <Button disabled={busy} testid="ish-remove" onClick={() => void keep(null)}>
              Take it back
            </Button>
          )}
        </div>
      </form>
    </IshFold>
  );
}
