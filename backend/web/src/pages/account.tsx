/** One's own account: another password, of one's own will or because somebody else has set it. */

import { useEffect, useRef, useState } from "preact/hooks";
import { changePassword } from "../api/client";
import type { Session } from "../api/types";
import { Button, Problem, TextField } from "../shell/controls";
import { Mark } from "../shell/mark";
import { notify } from "../shell/notices";

function PasswordForm(props: { word: string; onChanged: () => void; onCancel?: () => void }) {
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (fresh !== again) {
      setProblem("The two new passwords differ.");
      return;
    }
    setBusy(true);
    setProblem("");
    try {
      await changePassword(old, fresh);
      props.onChanged();
    } catch (failure) {
      setProblem((failure as Error).message);
      setBusy(false);
    }
  }

  return (
    <form data-testid="password-form" onSubmit={(event) => void submit(event)}>
      <TextField
        word={props.word}
        type="password"
        testid="old-password"
        autocomplete="current-password"
        value={old}
        onInput={setOld}
      />
      <TextField
        word="New password, at least 12 characters"
        type="password"
        testid="new-password"
        autocomplete="new-password"
        required
        value={fresh}
        onInput={setFresh}
      />
      <TextField
        word="The new password once more"
        type="password"
        testid="new-password-again"
        autocomplete="new-password"
        required
        value={again}
        onInput={setAgain}
      />
      <Problem testid="password-problem">{problem}</Problem>
      <div class="button-row">
        <button class="primary" data-testid="password-submit" disabled={busy}>
          {busy ? "Changing…" : "Change password"}
        </button>
        {props.onCancel && (
          <Button testid="password-cancel" onClick={props.onCancel}>Cancel</Button>
        )}
      </div>
    </form>
  );
}

/** The user's name in the header; it opens their account. */
export function AccountButton({ user }: { user: Session["user"] }) {
  const [open, setOpen] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
  }, [open]);
  return (
    <>
      <Button
        class="plain user"
        testid="user-name"
        title={`${user.role}: your account`}
        onClick={() => setOpen(true)}
      >
        {user.username}
      </Button>
      {open && (
        <dialog
          ref={dialog}
          class="choice-dialog"
          aria-labelledby="account-title"
          data-testid="account-dialog"
          onCancel={() => setOpen(false)}
        >
          <h2 id="account-title">{user.full_name ?? user.username}</h2>
          <p class="quiet">
            Another password signs you out everywhere else and ends all your API tokens.
          </p>
          <PasswordForm
            word="Old password (empty if you have none yet)"
            onCancel={() => setOpen(false)}
            onChanged={() => {
              setOpen(false);
              notify("Your password is changed.", "good");
            }}
          />
        </dialog>
      )}
    </>
  );
}

/** All that there is for somebody whose password an administrator has set. */
export function PasswordRequired(props: {
  user: Session["user"];
  onChanged: () => void;
  onSignOut: () => void;
}) {
  return (
    <main class="sign-in">
      <div class="card" data-testid="password-required">
        <Mark />
        <h1>Choose your password</h1>
        <p>
          An administrator has set the password of {props.user.username}. Choose one that only you
          know; then you can go on.
        </p>
        <PasswordForm word="The password that you were given" onChanged={props.onChanged} />
        <Button class="plain" testid="sign-out" onClick={props.onSignOut}>Sign out</Button>
      </div>
    </main>
  );
}
