/** The address says what is open: #/slides/{id}/patches/{id}; so links and Back work. */

import { useEffect, useRef, useState } from "preact/hooks";
import { mayLeave } from "./shell/leaving";

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

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  const shown = useRef(location.hash);
  useEffect(() => {
    async function listen(): Promise<void> {
      if (location.hash === shown.current) return;
      const asked = location.hash === allowed;
      allowed = null;
      // a link, Back or a typed address: the page stays as it is while the person decides
      if (asked || (await mayLeave())) {
        shown.current = location.hash;
        setRoute(parseRoute(location.hash));
      } else if (location.hash !== shown.current) {
        history.pushState(null, "", shown.current || "#/");
      }
    }
    const heard = (): void => void listen();
    addEventListener("hashchange", heard);
    return () => removeEventListener("hashchange", heard);
  }, []);
  return route;
}
