/** The slides as a hook: read once, one slide read again when an event names it. */

import { useCallback, useEffect, useState } from "preact/hooks";
import { ApiError, listSlides, readSlide } from "../api/client";
import { subscribe } from "../api/events";
import type { Job, JobState, Slide } from "../api/types";

export interface SlideList {
  slides: Slide[] | null;
  error: string;
  reload(): void;
  put(slide: Slide): void;
  remove(id: string): void;
}

const ENDED: readonly JobState[] = ["succeeded", "failed", "cancelled"];

/** The jobs that a slide's card shows; others' subjects are rounds or reports. */
const OF_SLIDES: readonly string[] = ["ingest", "predict", "predict_viewport"];

export function useSlideList(): SlideList {
  const [slides, setSlides] = useState<Slide[] | null>(null);
  const [error, setError] = useState("");

  const reload = useCallback(() => {
    listSlides().then(
      (items) => {
        setSlides(items);
        setError("");
      },
      (failure: Error) => setError(failure.message),
    );
  }, []);
  const put = useCallback((slide: Slide) => {
    setSlides((old) => {
      if (!old) return [slide];
      const known = old.some((other) => other.id === slide.id);
      return known ? old.map((other) => (other.id === slide.id ? slide : other)) : [slide, ...old];
    });
  }, []);
  const remove = useCallback((id: string) => {
    setSlides((old) => old?.filter((slide) => slide.id !== id) ?? null);
  }, []);

  useEffect(() => {
    reload();
    const reread = (id: string): void => {
      readSlide(id).then(put, (failure: unknown) => {
        if (failure instanceof ApiError && failure.status === 404) remove(id);
      });
    };
    return subscribe((topic, event) => {
      if (topic === "slide") reread(event.id);
      if (topic === "proposals") reread(event.subject ?? event.id);
      if (topic !== "job" || !event.subject || !OF_SLIDES.includes(event.kind ?? "")) return;
      // a prediction's subject goes on with its model version
      const [slideId = event.subject] = event.subject.split(":");
      const job: Job = {
        id: event.id,
        state: (event.state as JobState | undefined) ?? "running",
        progress: event.progress ?? null,
        message: event.message ?? null,
        ...(event.kind ? { kind: event.kind } : {}),
      };
      if (ENDED.includes(job.state)) reread(slideId);
      else
        setSlides(
          (old) =>
            old?.map((slide) => (slide.id === slideId ? { ...slide, job } : slide)) ?? null,
        );
    }, reload);
  }, [reload, put, remove]);

  return { slides, error, reload, put, remove };
}
