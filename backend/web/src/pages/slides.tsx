/** The slide list: what each slide is, how far it is, and what it asks of a person. */

import { useState } from "preact/hooks";
import { deleteSlide, readSlide, setPixelSize, thumbnailUrl } from "../api/client";
import { MaskDownloads } from "./mask_downloads";
import { notify } from "../shell/notices";
import { RoundsPanel } from "../learning/rounds";
import { StatisticsFold } from "../learning/statistics_fold";
import { go } from "../route";
import { dropSlide, putSlide, reloadSlides } from "./slide_list";
import { mayEdit, page, work } from "../store";
import type { Slide, SlideState } from "../api/types";
import { UnsavedList, UnsavedTag } from "../drafts/unsaved";
import { UploadBox } from "./upload";
import { Button, Problem } from "../shell/controls";

const STATE_WORDS: Record<SlideState, string> = {
  uploaded: "Waiting",
  ingesting: "Being read",
  needs_mpp: "Pixel size needed",
  ready: "Ready",
  failed: "Failed",
  archived: "Archived",
};

export function SlidesPage() {
  const slides = work.slides.value;
  const problem = work.slidesProblem.value;
  return (
    <div class="slides-page">
      <main>
        <div class="page-title">
          <h1>Slides</h1>
          <span class="quiet">{slides && slides.length > 0 ? slides.length : ""}</span>
        </div>
        {slides && <UnsavedList slides={slides} />}
        {mayEdit.value && (
          <UploadBox
            onSlide={(id) => {
              if (id) readSlide(id).then(putSlide, reloadSlides);
              else reloadSlides();
            }}
          />
        )}
        {problem && (
          <p class="problem" role="alert">
            {problem}{" "}
            <Button onClick={reloadSlides}>Try again</Button>
          </p>
        )}
        {slides?.length === 0 && (
          <p class="quiet">No slides yet. The first one starts with an upload.</p>
        )}
        <ul class="slide-grid" data-testid="slide-list">
          {slides?.map((slide) => (
            <SlideCard key={slide.id} slide={slide} />
          ))}
        </ul>
      </main>
      <aside aria-label="Learning">
        <RoundsPanel open />
        <StatisticsFold />
      </aside>
    </div>
  );
}

function SlideCard({ slide }: { slide: Slide }) {
  const open = slide.state === "ready" || slide.state === "archived";
  const counts = slide.patch_counts;
  const reviewed = (counts?.annotated ?? 0) + (counts?.approved ?? 0);

  function remove(): void {
    if (!confirm(`Delete ${slide.name} with its annotations? This can't be undone.`)) return;
    deleteSlide(slide.id).then(
      () => dropSlide(slide.id),
      (error: Error) => notify(error.message, "bad"),
    );
  }

  return (
    <li
      class="slide-card"
      data-testid="slide-card"
      data-slide-id={slide.id}
      data-state={slide.state}
    >
      <Button
        class="thumb"
        disabled={!open}
        aria-label={`Open ${slide.name}`}
        testid="slide-open"
        onClick={() => void go(slide.id)}
      >
        {open ? (
          <img src={thumbnailUrl(slide.id)} alt="" loading="lazy" />
        ) : (
          <span class={`thumb-wait ${slide.state}`} aria-hidden="true" />
        )}
      </Button>
      <div class="slide-body">
        <div class="slide-head">
          <h2 title={slide.name}>{slide.name}</h2>
          <span class={`tag ${slide.state}`} data-testid="slide-state">
            {STATE_WORDS[slide.state]}
          </span>
        </div>
        <p class="facts">{facts(slide)}</p>
        {open && (
          <p class="facts" data-testid="slide-patches">
            {slide.patch_count.toLocaleString("en")} patches
            {reviewed > 0 && <strong> · {reviewed.toLocaleString("en")} reviewed</strong>}
          </p>
        )}
        {open && reviewed > 0 && <MaskDownloads slideId={slide.id} />}
        <div class="tags">
          <UnsavedTag slideId={slide.id} />
          {slide.synthetic && (
            <span class="tag synthetic" data-testid="slide-synthetic">
              synthetic
            </span>
          )}
          {slide.qc
            .filter((flag) => flag !== "synthetic")
            .map((flag) => (
              <span key={flag} class="tag qc" data-testid="slide-qc">
                {flag.replaceAll("_", " ")}
              </span>
            ))}
        </div>
        {slide.state === "needs_mpp" && <PixelSizeForm slide={slide} />}
        {slide.problem && (
          <p class="problem" data-testid="slide-problem">
            {slide.problem.detail}
          </p>
        )}
        {slide.job && ["queued", "running"].includes(slide.job.state) && (
          <div class="job" data-testid="slide-progress">
            <progress
              value={slide.job.progress ?? 0}
              max={1}
              aria-label={`Progress of ${slide.name}`}
            />
            <span class="quiet">
              {slide.job.message || (slide.job.state === "queued" ? "In the queue" : "Working")}
            </span>
          </div>
        )}
        {page.session.value?.user.role === "admin" && (
          <Button class="plain delete" testid="slide-delete" onClick={remove}>Delete</Button>
        )}
      </div>
    </li>
  );
}

function facts(slide: Slide): string {
  return [
    slide.stain,
    slide.case_id && `case ${slide.case_id}`,
    slide.block && `block ${slide.block}`,
    slide.width &&
      slide.height &&
      `${slide.width.toLocaleString("en")} × ${slide.height.toLocaleString("en")} px`,
    slide.mpp && `${slide.mpp.toPrecision(3)} µm/px`,
    slide.objective_power && `${slide.objective_power}×`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function PixelSizeForm({ slide }: { slide: Slide }) {
  const [error, setError] = useState("");

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const typed = new FormData(event.currentTarget as HTMLFormElement).get("mpp");
    const mpp = Number(String(typed).replace(",", "."));
    if (!(mpp > 0)) {
      setError("Type the micrometres that one pixel covers, such as 0.25.");
      return;
    }
    try {
      putSlide(await setPixelSize(slide.id, mpp));
    } catch (failure) {
      setError((failure as Error).message);
    }
  }

  return (
    <form class="mpp" data-testid="mpp-form" onSubmit={(event) => void submit(event)}>
      <label>
        The file does not say how large a pixel is. Micrometres per pixel:
        <input
          name="mpp"
          data-testid="mpp-input"
          inputMode="decimal"
          placeholder="0.25 at 40×, 0.5 at 20×"
          required
        />
      </label>
      <button class="primary" data-testid="mpp-submit">
        Go on
      </button>
      <Problem>{error}</Problem>
    </form>
  );
}
