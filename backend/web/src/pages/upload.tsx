/** Resumable upload by tus: drop files or choose them; a broken or reloaded page goes on. */

import { useRef, useState } from "preact/hooks";
import type { DetailedError, Upload } from "tus-js-client";
import {
  apiUrl,
  csrfHeaders,
  json,
  renewSession,
  sentence,
  STALE_TOKEN,
} from "../api/client";
import { notify } from "../shell/notices";
import type { Problem, UploadOut } from "../api/types";
import { Button } from "../shell/controls";

const NOT_READ =
  "What uploads files could not be read from the service. Load this page anew, then choose the file again.";
const CHUNK_BYTES = 8 * 1024 * 1024;

interface Item {
  id: number;
  name: string;
  size: number;
  sent: number;
  state: "sending" | "done" | "failed";
  message: string;
  /** Sending it again may help: the content itself was not refused. */
  retry: boolean;
  upload: Upload;
}

let number = 0;

/** Read when the first file is chosen: nobody needs it to look at slides. */
const tus = () => import("tus-js-client");

/** Whether an answer (status 0: none came) says nothing of the content itself. */
const passing = (status: number): boolean =>
  status === 0 || status === 409 || status === 423 || status === 429 || status >= 500;

/** What the service answered, if it did. */
const answerTo = (error: Error | DetailedError) =>
  "originalResponse" in error ? error.originalResponse : null;

const statusOf = (error: Error): number => answerTo(error)?.getStatus() ?? 0;

function codeOf(error: Error): string | undefined {
  const answer = answerTo(error);
  try {
    return answer ? (JSON.parse(answer.getBody()) as Problem).code : undefined;
  } catch {
    return undefined;
  }
}

function whyFailed(error: Error): string {
  const answer = answerTo(error);
  if (answer) {
    const status = answer.getStatus();
    try {
      return sentence(JSON.parse(answer.getBody()) as Problem, status);
    } catch {
      return sentence({}, status);
    }
  }
  return "The service can't be reached. The upload goes on from where it stopped.";
}

/** Says what came of the words of a file that was here already, if the service can be asked. */
async function tellDuplicate(upload: Upload): Promise<void> {
  const id = upload.url?.split("/").pop() ?? "";
  const answer = await json<UploadOut>(`uploads/${id}`).catch(() => undefined);
  const known = "This file is here already: no second slide was made.";
  const lost = answer?.duplicate?.kept.length !== 0;
  notify(answer?.duplicate?.detail ?? known, lost ? "bad" : "info");
}

/** `onSlide` gets the new slide's id, or "" when the service did not say it (a resumed end). */
export function UploadBox({ onSlide }: { onSlide: (id: string) => void }) {
  const [items, setItems] = useState<Item[]>([]);
  const [over, setOver] = useState(false);
  const [stain, setStain] = useState("HER2");
  const [caseId, setCaseId] = useState("");
  const chooser = useRef<HTMLInputElement>(null);

  const change = (id: number, part: Partial<Item>): void =>
    setItems((old) => old.map((item) => (item.id === id ? { ...item, ...part } : item)));

  async function add(file: File): Promise<void> {
    const { Upload } = await tus();
    const id = (number += 1);
    let slide = "";
    let known = false;
    const upload = new Upload(file, {
      endpoint: apiUrl("uploads"),
      chunkSize: CHUNK_BYTES,
      retryDelays: [0, 1000, 3000, 5000, 10_000, 20_000],
      metadata: { filename: file.name, stain, ...(caseId ? { case_id: caseId } : {}) },
      removeFingerprintOnSuccess: true,
      onBeforeRequest: (request) => {
        for (const [name, value] of Object.entries(csrfHeaders())) request.setHeader(name, value);
      },
      onAfterResponse: (_request, response) => {
        slide = response.getHeader("Slide-Id") ?? slide;
        known ||= response.getHeader("Slide-Duplicate") === "true";
      },
      onShouldRetry: (error) => {
        // the next try takes the token that the browser has by then
        const stale = codeOf(error) === STALE_TOKEN;
        if (stale) void renewSession().catch(() => undefined);
        return stale || passing(statusOf(error));
      },
      onProgress: (sent) => change(id, { sent }),
      onSuccess: () => {
        const message = known ? "Here already" : "Received";
        change(id, { state: "done", sent: file.size, message });
        if (known) void tellDuplicate(upload);
        onSlide(slide);
        setTimeout(() => setItems((old) => old.filter((item) => item.id !== id)), 4000);
      },
      onError: (error) =>
        change(id, {
          state: "failed",
          message: whyFailed(error),
          retry: passing(statusOf(error)),
        }),
    });
    const item: Item = {
      id,
      name: file.name,
      size: file.size,
      sent: 0,
      state: "sending",
      message: "",
      retry: false,
      upload,
    };
    setItems((old) => [...old, item]);
    const [earlier] = await upload.findPreviousUploads();
    if (earlier) upload.resumeFromPreviousUpload(earlier);
    upload.start();
  }

  function take(files: FileList | null | undefined): void {
    for (const file of files ?? []) add(file).catch(() => notify(NOT_READ, "bad"));
  }

  return (
    <section class="upload" aria-label="Upload slides">
      <div
        class={over ? "drop over" : "drop"}
        data-testid="upload-drop"
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          take(event.dataTransfer?.files);
        }}
      >
        <div class="drop-words">
          <strong>Drop slides here</strong>
          <span>SVS, NDPI, MRXS (zip), SCN, DICOM, tiled TIFF, or a PNG / JPEG field</span>
        </div>
        <label class="inline">
          Stain
          <input
            value={stain}
            data-testid="upload-stain"
            size={6}
            onInput={(event) => setStain(event.currentTarget.value)}
          />
        </label>
        <label class="inline">
          Case
          <input
            value={caseId}
            data-testid="upload-case"
            size={10}
            placeholder="optional"
            onInput={(event) => setCaseId(event.currentTarget.value)}
          />
        </label>
        <Button class="primary" onClick={() => chooser.current?.click()}>Choose files…</Button>
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          data-testid="upload-input"
          aria-label="Slide files"
          onChange={(event) => {
            take(event.currentTarget.files);
            event.currentTarget.value = "";
          }}
        />
      </div>
      <ul class="upload-items" aria-live="polite">
        {items.map((item) => (
          <li key={item.id} data-testid="upload-item" data-state={item.state}>
            <span class="upload-name">{item.name}</span>
            <progress
              data-testid="upload-progress"
              aria-label={`Upload of ${item.name}`}
              value={item.sent}
              max={item.size || 1}
            />
            <span class={item.state === "failed" ? "problem" : "quiet"}>
              {item.message || `${Math.floor((100 * item.sent) / (item.size || 1))} %`}
            </span>
            {item.retry && item.state === "failed" && (
              <Button
                onClick={() => {
                  change(item.id, { state: "sending", message: "" });
                  item.upload.start();
                }}
              >
                Try again
              </Button>
            )}
            {item.state !== "done" && (
              <Button
                class="plain"
                aria-label={`Cancel the upload of ${item.name}`}
                onClick={() => {
                  item.upload.abort(true).catch(() => undefined);
                  setItems((old) => old.filter((other) => other.id !== item.id));
                }}
              >
                ×
              </Button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
