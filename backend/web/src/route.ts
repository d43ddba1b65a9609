/** The address says what is open: #/slides/{id}/patches/{id}; so links and Back work. */

import { mayLeave } from "./shell/leaving";
import { showRoute } from "./store";

export interface Route {
  slide: string | null;
  patch: string | null;
}

export function parseRoute(hash: string): Route {
  const match = /^#\/slides\/([^/]+)(?:\/patches\/([^/]+))?$/.exec(hash);
  return { slide: match?.[1] ?? null, patch: match?.[2] ?? null };
}

/** The address whose place is on the page. */
let shown = "";

function show(hash: string): void {
  shown = hash;
  showRoute(parseRoute(hash));
}

/** Open a slide or patch if what is open now may be left. */
export async function go(slide: string, patch: string | null = null): Promise<void> {
  if (await mayLeave()) jump(slide, patch);
}

/** Open without asking: the caller has. */
export function jump(slide: string, patch: string | null = null): void {
  const hash = patch ? `#/slides/${slide}/patches/${patch}` : `#/slides/${slide}`;
  // shown before the address is set: what follows that finds it shown, and does not ask again
  if (hash !== shown) show(hash);
  location.hash = hash;
}

/** Follow the address from now on. */
export function followRoute(): void {
  async function listen(): Promise<void> {
    if (location.hash === shown) return;
    // a link, Back or a typed address: the page stays as it is while the person decides
    if (await mayLeave()) show(location.hash);
    else if (location.hash !== shown) history.pushState(null, "", shown || "#/");
  }
  show(location.hash);
  addEventListener("hashchange", () => void listen());
}
