/** The service, typed: one function an endpoint; what goes wrong arrives as an ApiError. */

import type {
  Annotation,
  ComingPatch,
  ModelVersion,
  Page,
  Patch,
  Problem,
  QueueItem,
  Round,
  RoundPage,
  Session,
  Slide,
  Source,
  Strategy,
} from "./types";

/** The most seconds of work on one patch that the service believes. */
const A_DAY = 24 * 3600;

export type OverlayKind = "probability" | "proposal" | "uncertainty" | "annotation";

/** What the service refused, or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** What the service says of single fields, by their names. */
    readonly fields: Readonly<Record<string, string>> = {},
    /** All that the service says of it. */
    readonly problem: Readonly<Partial<Problem>> = {},
  ) {
    super(message);
  }

  get offline(): boolean {
    return this.status === 0;
  }

  /** Nobody is signed in, or not the person that this page knows. */
  get signedOut(): boolean {
    return this.status === 401 || this.code === STALE_TOKEN;
  }

  /** Worth trying again later: nothing was decided about the content. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Where the service lives, beside this page. */
export function apiUrl(path: string): string {
  return new URL(`api/v1/${path}`, document.baseURI).href;
}

/** A line that swallows requests counts as broken: what waits for an answer can be tried again. */
const PATIENCE_MS = 60_000;

/** What the service calls a token of a session that is not the browser's any more. */
export const STALE_TOKEN = "csrf";

/** Whose page this is: nothing is written in anybody else's name. */
let session: Session | null = null;
let signedOut: (why: ApiError) => void = () => undefined;

export function setSession(begun: Session): void {
  session = begun;
}

export function csrfHeaders(): Record<string, string> {
  return { "X-CSRF-Token": session?.csrf_token ?? "" };
}

/** Call `listener` whenever the service says that this page's person is not signed in any more. */
export function onSignedOut(listener: (why: ApiError) => void): void {
  signedOut = listener;
}

let renewing: Promise<void> | null = null;

/**
 * Take the token of the session that this browser has now: any tab signs in and out for all.
 * Throws ApiError if this page's person is not signed in any more, or the service can't be asked.
 */
export function renewSession(): Promise<void> {
  renewing ??= renew().finally(() => (renewing = null));
  return renewing;
}

async function renew(): Promise<void> {
  const mine = session;
  try {
    const now = await readSession();
    if (session !== mine) return; // signed in anew in this very tab meanwhile
    if (now.user.id !== mine?.user.id) throw somebodyElse(now.user.username);
    session = now;
  } catch (error) {
    if (session === mine && error instanceof ApiError && error.status === 401) signedOut(error);
    throw error;
  }
}

function somebodyElse(username: string): ApiError {
  const message = `${username} is signed in in this browser now, from another tab.`;
  return new ApiError(401, "somebody_else", message);
}

/** A problem document as one sentence a person can read. */
export function sentence(problem: Partial<Problem>, status: number): string {
  const title = problem.title?.trim();
  const detail = problem.detail?.trim();
  // a detail that is a sentence stands alone; a fragment needs its title
  if (title && detail && !/[.!?]$/.test(detail)) return `${title.replace(/[.:]$/, "")}: ${detail}`;
  return detail || title || `The service answered ${status} without saying why.`;
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await answered(path, init);
  } catch (error) {
    if (!(error instanceof ApiError && error.code === STALE_TOKEN)) throw error;
    await renewSession();
    return answered(path, init);
  }
}

async function answered(path: string, init: RequestInit): Promise<Response> {
  const safe = !init.method || init.method === "GET";
  let response: Response;
  try {
    response = await fetch(apiUrl(path), {
      credentials: "same-origin",
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...init,
      headers: { ...(safe ? {} : csrfHeaders()), ...init.headers },
    });
  } catch {
    throw new ApiError(0, "offline", "The service can't be reached. Check the connection.");
  }
  if (response.ok) return response;
  const error = await problemOf(response);
  if (error.status === 401 && path !== "session") signedOut(error);
  throw error;
}

export async function problemOf(response: Response): Promise<ApiError> {
  let problem: Partial<Problem> = {};
  if ((response.headers.get("Content-Type") ?? "").includes("json")) {
    problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  }
  const text = sentence(problem, response.status);
  const fields = (problem.errors ?? []).map(({ where, message }) => [where.split(".").at(-1), message]);
  return new ApiError(
    response.status,
    problem.code ?? "unknown",
    text,
    Object.fromEntries(fields) as Record<string, string>,
    problem,
  );
}

export async function json<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await request(path, init)).json()) as T;
}

export function sending(method: string, body: unknown): RequestInit {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

export async function all<T>(path: string, atMost = Number.POSITIVE_INFINITY): Promise<T[]> {
  const items: T[] = [];
  let cursor = "";
  do {
    const page: Page<T> = await json(
      cursor ? `${path}&cursor=${encodeURIComponent(cursor)}` : path,
    );
    items.push(...page.items);
    cursor = page.next_cursor ?? "";
  } while (cursor && items.length < atMost);
  return items;
}

// --- people
export const readSession = (): Promise<Session> => json("session");
export const signIn = (username: string, password: string): Promise<Session> =>
  json("session", sending("POST", { username, password }));
export const signInByLink = (link: string): Promise<Session> =>
  json("session", sending("POST", { link }));
/** Change one's own password; all other sessions and tokens of the person end. */
export const changePassword = (old: string, fresh: string): Promise<Session["user"]> =>
  json("session/password", sending("POST", { old_password: old || null, new_password: fresh }));
export const signOut = (): Promise<Response> => request("session", { method: "DELETE" });

/** What of people the page shows: here of oneself. */
export interface Profile {
  full_name: string | null;
}
export const readProfile = (): Promise<Profile> => json("users/me");
export const sayFullName = (full_name: string): Promise<Profile> =>
  json("users/me", sending("PATCH", { full_name }));

// --- slides
export const nameSlide = (
  id: string,
  names: { case_id?: string; block?: string },
): Promise<Slide> => json(`slides/${id}`, sending("PATCH", names));
export const listSlides = (): Promise<Slide[]> => all("slides?limit=100");
export const readSlide = (id: string): Promise<Slide> => json(`slides/${id}`);
export const setPixelSize = (id: string, mpp: number): Promise<Slide> =>
  json(`slides/${id}`, sending("PATCH", { mpp }));
export const deleteSlide = (id: string): Promise<Response> =>
  request(`slides/${id}`, { method: "DELETE" });
export const thumbnailUrl = (id: string): string => apiUrl(`slides/${id}/thumbnail.jpeg`);
export const deepZoomUrl = (id: string): string => apiUrl(`slides/${id}.dzi`);

export function overlayTileUrl(
  slide: string,
  kind: OverlayKind,
  tile: { level: number; column: number; row: number },
  reading: number,
): string {
  // no version is named: the service shows the one whose proposals the patches show
  const query = new URLSearchParams({ v: String(reading) });
  const place = `${kind}_files/${tile.level}/${tile.column}_${tile.row}.png`;
  return apiUrl(`slides/${slide}/overlays/${place}?${query}`);
}

// --- patches
/** At most 20,000: more would only blacken the grid. */
export const listPatches = (slide: string): Promise<Patch[]> =>
  all(`slides/${slide}/patches?order=uncertainty&limit=500`, 20_000);

export async function nextPatch(
  slide: string,
  after: string | null,
  strategy: Strategy,
  wanted: string | null = null,
): Promise<QueueItem | null> {
  const query = new URLSearchParams({ slide_id: slide, strategy });
  if (after) query.set("after", after);
  if (wanted) query.set("patch_id", wanted);
  const response = await request(`queue/next?${query}`);
  return response.status === 204 ? null : ((await response.json()) as QueueItem);
}

/** The patches that come next; nobody's lease changes. */
export async function listComing(
  slide: string,
  after: string | null,
  strategy: Strategy,
): Promise<ComingPatch[]> {
  const query = new URLSearchParams({ slide_id: slide, strategy });
  if (after) query.set("after", after);
  return (await json<{ items: ComingPatch[] }>(`queue?${query}`)).items;
}

/** Skip a patch for now: it comes back when nothing else is left. */
export const putBack = (id: string): Promise<Response> =>
  request(`queue/${id}/skip`, { method: "POST" });

export async function readPatch(id: string): Promise<{ patch: Patch; etag: string }> {
  const response = await request(`patches/${id}`);
  const patch = (await response.json()) as Patch;
  return { patch, etag: response.headers.get("ETag") ?? `"r${patch.revision}"` };
}

/** Put a patch aside: the queue offers it to nobody any more. */
export const skipPatch = (id: string): Promise<Response> =>
  request(`patches/${id}/skip`, { method: "POST" });

export const patchImageUrl = (id: string): string => apiUrl(`patches/${id}/image.png`);

/** A patch's mask as PNG bytes; null when there is none. `model`: whose proposal, a version's id. */
export async function readPatchMask(
  id: string,
  kind: "proposal" | "uncertain_pixels" | "annotation",
  model: string | null = null,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const query = model ? `?${new URLSearchParams({ model_version: model })}` : "";
  try {
    const response = await request(`patches/${id}/${kind}.png${query}`, { cache: "no-cache" });
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

export const listAnnotations = async (patch: string): Promise<Annotation[]> =>
  (await json<Page<Annotation>>(`patches/${patch}/annotations?limit=20`)).items;

/**
 * Write a new revision on top of `etag`; the new ETag. `model`: the version whose proposal the
 * person was shown. Throws ApiError 412 when the revision is stale.
 */
export async function putAnnotation(
  patch: string,
  png: Uint8Array<ArrayBuffer>,
  about: { etag: string; source: Source; seconds: number; model?: string | null },
): Promise<string> {
  const query = new URLSearchParams({
    seconds_spent: Math.min(about.seconds, A_DAY).toFixed(2),
    source: about.source,
  });
  if (about.model) query.set("model_version", about.model);
  const response = await request(`patches/${patch}/annotation?${query}`, {
    method: "PUT",
    headers: { "Content-Type": "image/png", "If-Match": about.etag },
    body: png,
  });
  return response.headers.get("ETag") ?? (await readPatch(patch)).etag;
}

// --- learning
export const listRounds = (): Promise<RoundPage> => json("rounds?limit=20");
export const startRound = (): Promise<{ round?: Round; already_running?: boolean }> =>
  json("rounds", sending("POST", {}));
export const activateModelVersion = (id: string): Promise<ModelVersion> =>
  json(`model-versions/${id}/activate`, { method: "POST" });
export const listModelVersions = async (): Promise<ModelVersion[]> =>
  (await json<Page<ModelVersion>>("model-versions?limit=50")).items;
