/** The page: who is signed in, which screen the address names, and the frame around it. */

import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { ApiError, onSignedOut, readSession, signInByLink, signOut, setCsrfToken } from "./api/client";
import { choose, ChoiceDialog } from "./shell/choice_dialog";
import { anyUnkept } from "./drafts/journal";
import { connect, disconnect } from "./api/events";
import { useLearning } from "./learning/learning";
import { mayLeave } from "./shell/leaving";
import { Mark } from "./shell/mark";
import { Notices, notify } from "./shell/notices";
import { startOutbox } from "./drafts/outbox";
import { useRoute } from "./route";
import { SignIn } from "./pages/sign_in";
import { useSlideList } from "./pages/slide_list";
import { SlidesPage } from "./pages/slides";
import { useTakenOver } from "./editing/taken_over";
import type { Session } from "./api/types";
import { patchCount, UnsavedButton, useUnsaved, type Unsaved } from "./drafts/unsaved";
import { Workbench } from "./pages/workbench";

/** Sign in by the one-time link in the address, if there is one, and take it out of the address. */
async function begin(): Promise<Session> {
  const address = new URL(location.href);
  const link = address.searchParams.get("sign_in");
  if (!link) return readSession();
  address.searchParams.delete("sign_in");
  history.replaceState(null, "", address);
  try {
    return await signInByLink(link);
  } catch (error) {
    // the link was used already, perhaps by this very browser: its session still counts
    return readSession().catch(() => Promise.reject(error));
  }
}

export function App() {
  const [session, setSession] = useState<Session | null>(null);
  const [said, setSaid] = useState<string | null>(null);

  const enter = useCallback((entered: Session) => {
    setCsrfToken(entered.csrf_token);
    setSession(entered);
  }, []);
  useEffect(() => {
    onSignedOut(() => {
      setSession(null);
      setSaid("Your session has ended. Sign in again; unsaved work is kept.");
    });
    begin().then(enter, (error: unknown) => {
      const expected = error instanceof ApiError && error.code === "not_signed_in";
      setSaid(expected ? "" : (error as Error).message);
    });
  }, [enter]);

  return (
    <>
      {session ? (
        <SignedIn session={session} onLeave={() => (setSession(null), setSaid(""))} />
      ) : (
        said !== null && <SignIn said={said} onSession={enter} />
      )}
      <Notices />
      <ChoiceDialog />
      <footer data-testid="research-use">
        Research use only. Not for diagnosis or any clinical decision.
      </footer>
    </>
  );
}

const NONE: Unsaved[] = [];

/** Whether the person signs out although unsaved strokes stay behind in this browser. */
async function mayStayHere(unsaved: Unsaved[]): Promise<boolean> {
  if (unsaved.length === 0) return true;
  const answer = await choose({
    title: `Unsaved strokes on ${patchCount(unsaved)}`,
    text: anyUnkept()
      ? "This browser keeps no copy of some of them: they are lost when this page is closed."
      : "They stay in this browser and are not sent before you sign in here again.",
    choices: [
      ["stay", "Stay here"],
      ["leave", "Sign out"],
    ],
    otherwise: "stay",
  });
  return answer === "leave";
}

function SignedIn({ session, onLeave }: { session: Session; onLeave: () => void }) {
  const { user } = session;
  const route = useRoute();
  const learning = useLearning();
  const list = useSlideList();
  useTakenOver(user.id, route.patch);
  const unsaved = useUnsaved(user.id) ?? NONE;
  const unsavedHere = useMemo(
    () => unsaved.filter(({ slideId }) => slideId === route.slide),
    [unsaved, route.slide],
  );

  useEffect(() => {
    connect();
    const stop = startOutbox(user.id, (_, outcome) => {
      if (outcome.kind === "saved") notify("A patch that was waiting is saved now.", "good");
      else if (outcome.kind === "conflict") {
        notify("A waiting patch was changed by somebody else meanwhile. Open it to decide.", "bad");
      } else if (outcome.kind === "refused") notify(outcome.message, "bad");
    });
    return () => {
      stop();
      disconnect();
    };
  }, [user.id]);

  const mustStay = unsaved.some(({ pending }) => pending);
  useEffect(() => {
    // saved by the person, or kept by this page only: closing it is a loss they can't see
    const closing = (event: BeforeUnloadEvent): void => {
      if (mustStay || anyUnkept()) event.preventDefault();
    };
    addEventListener("beforeunload", closing);
    return () => removeEventListener("beforeunload", closing);
  }, [mustStay]);

  async function leave(): Promise<void> {
    if (!(await mayLeave()) || !(await mayStayHere(unsaved))) return;
    await signOut().then(onLeave, (error: Error) => notify(error.message, "bad"));
  }

  const slide = list.slides?.find((other) => other.id === route.slide);
  return (
    <>
      <header class="app-header" data-testid="app-header">
        <a class="brand" href="#/" data-testid="back-to-slides">
          <Mark />
          <span>Membrana</span>
        </a>
        {slide && (
          <nav class="crumb" aria-label="Place">
            <a href="#/">Slides</a>
            <span aria-hidden="true">/</span>
            <span class="crumb-name">{slide.name}</span>
            {slide.synthetic && <span class="tag synthetic">synthetic</span>}
          </nav>
        )}
        <span class="grow" />
        <UnsavedButton unsaved={unsaved} patchId={route.patch} />
        <span class="model" title="The model version whose proposals are shown">
          Model <strong data-testid="active-model">{learning.active?.name ?? "none yet"}</strong>
        </span>
        <span class="user" data-testid="user-name" title={user.role}>
          {user.username}
        </span>
        <button
          type="button"
          class="plain"
          data-testid="sign-out"
          onClick={() => void leave()}
        >
          Sign out
        </button>
      </header>
      {route.slide ? (
        slide && (
          <Workbench
            key={slide.id}
            slide={slide}
            patchId={route.patch}
            user={user}
            learning={learning}
            unsaved={unsavedHere}
          />
        )
      ) : (
        <SlidesPage list={list} user={user} learning={learning} unsaved={unsaved} />
      )}
      {route.slide && !slide && list.slides && (
        <main class="empty-page">
          <p>This slide is not here (any more).</p>
          <a href="#/">Back to the slides</a>
        </main>
      )}
    </>
  );
}
