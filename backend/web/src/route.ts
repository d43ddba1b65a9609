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

/** The address that was asked about already. */
let allowed: string | null = null;

/** Open a slide or patch if what is open now may be left. */
export async function go(slide: string, patch: string | null = null): Promise<void> {
  if (await mayLeave()) jump(slide, patch);
}

/** Open without asking: the caller has. */
export function jump(slide: string, patch: string | null = null): void {
  const hash = patch ? `#/slides/${slide}/patches/${patch}` : `#/slides/${slide}`;
  if (location.hash === hash) return;
  allowed = hash;
  location.hash = hash;
}

/** Follow the address from now on. */
export function followRoute(): void {
  let shown = location.hash;
  async function listen(): Promise<void> {
    if (location.hash === shown) return;
    const asked = location.hash === allowed;
    allowed = null;
    // a link, Back or a typed address: the page stays as it is while the person decides
    if (asked || (await mayLeave())) {
      shown = location.hash;
      showRoute(parseRoute(shown));
    } else if (location.hash !== shown) {
      history.pushState(null, "", shown || "#/");
    }
  }
  showRoute(parseRoute(shown));
  addEventListener("hashchange", () => void listen());
}
