/** Regions: what is scored and what is left out of it, drawn on the slide. */

import type { RegionFeature, RegionKind } from "../api/types";
import { her2, mayEdit } from "../store";
import { areaText } from "./polygon";
import {
  beginOutline,
  dropOutline,
  finishOutline,
  putBack,
  regions,
  relabelRegion,
  selectedRegion,
  selectRegion,
  takeAwayRegion,
  takeBackCorner,
  type Outline,
} from "./regions";
import { outlineViewport, showRegion } from "./use_her2";
import { REGION_KINDS, REGION_WORDS } from "./words";
import { Button, Options } from "../shell/controls";

const KEYS: Record<RegionKind, string> = { tumour: "T", exclude: "X", artefact: "F" };

export function RegionsPanel() {
  const features = regions.value;
  const outline = her2.outline.value;
  const removed = her2.removed.value;
  return (
    <>
      {mayEdit.value && (
        <section aria-label="Draw">
          <h2>Draw a region</h2>
          <div class="kind-row" role="group" aria-label="Draw a region">
            {REGION_KINDS.map((kind) => (
              <Button
                key={kind}
                class={outline?.kind === kind ? "tool chosen" : "tool"}
                aria-pressed={outline?.kind === kind}
                testid={`draw-${kind}`}
                onClick={() => beginOutline(kind)}
              >
                <KindMark kind={kind} />
                <span>
                  {REGION_WORDS[kind]} <kbd>{KEYS[kind]}</kbd>
                </span>
              </Button>
            ))}
          </div>
          {outline ? (
            <Drawing outline={outline} />
          ) : (
            <p class="quiet">
              Only cells inside tumour regions are scored. Exclude takes away what is not invasive;
              artefact what can't be read.
            </p>
          )}
        </section>
      )}
      <section aria-label="Regions">
        <div class="panel-head">
          <h2>On this slide</h2>
          {features.length > 0 && <span class="count">{features.length}</span>}
        </div>
        {her2.regions.value && features.length === 0 && (
          <p class="quiet" data-testid="regions-none">
            None yet. Without a tumour region a slide is not assessable.
          </p>
        )}
        <ol class="region-list">
          {features.map((region, number) => (
            <RegionItem key={region.id} region={region} number={number + 1} />
          ))}
        </ol>
        {removed && (
          <p class="note put-back">
            {REGION_WORDS[removed.properties.kind]} region taken away.{" "}
            <Button class="plain inline" testid="region-put-back" onClick={() => void putBack()}>
              Put it back
            </Button>
          </p>
        )}
      </section>
    </>
  );
}

function Drawing({ outline }: { outline: Outline }) {
  const { points, kind } = outline;
  return (
    <div class="drawing" data-testid="drawing" data-corners={points.length}>
      <p class="quiet" role="status">
        {points.length < 3
          ? "Click corner by corner on the slide; drag still moves it."
          : "Click the first corner, double-click or press Enter to close it."}
      </p>
      <div class="button-row">
        <Button disabled={points.length === 0} testid="region-corner-back" onClick={takeBackCorner}>
          Last corner <kbd>⌫</kbd>
        </Button>
        <Button testid="region-cancel" onClick={dropOutline}>Cancel <kbd>Esc</kbd></Button>
      </div>
      {points.length >= 3 ? (
        <Button
          class="primary wide"
          disabled={her2.savingRegions.value}
          testid="region-finish"
          onClick={finishOutline}
        >
          Close and save <kbd>Enter</kbd>
        </Button>
      ) : (
        <Button
          class="wide"
          disabled={her2.savingRegions.value}
          testid="region-field"
          onClick={() => outlineViewport(kind)}
        >
          Or take the visible field
        </Button>
      )}
    </div>
  );
}

function RegionItem({ region, number }: { region: RegionFeature; number: number }) {
  const { kind, name, area_um2 } = region.properties;
  const selected = selectedRegion.value?.id === region.id;
  return (
    <li
      class={selected ? "chosen" : ""}
      data-testid="region-item"
      data-region-id={region.id}
      data-kind={kind}
    >
      <Button
        class="plain region-name"
        aria-pressed={selected}
        onClick={() => {
          selectRegion(region.id);
          showRegion(region);
        }}
      >
        <KindMark kind={kind} />
        <span>{name || `${REGION_WORDS[kind]} ${number}`}</span>
        <span class="quiet">{areaText(area_um2)}</span>
      </Button>
      {selected && mayEdit.value && (
        <div class="region-edit">
          <label>
            <span class="unseen">Label</span>
            <select
              value={kind}
              disabled={her2.savingRegions.value}
              data-testid="region-kind"
              onChange={(event) => relabelRegion(region, event.currentTarget.value as RegionKind)}
            >
              <Options of={REGION_KINDS.map((other) => [other, REGION_WORDS[other]])} />
            </select>
          </label>
          <Button
            disabled={her2.savingRegions.value}
            testid="region-delete"
            onClick={() => void takeAwayRegion(region)}
          >
            Delete <kbd>Del</kbd>
          </Button>
        </div>
      )}
    </li>
  );
}

function KindMark({ kind }: { kind: RegionKind }) {
  return <i class={`kind-mark ${kind}`} aria-hidden="true" />;
}
