/** The page's controls, each written once: buttons, ticks, sliders, choices, folds, problems. */

import type { ComponentChildren, JSX } from "preact";

interface Named {
  /** Its name in the tests. */
  testid?: string;
}
type Attributes<Tag extends keyof JSX.IntrinsicElements> = JSX.IntrinsicElements[Tag] & Named;

/** A button that sends no form. */
export function Button({ testid, ...rest }: Attributes<"button">) {
  return <button type="button" data-testid={testid} {...rest} />;
}

/** A tick with its words; without `plain` it stands in a line of its own. */
export function Check(
  props: Named & {
    checked: boolean;
    onChange: (checked: boolean) => void;
    children: ComponentChildren;
    disabled?: boolean;
    required?: boolean;
    title?: string;
    plain?: boolean;
  },
) {
  const { checked, onChange, children, title, testid, plain, ...rest } = props;
  return (
    <label class={plain ? undefined : "check"} title={title}>
      <input
        {...rest}
        type="checkbox"
        checked={checked}
        data-testid={testid}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      {children}
    </label>
  );
}

/** A slider with its word before it and its value behind. */
export function Slider(
  props: Named & {
    word: string;
    value: number;
    min: number;
    max: number;
    step?: number;
    shown: string;
    onInput: (value: number) => void;
    disabled?: boolean;
    "aria-label"?: string;
  },
) {
  const { word, shown, testid, onInput, ...rest } = props;
  return (
    <label class="slider">
      <span>{word}</span>
      <input
        {...rest}
        type="range"
        data-testid={testid}
        onInput={({ currentTarget }) => onInput(Number(currentTarget.value))}
      />
      <output>{shown}</output>
    </label>
  );
}

/** A line of text with its word above it. */
export function TextField(
  props: Named & {
    word: string;
    value: string;
    onInput: (value: string) => void;
    type?: "text" | "password";
    required?: boolean;
    maxLength?: number;
    placeholder?: string;
    list?: string;
    autocomplete?: "current-password" | "new-password";
    "aria-invalid"?: boolean;
    children?: ComponentChildren;
  },
) {
  const { word, testid, onInput, children, ...rest } = props;
  return (
    <label class="field">
      <span>{word}</span>
      <input
        {...({ type: "text", ...rest } as JSX.IntrinsicElements["input"])}
        data-testid={testid}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
      />
      {children}
    </label>
  );
}

/** The options of a select: each value with its word. */
export function Options({ of }: { of: readonly (readonly [string, string])[] }) {
  return (
    <>
      {of.map(([value, word]) => (
        <option key={value} value={value}>
          {word}
        </option>
      ))}
    </>
  );
}

/** A part that opens under its heading. */
export function Fold(props: Omit<Attributes<"details">, "title"> & {
  title: string;
  /** Beside the heading. */
  tag?: ComponentChildren;
}) {
  const { title, tag, testid, children, ...rest } = props;
  return (
    <details class="fold" data-testid={testid} {...rest}>
      <summary>
        <h3>{title}</h3>
        {tag}
      </summary>
      {children}
    </details>
  );
}

/** What went wrong, if anything did: read out at once. */
export function Problem({ testid, children, ...rest }: Attributes<"p">) {
  if (!children) return null;
  return (
    <p class="problem" role="alert" data-testid={testid} {...rest}>
      {children}
    </p>
  );
}
