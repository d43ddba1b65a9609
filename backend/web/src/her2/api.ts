/** The service's part about HER2, typed: regions, the live score, cells, reports. */

import { all, apiUrl, json, request, sending } from "../api/client";
import type { Point } from "../masks/mask";
import type { Box0 } from "../viewer/viewer";
import type {
  Cell,
  CellAction,
  Label,
  LiveScore,
  RegionFeature,
  RegionKind,
  RegionSet,
  Report,
  ReportSummary,
  ReportWish,
  Ring,
  ScoreWish,
  Verdict,
} from "../api/types";

export interface TaggedRegions extends RegionSet {
  etag: string;
}

async function regionsOf(path: string, init?: RequestInit): Promise<TaggedRegions> {
  const response = await request(path, init);
  const body = (await response.json()) as RegionSet;
  return { ...body, etag: response.headers.get("ETag") ?? `"r${body.revision}"` };
}

function tagged(etag: string, init: RequestInit): RequestInit {
  return { ...init, headers: { ...init.headers, "If-Match": etag } };
}

/** What of a feature the service takes back. */
function shape(region: Pick<RegionFeature, "geometry" | "properties"> & { id?: string }): object {
  const { kind, name } = region.properties;
  const { id, geometry } = region;
  return { type: "Feature", id, geometry, properties: { kind, name } };
}

// --- regions
export const readRegions = (slide: string): Promise<TaggedRegions> =>
  regionsOf(`slides/${slide}/regions`);
/** Others' regions stay as they are, so no ETag is needed. */
export const addRegion = (slide: string, kind: RegionKind, ring: Ring): Promise<TaggedRegions> =>
  regionsOf(
    `slides/${slide}/regions`,
    sending("POST", {
      type: "Feature",
      geometry: { type: "Polygon", coordinates: [ring] },
      properties: { kind },
    }),
  );
export const putBackRegion = (slide: string, region: RegionFeature): Promise<TaggedRegions> =>
  regionsOf(`slides/${slide}/regions`, sending("POST", shape(region)));
export const changeRegion = (
  slide: string,
  region: RegionFeature,
  etag: string,
): Promise<TaggedRegions> =>
  regionsOf(`slides/${slide}/regions/${region.id}`, tagged(etag, sending("PUT", shape(region))));
export const removeRegion = (slide: string, id: string, etag: string): Promise<TaggedRegions> =>
  regionsOf(`slides/${slide}/regions/${id}`, tagged(etag, { method: "DELETE" }));

// --- live score
export const readScore = (slide: string): Promise<LiveScore> => json(`slides/${slide}/score`);
/** What is left out stays as it is. */
export const putScore = (slide: string, wanted: ScoreWish): Promise<unknown> =>
  json(`slides/${slide}/score`, sending("PUT", wanted));

// --- cells
export const MOST_CELLS = 2000;
export function readCells(slide: string, box: Box0): Promise<{ items: Cell[]; total: number }> {
  const query = new URLSearchParams({ limit: String(MOST_CELLS) });
  for (const side of ["x", "y", "width", "height"] as const) query.set(side, box[side].toFixed(1));
  return json(`slides/${slide}/cells?${query}`);
}
export const decideCell = (
  slide: string,
  at: Point,
  action: CellAction,
  about: { label?: Label; reason: string },
): Promise<unknown> => {
  const decision = { x: at.x, y: at.y, action, ...(about.label && { label: about.label }) };
  return json(
    `slides/${slide}/cells/decisions`,
    sending("POST", { decisions: [decision], reason: about.reason }),
  );
};

// --- reports
export const listReports = async (slide: string): Promise<ReportSummary[]> =>
  all(`slides/${slide}/reports?limit=100`, 100);
export const readReport = (id: string): Promise<Report> => json(`reports/${id}`);
/** A gap policy of null is the protocol's own. */
const wish = ({ gap, ...wanted }: ReportWish): object => (gap ? { ...wanted, gap } : wanted);
export const askReport = (slide: string, wanted: ReportWish): Promise<{ report_id: string }> =>
  json(`slides/${slide}/reports`, sending("POST", wish(wanted)));
export const amendReport = (
  id: string,
  wanted: ReportWish & { reason: string },
): Promise<{ report_id: string }> =>
  json(
    `reports/${id}/amend`,
    sending("POST", { ...wish(wanted), reason: wanted.reason }),
  );
export const signReport = (id: string, verdict: Verdict): Promise<Report> =>
  json(`reports/${id}/sign`, sending("POST", verdict));
export const readJob = (id: string): Promise<{ progress?: number; message?: string }> =>
  json(`jobs/${id}`);

/** The formats a report is downloaded in: what it is called, and how its name ends. */
export const FORMATS = [
  ["PDF", "pdf"],
  ["HTML", "html"],
  ["JSON", "json"],
  ["CSV", "csv"],
  ["FHIR", "fhir.json"],
  ["GeoJSON", "geojson"],
] as const;
export const reportUrl = (id: string, ending: string): string => apiUrl(`reports/${id}.${ending}`);

