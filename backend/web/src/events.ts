/** The service's event stream: one connection a page, listeners by topic. */

import { apiUrl } from "./api";

export interface ServerEvent {
  id: string;
  kind?: string;
  subject?: string;
  slide_id?: string;
  state?: string;
  progress?: number | null;
  message?: string | null;
}

export const TOPICS = [
  "job",
  "slide",
  "proposals",
  "round",
  "model_version",
  "patch",
  "regions",
  "report",
  "score",
] as const;
export type Topic = (typeof TOPICS)[number];

/** `connected` also comes after a broken connection: whoever shows lists reads them again. */
export type Listener = (topic: Topic | "connected" | "disconnected", event: ServerEvent) => void;

const NOTHING: ServerEvent = { id: "" };
const RETRY_MS = 3000;
const listeners = new Set<Listener>();
let source: EventSource | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;

export function subscribe(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(topic: Parameters<Listener>[0], event: ServerEvent): void {
  for (const listener of [...listeners]) listener(topic, event);
}

export function connect(): void {
  disconnect();
  source = new EventSource(apiUrl("events"));
  source.onopen = () => tell("connected", NOTHING);
  source.onerror = () => {
    tell("disconnected", NOTHING);
    // a closed source (the service answered with an error) does not come back by itself
    if (source?.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY_MS);
  };
  for (const topic of TOPICS) {
    source.addEventListener(topic, (message: MessageEvent<string>) => {
      tell(topic, JSON.parse(message.data) as ServerEvent);
    });
  }
}

export function disconnect(): void {
  clearTimeout(retry);
  source?.close();
  source = null;
}
