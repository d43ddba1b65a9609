/** The service's event stream: one connection a page, listeners by topic. */

import { apiUrl } from "./client";
import type { Source } from "./types";

interface Person {
  id: string;
  username: string;
}

export interface ServerEvent {
  id: string;
  kind?: string;
  subject?: string;
  slide_id?: string;
  state?: string;
  progress?: number | null;
  message?: string | null;
  /** Of an annotation: what was saved, by whom, and who else had the patch in hand. */
  revision?: number;
  author?: Person;
  source?: Source;
  restores?: number | null;
  taken_from?: Person | null;
}

export const TOPICS = [
  "job",
  "slide",
  "proposals",
  "round",
  "model_version",
  "patch",
  "annotation",
  "regions",
  "report",
  "score",
] as const;
export type Topic = (typeof TOPICS)[number];

export type Listener = (topic: Topic, event: ServerEvent) => void;

interface Subscriber {
  onEvent: Listener;
  catchUp: () => void;
}

const RETRY_MS = 3000;
const subscribers = new Set<Subscriber>();
let source: EventSource | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;

/**
 * Hear what happens. While the line is down nothing is heard, and what happened then never comes:
 * `catchUp` is called each time the stream begins, to read again what is shown. Returns the stop.
 */
export function subscribe(onEvent: Listener, catchUp: () => void): () => void {
  const subscriber = { onEvent, catchUp };
  subscribers.add(subscriber);
  return () => subscribers.delete(subscriber);
}

export function connect(): void {
  disconnect();
  source = new EventSource(apiUrl("events"));
  source.onopen = () => {
    for (const { catchUp } of [...subscribers]) catchUp();
  };
  source.onerror = () => {
    // a closed source (the service answered with an error) does not come back by itself
    if (source?.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY_MS);
  };
  for (const topic of TOPICS) {
    source.addEventListener(topic, (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as ServerEvent;
      for (const { onEvent } of [...subscribers]) onEvent(topic, event);
    });
  }
}

export function disconnect(): void {
  clearTimeout(retry);
  source?.close();
  source = null;
}
