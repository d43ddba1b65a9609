/** The page: who is signed in, which screen the address names, and the frame around it. */

import { useEffect } from "preact/hooks";
import {
  ApiError,
  onSignedOut,
  readSession,
  renewSession,
  setSession,
  signInByLink,
  signOut,
} from "./api/client";
import { connect, disconnect } from "./api/events";
import type { Annotation, Session } from "./api/types";
import { broadcast, onTabMessage } from "./drafts/browser_tabs";
import { anyUnstored } from "./drafts/journal";
import { startOutbox } from "./drafts/outbox";
import { followUnsaved, patchCount, UnsavedButton } from "./drafts/unsaved";
import { followTakeovers } from "./editing/taken_over";
import { followLearning } from "./learning/learning";
import { AccountButton, PasswordRequired } from "./pages/account";
import { SignIn } from "./pages/sign_in";
import { followSlides } from "./pages/slide_list";
import { SlidesPage } from "./pages/slides";
import { Workbench } from "./pages/workbench";
import { choose, ChoiceDialog } from "./shell/choice_dialog";
import { mayLeave } from "./shell/leaving";
import { Mark } from "./shell/mark";
import { Notices, notify } from "./shell/notices";
import { activeModel, openSlide, page, resetWork, signOutOfStore, work } from "./store";
import { Button } from "./shell/controls";

/** Sign in by the one-time link in the address, if there is one, and take it out of the address. */
async function begin(): Promise<Session> {
  const address = new URL(location.href);
  const link = address.searchParams.get("sign_in");
  if (!link) return readSession();
  address.searchParams.delete("sign_in");
  history.replaceState(null, "", address);
  try {
    const session = await signInByLink(link);
    broadcast({ kind: "session" });
    return session;
  } catch (error) {
    // the link was used already, perhaps by this very browser: its session still counts
    return readSession().catch(() => Promise.reject(error));
  }
}

function enter(session: Session): void {
  setSession(session);
  resetWork(); // answers to whoever was here before may have come since
  page.session.value = session;
}

function signedIn(session: Session): void {
  enter(session);
  broadcast({ kind: "session" });
}

function failed(error: Error): void {
  if (page.session.value) notify(error.message, "bad");
}

export function App() {
  useEffect(() => {
    onSignedOut((why) => {
      const note = why.code === "somebody_else" ? why.message : "Your session has ended.";
      signOutOfStore(`${note} Sign in again; unsaved work is kept.`);
    });
    // signed in or out in another tab: at once, before anything is done in the wrong name
    onTabMessage((message) => {
      if (message.kind === "session" && page.session.value) renewSession().catch(() => undefined);
    });
    begin().then(enter, (error: unknown) => {
      const expected = error instanceof ApiError && error.code === "not_signed_in";
      page.signInNote.value = expected ? "" : (error as Error).message;
    });
  }, []);
  const session = page.session.value;
  const note = page.signInNote.value;

  return (
    <>
      {session?.user.must_change_password ? (
        <PasswordRequired
          user={session.user}
          onChanged={() => void readSession().then(signedIn, failed)}
          onSignOut={() => void signOut().then(() => signOutOfStore(""), failed)}
        />
      ) : session ? (
        <SignedIn user={session.user} />
      ) : (
        note !== null && <SignIn note={note} onSession={signedIn} />
      )}
      <Notices />
      <ChoiceDialog />
      <footer data-testid="research-use">
        Research use only. Not for diagnosis or any clinical decision.
      </footer>
    </>
  );
}

/** Whether the person signs out although unsaved strokes stay behind in this browser. */
async function mayStayHere(): Promise<boolean> {
  const unsaved = work.unsaved.value;
  if (unsaved.length === 0) return true;
  const answer = await choose({
    title: `Unsaved strokes on ${patchCount(unsaved)}`,
    text: anyUnstored()
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

async function leave(): Promise<void> {
  if (!(await mayLeave()) || !(await mayStayHere())) return;
  await signOut().then(
    () => {
      signOutOfStore("");
      broadcast({ kind: "session" });
    },
    failed,
  );
}

function waitingSaved(by: Annotation | undefined, userId: string): string {
  if (!by || by.author.id === userId) return "A patch that was waiting is saved now.";
  return `${by.author.username} had saved the very mask that was waiting: nothing is left to save.`;
}

function SignedIn({ user }: { user: Session["user"] }) {
  useEffect(() => {
    const follows = [followSlides(), followLearning(), followUnsaved(user.id), followTakeovers()];
    connect();
    const stop = startOutbox(user.id, (_, outcome) => {
      if (outcome.kind === "saved") notify(waitingSaved(outcome.by, user.id), "good");
      else if (outcome.kind === "conflict") {
        notify("A waiting patch was changed elsewhere meanwhile. Open it to decide.", "bad");
      } else if (outcome.kind === "refused") notify(outcome.message, "bad");
    });
    return () => {
      for (const each of [stop, ...follows]) each();
      disconnect();
    };
  }, [user.id]);

  const mustStay = work.unsaved.value.some(({ pending }) => pending);
  useEffect(() => {
    // saved by the person, or kept by this page only: closing it is a loss they can't see
    const closing = (event: BeforeUnloadEvent): void => {
      if (mustStay || anyUnstored()) event.preventDefault();
    };
    addEventListener("beforeunload", closing);
    return () => removeEventListener("beforeunload", closing);
  }, [mustStay]);

  const route = page.route.value;
  const slide = openSlide.value;
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
        <UnsavedButton />
        <span class="model" title="The active model version: its proposals are shown where they are finished">
          Model <strong data-testid="active-model">{activeModel.value?.name ?? "none yet"}</strong>
        </span>
        <AccountButton user={user} />
        <Button class="plain" testid="sign-out" onClick={() => void leave()}>Sign out</Button>
      </header>
      {route.slide ? (
        slide && <Workbench key={slide.id} slide={slide} />
      ) : (
        <SlidesPage />
      )}
      {route.slide && !slide && work.slides.value && (
        <main class="empty-page">
          <p>This slide is not here (any more).</p>
          <a href="#/">Back to the slides</a>
        </main>
      )}
    </>
  );
}
