/** The address says what is open: #/slides/{id}/patches/{id}; so links and Back work. */

import { useEffect, useState } from "preact/hooks";

export interface Route {
  slide: string | null;
  patch: string | null;
}

export function parseRoute(hash: string): Route {
  const match = /^#\/slides\/([^/]+)(?:\/patches\/([^/]+))?$/.exec(hash);
  return { slide: match?.[1] ?? null, patch: match?.[2] ?? null };
}

export function go(slide: string, patch: string | null = null): void {
  location.hash = patch ? `#/slides/${slide}/patches/${patch}` : `#/slides/${slide}`;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const listen = (): void => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", listen);
    return () => removeEventListener("hashchange", listen);
  }, []);
  return route;
}
