import { useState } from "preact/hooks";
import { signIn } from "../api/client";
import type { Session } from "../api/types";
import { Mark } from "../shell/mark";

export function SignIn(props: { note: string; onSession: (session: Session) => void }) {
  const [error, setError] = useState(props.note);
  const [busy, setBusy] = useState(false);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setError("");
    try {
      props.onSession(await signIn(String(form.get("username")), String(form.get("password"))));
    } catch (failure) {
      setError((failure as Error).message);
      setBusy(false);
    }
  }

  return (
    <main class="sign-in">
      <form class="card" data-testid="sign-in-form" onSubmit={(event) => void submit(event)}>
        <Mark />
        <h1>Sign in to Membrana</h1>
        <label>
          User name
          <input
            name="username"
            data-testid="username"
            autocomplete="username"
            required
            autofocus
          />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            data-testid="password"
            autocomplete="current-password"
            required
          />
        </label>
        <p class="problem" role="alert" data-testid="sign-in-error">
          {error}
        </p>
        <button class="primary" data-testid="sign-in-submit" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
