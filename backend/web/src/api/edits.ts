/** Tiles that are painted together: saved all of them, or none. */

import { ApiError, json, sending } from "./client";
import type { EditIn, EditSaved } from "./schema";

export type TileChange = EditIn["tiles"][number];
export type SavedEdit = EditSaved["tiles"];

/** A tile that is at another revision than a change of it rests on. */
export interface MovedTile {
  x: number;
  y: number;
  patch_id: string;
  revision: number;
  author?: { id: string; username: string };
  created_at?: string;
}

/** Write the next revision of every tile. Throws ApiError 412 where any has moved. */
export const saveEdit = async (slide: string, edit: EditIn): Promise<SavedEdit> =>
  (await json<EditSaved>(`slides/${slide}/edits`, sending("POST", edit))).tiles;

/** The tiles that a 412 lists. */
export function movedTiles(error: ApiError): MovedTile[] {
  const { tiles } = error.problem as { tiles?: MovedTile[] };
  return tiles ?? [];
}

export function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
