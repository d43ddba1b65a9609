import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as api from "../src/api/client";

interface Call {
  url: string;
  init: RequestInit;
}
let calls: Call[] = [];

/** A server at the edge of the page: answers in order, records what was asked. */
function answers(...responses: (Response | Error)[]): void {
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
    calls.push({ url, init });
    const next = responses.shift();
    return next instanceof Error || !next
      ? Promise.reject(next ?? new Error("no answer left"))
      : Promise.resolve(next);
  });
}
const problem = (status: number, body: object): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/problem+json" },
  });
const ok = (body: object, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    headers: { "Content-Type": "application/json", ...headers },
  });
const header = (call: Call | undefined, name: string): string | null =>
  new Headers(call?.init.headers).get(name);

const sessionOf = (username: string, csrf_token: string) => ({
  csrf_token,
  user: {
    ...{ id: `id-${username}`, username, full_name: null, active: true, must_change_password: false },
    ...{ role: "pathologist" as const, created_at: "2026-11-23T09:00:00Z" },
  },
});

beforeEach(() => {
  calls = [];
  vi.stubGlobal("document", { baseURI: "https://lab.example/membrana/" });
  api.setSession(sessionOf("anna", "token-1"));
});
afterEach(() => vi.unstubAllGlobals());

describe("errors", () => {
  test("of the service are its title and detail in one sentence, with the code", async () => {
    answers(
      problem(422, {
        title: "The content is not valid",
        detail: "mpp must be positive",
        code: "invalid",
      }),
    );
    const error = await api.setPixelSize("s", -1).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      status: 422,
      code: "invalid",
      message: "The content is not valid: mpp must be positive",
      passing: false,
    });
  });

  test("whose detail is a sentence of its own are that sentence", async () => {
    answers(
      problem(401, {
        title: "Sign in first",
        detail: "User name or password is wrong.",
        code: "wrong",
      }),
    );
    await expect(api.signIn("a", "b")).rejects.toMatchObject({
      message: "User name or password is wrong.",
    });
  });

  test("of a broken line are passing and say so", async () => {
    answers(new TypeError("Failed to fetch"));
    await expect(api.listSlides()).rejects.toMatchObject({
      status: 0,
      offline: true,
      passing: true,
    });
  });

  test("of a proxy that speaks HTML still make a sentence", async () => {
    answers(new Response("<h1>Bad gateway</h1>", { status: 502 }));
    await expect(api.listSlides()).rejects.toMatchObject({
      message: "The service answered 502 without saying why.",
      passing: true,
    });
  });

  test("401 tells the page that nobody is signed in, except when asking just that", async () => {
    const told = vi.fn();
    api.onSignedOut(told);
    answers(problem(401, { title: "Sign in first" }), problem(401, { title: "Sign in first" }));
    await expect(api.readSession()).rejects.toMatchObject({ status: 401 });
    expect(told).not.toHaveBeenCalled();
    await expect(api.readSlide("s")).rejects.toMatchObject({ status: 401 });
    expect(told).toHaveBeenCalledOnce();
  });
});

describe("requests", () => {
  test("that change something carry the CSRF token, the others do not", async () => {
    answers(ok({ items: [], next_cursor: null }), ok({}));
    await api.listSlides();
    await api.startRound();
    expect(header(calls[0], "X-CSRF-Token")).toBeNull();
    expect(header(calls[1], "X-CSRF-Token")).toBe("token-1");
    expect(calls[1]?.url).toBe("https://lab.example/membrana/api/v1/rounds");
  });

  test("for lists follow the cursor to the end", async () => {
    answers(
      ok({ items: [{ id: "a" }], next_cursor: "a/1" }),
      ok({ items: [{ id: "b" }], next_cursor: null }),
    );
    expect((await api.listSlides()).map((slide) => slide.id)).toEqual(["a", "b"]);
    expect(calls[1]?.url).toContain("limit=100&cursor=a%2F1");
  });

  test("to save send the bytes, the revision, the seconds and the source", async () => {
    answers(ok({}, { ETag: '"r3"' }));
    const png = Uint8Array.of(1, 2, 3);
    const etag = await api.putAnnotation("p", png, {
      etag: '"r2"',
      source: "edited",
      seconds: 12.345,
    });
    expect(etag).toBe('"r3"');
    expect(calls[0]?.url).toContain("patches/p/annotation?seconds_spent=12.35&source=edited");
    expect(header(calls[0], "If-Match")).toBe('"r2"');
    expect(header(calls[0], "Content-Type")).toBe("image/png");
    expect(calls[0]?.init.body).toBe(png);
  });

  test("to save name the model version whose proposal was shown, if one was", async () => {
    answers(ok({}, { ETag: '"r1"' }), ok({}, { ETag: '"r2"' }));
    const about = { etag: '"r0"', source: "edited" as const, seconds: 1 };
    await api.putAnnotation("p", Uint8Array.of(1), { ...about, model: "m1" });
    await api.putAnnotation("p", Uint8Array.of(1), { ...about, model: null });
    const [first, second] = calls.map(({ url }) => new URL(url).searchParams.get("model_version"));
    expect([first, second]).toEqual(["m1", null]);
  });

  test("for a mask that is not there give null; other failures are thrown", async () => {
    answers(
      problem(404, { title: "There is no such thing here" }),
      problem(503, { title: "Not ready" }),
    );
    expect(await api.readPatchMask("p", "annotation")).toBeNull();
    await expect(api.readPatchMask("p", "annotation")).rejects.toMatchObject({ status: 503 });
  });

  test("for the next patch give null when the queue is empty", async () => {
    answers(new Response(null, { status: 204 }));
    expect(await api.nextPatch("s", "p0", "clinical")).toBeNull();
    expect(calls[0]?.url).toContain("queue/next?slide_id=s&strategy=clinical&after=p0");
  });
});

describe("the token of a session that another tab has ended", () => {
  const stale = (): Response => problem(403, { title: "Forbidden", code: "csrf" });

  test("is replaced by that of the same person's new session, and the request made again", async () => {
    const told = vi.fn();
    api.onSignedOut(told);
    answers(stale(), ok(sessionOf("anna", "token-2")), ok({}, { ETag: '"r1"' }), ok({}));
    const png = Uint8Array.of(1, 2, 3);
    const about = { etag: '"r0"', source: "edited" as const, seconds: 1 };
    expect(await api.putAnnotation("p", png, about)).toBe('"r1"');
    await api.startRound();
    const tokens = calls.map((call) => header(call, "X-CSRF-Token"));
    expect(tokens).toEqual(["token-1", null, "token-2", "token-2"]);
    expect(calls[2]?.init.body).toBe(png);
    expect(told).not.toHaveBeenCalled();
  });

  test("says who is signed in now if it is somebody else, and writes nothing", async () => {
    const told = vi.fn();
    api.onSignedOut(told);
    answers(stale(), ok(sessionOf("bert", "token-2")));
    const error = await api.startRound().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status: 401, code: "somebody_else", signedOut: true });
    expect((error as Error).message).toContain("bert is signed in in this browser now");
    expect(told).toHaveBeenCalledExactlyOnceWith(error);
    expect(calls).toHaveLength(2);
    // nor with their token by any later request
    answers(ok({}));
    await api.startRound();
    expect(header(calls[2], "X-CSRF-Token")).toBe("token-1");
  });

  test("is signed out if nobody is signed in, and waits if the service can't be asked", async () => {
    const told = vi.fn();
    api.onSignedOut(told);
    answers(stale(), problem(401, { title: "Sign in first" }));
    await expect(api.startRound()).rejects.toMatchObject({ status: 401 });
    expect(told).toHaveBeenCalledOnce();
    answers(stale(), new TypeError("Failed to fetch"));
    await expect(api.startRound()).rejects.toMatchObject({ passing: true });
    expect(told).toHaveBeenCalledOnce();
  });

  test("is asked about once, however many requests met it", async () => {
    let sessions = 0;
    vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
      if (url.endsWith("/session")) sessions += 1;
      const known = new Headers(init.headers).get("X-CSRF-Token") === "token-2";
      const body = url.endsWith("/session") ? sessionOf("anna", "token-2") : {};
      return Promise.resolve(known || url.endsWith("/session") ? ok(body) : stale());
    });
    await Promise.all([api.startRound(), api.skipPatch("p"), api.skipPatch("q")]);
    expect(sessions).toBe(1);
  });
});

test("an overlay tile names no model version: the service shows the patches' own", () => {
  // was pinned to the active one, which has no proposals of a slide while patches still show the last
  const tile = { level: 12, column: 3, row: 4 };
  expect(api.overlayTileUrl("s", "proposal", tile, 2)).toBe(
    "https://lab.example/membrana/api/v1/slides/s/overlays/proposal_files/12/3_4.png?v=2",
  );
});

test("a proposal is read of the version that the patch names", async () => {
  answers(ok({}), ok({}));
  await api.readPatchMask("p", "proposal", "m1");
  await api.readPatchMask("p", "annotation");
  expect(calls.map(({ url }) => url.split("/").at(-1))).toEqual([
    "proposal.png?model_version=m1",
    "annotation.png",
  ]);
});
