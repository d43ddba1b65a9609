import { expect, test } from "vitest";
import type { RoundPage } from "../src/api/types";
import { untilLearning } from "../src/learning/learning";

const known = (part: Partial<RoundPage>): RoundPage => ({
  items: [],
  next_cursor: null,
  annotations_since: 0,
  threshold: 10,
  gold_counted: 0,
  gold_needed: 5,
  ...part,
});

test("how far it is to the next model is said in words", () => {
  expect(untilLearning(null)).toBe("");
  expect(untilLearning(known({ threshold: 0 }))).toBe("");
  expect(untilLearning(known({}))).toBe("10 patches until the model learns.");
  expect(untilLearning(known({ annotations_since: 9 }))).toBe("1 patch until the model learns.");
  expect(untilLearning(known({ annotations_since: 12 }))).toContain("as soon as it can be judged");
  const live = [{ state: "training" }] as RoundPage["items"];
  expect(untilLearning(known({ items: live }))).toContain("is learning");
});
