import { describe, expect, test } from "vitest";
import { emptyMask, IGNORE, MEMBRANE, paintSegment, UNSEEN, type Mask } from "../src/masks/mask";
import { difference, differenceSentence, originOf, revisionWords } from "../src/editing/revisions";
import { savedSentence } from "../src/drafts/saving";
import { overtakenSentence, takenSentence } from "../src/editing/taken_over";
import type { Annotation } from "../src/api/types";

const of = (...values: number[]): Mask => ({
  width: values.length,
  height: 1,
  data: Uint8Array.from(values),
});
const annotation: Annotation = {
  id: "a",
  patch_id: "p",
  mask_sha256: "",
  model_version_id: null,
  restores: null,
  revision: 4,
  base_revision: 3,
  author: { id: "u", username: "noor" },
  source: "edited",
  seconds_spent: 42.4,
  unseen_px: 0,
  created_at: "2026-11-23T09:00:00Z",
};
const now = new Date("2026-11-23T09:03:10Z");

describe("the difference of two masks", () => {
  test("counts membrane only here, only there and in both, and what one of them ignores", () => {
    const one = of(MEMBRANE, MEMBRANE, 0, IGNORE, 0, IGNORE, MEMBRANE);
    const other = of(MEMBRANE, 0, MEMBRANE, 0, 0, IGNORE, IGNORE);
    expect(difference(one, other)).toEqual({ first: 2, second: 1, both: 1, ignored: 1, unseen: 0 });
    expect(difference(other, one)).toEqual({ first: 1, second: 2, both: 1, ignored: 1, unseen: 0 });
  });

  test("leaves out what nobody had looked at in one of them", () => {
    const one = of(UNSEEN, UNSEEN, MEMBRANE, UNSEEN);
    const other = of(MEMBRANE, 0, MEMBRANE, UNSEEN);
    const counts = difference(one, other);
    expect(counts).toEqual({ first: 0, second: 0, both: 1, ignored: 0, unseen: 2 });
    expect(differenceSentence(counts, "revision 1", "revision 2")).toContain(
      "2 px that nobody had looked at in one of them",
    );
  });

  test("is said in a sentence", () => {
    const one = emptyMask(64, 64);
    const other = emptyMask(64, 64);
    expect(differenceSentence(difference(one, other), "revision 1", "the mask in hand")).toBe(
      "No pixel differs between revision 1 and the mask in hand.",
    );
    paintSegment(one, { x: 5, y: 5 }, { x: 40, y: 5 }, 1, MEMBRANE);
    const found = difference(one, other);
    expect(found.first).toBeGreaterThan(30);
    expect(differenceSentence(found, "revision 1", "revision 2")).toBe(
      `${found.first} px of membrane only in revision 1, 0 px only in revision 2; 0 px in both.`,
    );
  });
});

test("a revision is told with who, how, when and how long", () => {
  expect(revisionWords(annotation, now)).toBe("noor · corrected · 3 min ago · 42 s");
  const long = { ...annotation, seconds_spent: 200, source: "proposal" as const };
  expect(revisionWords(long, now)).toBe("noor · accepted proposal · 3 min ago · 3 min");
  const unknown = { ...annotation, seconds_spent: null, author: null as never, restores: 2 };
  expect(revisionWords(unknown, now)).toBe("unknown · restored 2 · 3 min ago");
  expect(originOf({ ...annotation, restores: null, source: "scratch" })).toBe("drawn from nothing");
});

describe("who saved what", () => {
  test("names the way it was made", () => {
    expect(savedSentence(annotation)).toBe("noor saved revision 4 of this patch");
    expect(savedSentence({ ...annotation, source: "proposal" })).toBe(
      "noor accepted the proposal of this patch as revision 4",
    );
    expect(savedSentence({ ...annotation, source: "proposal", restores: 1 })).toBe(
      "noor restored revision 1 of this patch as revision 4",
    );
    expect(savedSentence(annotation, "u")).toBe("You, elsewhere, saved revision 4 of this patch");
    expect(savedSentence({ revision: 4 })).toBe("Somebody else saved revision 4 of this patch");
  });

  const event = {
    id: "p",
    revision: 1,
    author: { id: "n", username: "noor" },
    source: "proposal" as const,
    restores: null,
    taken_from: { id: "t", username: "tom" },
  };

  test("reaches whoever has the patch open", () => {
    expect(overtakenSentence(event, "t")).toBe(
      "noor accepted the proposal of this patch as revision 1 just now; it is shown here.",
    );
    expect(overtakenSentence(undefined, "t")).toContain("newer revision");
  });

  test("over a lease reaches both, each once", () => {
    expect(takenSentence(event, "n", "p")).toBe(
      "tom had this patch in hand, and has been told that you saved it.",
    );
    expect(takenSentence(event, "t", "p")).toBe(""); // the bench says it
    expect(takenSentence(event, "t", null)).toBe(
      "noor accepted the proposal of a patch that you had in hand as revision 1. It is out of your queue.",
    );
    expect(takenSentence(event, "somebody", null)).toBe("");
    expect(takenSentence({ ...event, taken_from: null }, "n", "p")).toBe("");
  });
});
