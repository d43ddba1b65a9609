/** A question over the whole page, answered by one of a few buttons. */

import { useEffect, useRef, useState } from "preact/hooks";

export interface Question {
  title: string;
  text: string;
  /** Each answer and the word on its button; the first is the one that Enter gives. */
  choices: [string, string][];
  /** The answer of who presses Escape. */
  otherwise: string;
}

interface Asked extends Question {
  answer(choice: string): void;
}

let show: (asked: Asked) => void = ({ answer, otherwise }) => answer(otherwise);

export function choose(question: Question): Promise<string> {
  return new Promise((answer) => show({ ...question, answer }));
}

export function ChoiceDialog() {
  const [asked, setAsked] = useState<Asked | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    show = setAsked;
  }, []);
  useEffect(() => {
    if (asked) dialog.current?.showModal();
  }, [asked]);
  if (!asked) return null;

  function answer(choice: string): void {
    dialog.current?.close();
    setAsked(null);
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
          <button
            key={choice}
            type="button"
            class={place === 0 ? "primary" : ""}
            autofocus={place === 0}
            data-testid={`choice-${choice}`}
            onClick={() => answer(choice)}
          >
            {word}
          </button>
        ))}
      </div>
    </dialog>
  );
}
