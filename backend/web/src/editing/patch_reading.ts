/** Everything of a patch that an editing begins from, read from the service. */

import { listAnnotations, patchImageUrl, readPatch, readPatchMask } from "../api/client";
import { asLabels, type Mask } from "../masks/mask";
import { decodeGray } from "../masks/png";
import type { Annotation, Patch } from "../api/types";

export interface PatchContent {
  patch: Patch;
  etag: string;
  image: HTMLImageElement;
  proposal: Mask | null;
  uncertain: Mask | null;
  /** The newest revision's. */
  annotation: Mask | null;
  revisions: Annotation[];
}

export async function readMask(
  id: string,
  kind: "proposal" | "uncertain_pixels" | "annotation",
): Promise<Mask | null> {
  const png = await readPatchMask(id, kind);
  return png && asLabels(await decodeGray(png));
}

async function readImage(id: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = patchImageUrl(id);
  await image.decode().catch(() => undefined); // the slide's own tiles still show below
  return image;
}

export async function readContent(patchId: string): Promise<PatchContent> {
  const [{ patch, etag }, image, proposal, uncertain] = await Promise.all([
    readPatch(patchId),
    readImage(patchId),
    readMask(patchId, "proposal"),
    readMask(patchId, "uncertain_pixels"),
  ]);
  const [annotation, revisions] =
    patch.revision > 0
      ? await Promise.all([readMask(patchId, "annotation"), listAnnotations(patchId)])
      : [null, []];
  return { patch, etag, image, proposal, uncertain, annotation, revisions };
}
