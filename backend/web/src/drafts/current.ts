/** What the service has of a patch now, and how a draft of this browser is related to it. */

import { listAnnotations, readPatch, readPatchMask, request } from "../api/client";
import { asLabels, sameMask, UNSEEN } from "../masks/mask";
import { TILE_PX } from "../masks/mask_store";
import { decodeGray } from "../masks/png";
import { findDraft, type Draft } from "./journal";
import { revisionOf, type Current, type Kinship } from "./saving";

export async function readCurrent(patch: string): Promise<Current> {
  const { etag } = await readPatch(patch);
  const revision = revisionOf(etag);
  const annotations = await listAnnotations(patch);
  return {
    etag,
    revision,
    annotation: annotations.find((annotation) => annotation.revision === revision) ?? null,
  };
}

/** Compare the newest revision with a draft and with what was sent of it, pixel by pixel. */
export async function kinshipOf(draft: Draft, current: Current): Promise<Kinship> {
  const png = current.revision > 0 ? await readPatchMask(draft.patchId, "annotation") : null;
  if (!png) return "foreign";
  const newest = asLabels(await decodeGray(png));
  if (sameMask(newest, draft)) return "same";
  const mine = current.annotation?.author.id === draft.userId;
  if (!mine || current.revision !== revisionOf(draft.etag) + 1) return "foreign";
  for (const sent of (await findDraft(draft))?.unanswered ?? []) {
    if (sameMask(newest, asLabels(await decodeGray(sent)))) return "earlier";
  }
  return "foreign";
}

/** A revision's pixels as they are stored; of 0: nobody has looked anywhere. It never changes. */
export async function readRevisionPixels(id: string, revision: number): Promise<Uint8Array> {
  if (revision === 0) return new Uint8Array(TILE_PX * TILE_PX).fill(UNSEEN);
  const answer = await request(`patches/${id}/annotations/${revision}.png`);
  return asLabels(await decodeGray(new Uint8Array(await answer.arrayBuffer()))).data;
}
