import { describe, expect, test } from "vitest";
import { ApiError } from "../src/api/client";
import {
  ago,
  attempt,
  conflictSentence,
  revisionOf,
  type Current,
} from "../src/drafts/saving";

const theirs: Current = {
  etag: '"r4"',
  revision: 4,
  annotation: {
    id: "a",
    patch_id: "p",
    mask_sha256: "",
    model_version_id: null,
    restores: null,
    seconds_spent: null,
    unseen_px: 0,
    revision: 4,
    base_revision: 3,
    author: { id: "u", username: "noor" },
    source: "edited",
    created_at: "2026-11-23T09:00:00Z",
  },
};
const fails = (status: number) => () => Promise.reject(new ApiError(status, "x", "a sentence"));
const reads = () => Promise.resolve(theirs);
const foreign = () => Promise.resolve("foreign" as const);

describe("an attempt to save", () => {
  test("taken by the service carries the new ETag", async () => {
    const outcome = await attempt(() => Promise.resolve('"r1"'), reads, foreign);
    expect(outcome).toEqual({ kind: "saved", etag: '"r1"' });
  });

  test.each([0, 401, 429, 500, 503])("failing with %i waits to be tried again", async (status) => {
    expect((await attempt(fails(status), reads, foreign)).kind).toBe("waiting");
  });

  test.each([400, 403, 404, 422, 428])(
    "failing with %i is refused with its sentence",
    async (status) => {
      expect(await attempt(fails(status), reads, foreign)).toEqual({
        kind: "refused",
        message: "a sentence",
      });
    },
  );

  test("on a stale revision is a conflict that knows the other's work", async () => {
    expect(await attempt(fails(412), reads, foreign)).toEqual({
      kind: "conflict",
      current: theirs,
    });
  });

  test("whose first answer was lost finds its own pixels there: saved", async () => {
    const outcome = await attempt(fails(412), reads, (current) =>
      Promise.resolve(current === theirs ? "same" : "foreign"),
    );
    // `by` says whose they are: another's very same pixels count as saved, too
    expect(outcome).toEqual({ kind: "saved", etag: '"r4"', by: theirs.annotation });
  });

  test("on an earlier state of one's own is written on top of it, once", async () => {
    const earlier = () => Promise.resolve("earlier" as const);
    const onto: (Current | null)[] = [];
    const write = (faster: number) => (current: Current | null) => {
      onto.push(current);
      return onto.length > faster ? Promise.resolve('"r5"') : fails(412)();
    };
    expect(await attempt(write(1), reads, earlier)).toEqual({ kind: "saved", etag: '"r5"' });
    expect(onto).toEqual([null, theirs]);
    onto.length = 0;
    // somebody was faster once more: the person is asked, nothing is tried for ever
    expect((await attempt(write(9), reads, earlier)).kind).toBe("conflict");
    expect(onto).toEqual([null, theirs]);
  });

  test("with the token of a session that is no more waits, like one without a session", async () => {
    const stale = () => Promise.reject(new ApiError(403, "csrf", "a sentence"));
    expect((await attempt(stale, reads, foreign)).kind).toBe("waiting");
  });

  test("that can't read the other's work, being signed out by then, waits", async () => {
    expect((await attempt(fails(412), fails(401), foreign)).kind).toBe("waiting");
  });

  test("that can't read the other's work waits, it does not decide", async () => {
    expect((await attempt(fails(412), fails(0), foreign)).kind).toBe("waiting");
  });

  test("lets programming errors through", async () => {
    await expect(
      attempt(() => Promise.reject(new TypeError("bug")), reads, foreign),
    ).rejects.toThrow("bug");
  });
});

test("an ETag names a revision", () => {
  expect([revisionOf('"r12"'), revisionOf('W/"r3"'), revisionOf("nonsense")]).toEqual([12, 3, 0]);
});

test("a conflict is told with who and when", () => {
  const said = conflictSentence(theirs, new Date("2026-11-23T09:03:10Z"));
  expect(said).toBe("noor saved revision 4 of this patch 3 min ago. Your pixels are kept here.");
  expect(conflictSentence({ ...theirs, annotation: null }, new Date())).toContain(
    "Somebody else saved revision 4",
  );
});

test("ages are told in words", () => {
  const now = new Date("2026-11-23T12:00:00Z");
  expect(ago("2026-11-23T11:59:40Z", now)).toBe("just now");
  expect(ago("2026-11-23T09:00:00Z", now)).toBe("3 h ago");
  expect(ago("2026-11-01T09:00:00Z", now)).toBe("on 2026-11-01");
  expect(ago("2026-11-23T12:00:09Z", now)).toBe("just now"); // a server clock that runs ahead
});
