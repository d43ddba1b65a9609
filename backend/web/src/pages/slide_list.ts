/** The slides: read once, one slide read again when an event names it. */

import { batch } from "@preact/signals";
import { ApiError, listSlides, readSlide } from "../api/client";
import { subscribe } from "../api/events";
import { work } from "../store";
import type { Job, JobState, Slide } from "../api/types";

const ENDED: readonly JobState[] = ["succeeded", "failed", "cancelled"];

/** The jobs that a slide's card shows; others' subjects are rounds or reports. */
const OF_SLIDES: readonly string[] = ["ingest", "predict", "predict_viewport"];

export function reloadSlides(): void {
  listSlides().then(
    (slides) =>
      batch(() => {
        work.slides.value = slides;
        work.slidesProblem.value = "";
      }),
    (error: Error) => (work.slidesProblem.value = error.message),
  );
}

/** Show a slide as it is now; a new one first. */
export function putSlide(slide: Slide): void {
  const slides = work.slides.value ?? [];
  work.slides.value = slides.some(({ id }) => id === slide.id)
    ? slides.map((other) => (other.id === slide.id ? slide : other))
    : [slide, ...slides];
}

export function dropSlide(id: string): void {
  work.slides.value = work.slides.value?.filter((slide) => slide.id !== id) ?? null;
}

function rereadSlide(id: string): void {
  readSlide(id).then(putSlide, (error: unknown) => {
    if (error instanceof ApiError && error.status === 404) dropSlide(id);
  });
}

/** Read the slides, and each again when an event names it. Returns the stop. */
export function followSlides(): () => void {
  reloadSlides();
  return subscribe((topic, event) => {
    if (topic === "slide") rereadSlide(event.id);
    if (topic === "proposals") rereadSlide(event.subject ?? event.id);
    if (topic !== "job" || !event.subject || !OF_SLIDES.includes(event.kind ?? "")) return;
    // a prediction's subject goes on with its model version
    const [slideId = event.subject] = event.subject.split(":");
    const job: Job = {
      id: event.id,
      state: (event.state as JobState | undefined) ?? "running",
      kind: event.kind as Job["kind"],
      progress: event.progress ?? 0,
      message: event.message ?? "",
    };
    const slide = work.slides.value?.find(({ id }) => id === slideId);
    if (ENDED.includes(job.state)) rereadSlide(slideId);
    else if (slide) putSlide({ ...slide, job });
  }, reloadSlides);
}
