/** Everything of a patch that an editing begins from, read from the service. */

import { listAnnotations, patchImageUrl, readPatch, readPatchMask } from "../api/client";
import { asLabels, wholeMask, type Mask } from "../masks/mask";
import { decodeGray } from "../masks/png";
import type { Annotation, Patch } from "../api/types";

export interface PatchContent {
  patch: Patch;
  etag: string;
  image: HTMLImageElement;
  /** Of the model version that the patch names. */
  proposal: Mask | null;
  uncertain: Mask | null;
  /** The newest revision's, with the proposal where nobody has looked. */
  annotation: Mask | null;
  revisions: Annotation[];
}

export async function readMask(
  id: string,
  kind: "proposal" | "uncertain_pixels" | "annotation",
  model: string | null = null,
): Promise<Mask | null> {
  const png = await readPatchMask(id, kind, model);
  return png && asLabels(await decodeGray(png));
}

export async function readImage(id: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = patchImageUrl(id);
  await image.decode().catch(() => undefined); // the slide's own tiles still show below
  return image;
}

/** Of patches that come next: read before they are asked for, a few at a time. */
let ahead = new Map<string, Promise<PatchContent | null>>();

/** Read these ahead, and forget what was read ahead of others. */
export function readAhead(patchIds: string[]): void {
  ahead = new Map(
    patchIds.map((id) => [id, ahead.get(id) ?? readContent(id).catch(() => null)] as const),
  );
}

/** What was read ahead, if it is still so: one question, and no pixel comes twice. */
async function readAlready(patchId: string): Promise<PatchContent | null> {
  const waiting = ahead.get(patchId);
  ahead.delete(patchId);
  const content = (await waiting) ?? null;
  if (!content) return null;
  const { patch, etag } = await readPatch(patchId);
  const same = etag === content.etag && patch.model_version_id === content.patch.model_version_id;
  return same ? { ...content, patch } : null;
}

/** Everything of a patch as it is now. */
export async function openContent(patchId: string): Promise<PatchContent> {
  return (await readAlready(patchId)) ?? readContent(patchId);
}

async function readContent(patchId: string): Promise<PatchContent> {
  const picture = readImage(patchId);
  const { patch, etag } = await readPatch(patchId);
  const { model_version_id: model, revision } = patch;
  // another version may become the shown one at any time: what is read is of the one that is named
  const [image, proposal, uncertain, annotation, revisions] = await Promise.all([
    picture,
    model ? readMask(patchId, "proposal", model) : null,
    model ? readMask(patchId, "uncertain_pixels", model) : null,
    revision > 0 ? readMask(patchId, "annotation") : null,
    revision > 0 ? listAnnotations(patchId) : [],
  ]);
  const whole = annotation && wholeMask(annotation, proposal);
  return { patch, etag, image, proposal, uncertain, annotation: whole, revisions };
}
