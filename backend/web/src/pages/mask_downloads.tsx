/** People's masks of a slide, to take along: for QuPath, as pictures, or for other programs. */

import { apiUrl } from "../api/client";

/** What it is called, where it lies below the slide, and how its file's name ends. */
const FILES = [
  ["QuPath", "annotations.geojson", "geojson"],
  ["PNG", "export?format=png", "png.zip"],
  ["COCO", "export?format=coco", "coco.zip"],
  ["OME-Zarr", "export?format=ome-zarr", "ome-zarr.zip"],
] as const;

export function MaskDownloads({ slideId }: { slideId: string }) {
  return (
    <p class="facts mask-files">
      Masks:
      {FILES.map(([word, place, ending]) => (
        <a
          key={word}
          href={apiUrl(`slides/${slideId}/${place}`)}
          download
          data-testid={`masks-${ending}`}
        >
          {word}
        </a>
      ))}
    </p>
  );
}
