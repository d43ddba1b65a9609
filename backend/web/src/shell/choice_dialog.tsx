/** A question over the whole page, answered by one of a few buttons. */

import { useEffect, useRef } from "preact/hooks";
import { page } from "../store";
import { Button } from "./controls";

export interface Question {
  title: string;
  text: string;
  /** Each answer and the word on its button; the first is the one that Enter gives. */
  choices: [string, string][];
  /** The answer of who presses Escape. */
  otherwise: string;
}

export interface Asked extends Question {
  answer(choice: string): void;
}

export function choose(question: Question): Promise<string> {
  return new Promise((answer) => (page.question.value = { ...question, answer }));
}

export function ChoiceDialog() {
  const asked = page.question.value;
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (asked) dialog.current?.showModal();
  }, [asked]);
  if (!asked) return null;

  function answer(choice: string): void {
    dialog.current?.close();
    page.question.value = null;
    asked!.answer(choice);
  }
  return (
    <dialog
      ref={dialog}
      class="choice-dialog"
      aria-labelledby="choice-title"
      aria-describedby="choice-text"
      data-testid="choice-dialog"
      onCancel={(event) => {
        event.preventDefault();
        answer(asked.otherwise);
      }}
    >
      <h2 id="choice-title">{asked.title}</h2>
      <p id="choice-text">{asked.text}</p>
      <div class="button-row">
        {asked.choices.map(([choice, word], place) => (
          <Button
            key={choice}
            class={place === 0 ? "primary" : ""}
            autofocus={place === 0}
            testid={`choice-${choice}`}
            onClick={() => answer(choice)}
          >
            {word}
          </Button>
        ))}
      </div>
    </dialog>
  );
}
