/** Choices that survive a reload, kept in this browser. */

import { useEffect, useState } from "preact/hooks";
import type { OverlayKind } from "../api/client";
import type { Strategy } from "../api/types";

export interface Preferences {
  layers: Record<OverlayKind, boolean>;
  /** Of the overlays, percent. */
  opacity: number;
  grid: boolean;
  regions: boolean;
  cells: boolean;
  diameter: number;
  maskOpacity: number;
  uncertain: boolean;
  advance: boolean;
  strategy: Strategy;
}

const KEY = "membrana.preferences";
const DEFAULTS: Preferences = {
  layers: { proposal: true, probability: false, uncertainty: false, annotation: true },
  opacity: 50,
  grid: true,
  regions: true,
  cells: true,
  diameter: 5,
  maskOpacity: 0.35,
  uncertain: true,
  advance: false,
  strategy: "uncertainty",
};

function stored(): Preferences {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>;
    return { ...DEFAULTS, ...kept, layers: { ...DEFAULTS.layers, ...kept.layers } };
  } catch {
    return DEFAULTS;
  }
}

export type SetPreferences = (part: Partial<Preferences>) => void;

export function usePreferences(): [Preferences, SetPreferences] {
  const [preferences, setPreferences] = useState(stored);
  useEffect(() => {
    try {
      localStorage.setItem(KEY, JSON.stringify(preferences));
    } catch {
      // a full or forbidden storage only forgets choices
    }
  }, [preferences]);
  return [preferences, (part) => setPreferences((old) => ({ ...old, ...part }))];
}
