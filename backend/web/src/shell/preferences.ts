/** Choices that survive a reload, kept in this browser. */

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

export function readPreferences(): Preferences {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>;
    return { ...DEFAULTS, ...stored, layers: { ...DEFAULTS.layers, ...stored.layers } };
  } catch {
    return DEFAULTS;
  }
}

export function writePreferences(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // a full or forbidden storage only forgets choices
  }
}
