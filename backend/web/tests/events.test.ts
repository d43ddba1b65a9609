import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connect, disconnect, subscribe } from "../src/api/events";

/** The browser's event source: the network edge only. */
class Source extends EventTarget {
  static readonly CLOSED = 2;
  static made: Source[] = [];
  readyState = 1;
  onopen: () => void = () => undefined;
  onerror: () => void = () => undefined;
  constructor(readonly url: string) {
    super();
    Source.made.push(this);
  }
  close(): void {
    this.readyState = Source.CLOSED;
  }
}

beforeEach(() => {
  Source.made = [];
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("document", { baseURI: "http://lab.example/" });
});
afterEach(() => {
  disconnect();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("each beginning of the stream asks every subscriber to catch up, also a second one", () => {
  const first = vi.fn();
  const second = vi.fn();
  const stops = [subscribe(() => undefined, first), subscribe(() => undefined, second)];
  connect();
  Source.made[0]!.onopen();
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([1, 1]);

  // a line that comes back by itself
  Source.made[0]!.onerror();
  Source.made[0]!.onopen();
  expect(first).toHaveBeenCalledTimes(2);

  // one that the service ended: a new source, which knows of no event before it
  Source.made[0]!.close();
  Source.made[0]!.onerror();
  vi.runOnlyPendingTimers();
  expect(Source.made).toHaveLength(2);
  Source.made[1]!.onopen();
  expect(first).toHaveBeenCalledTimes(3);

  for (const stop of stops) stop();
  Source.made[1]!.onopen();
  expect(first).toHaveBeenCalledTimes(3);
});

test("an event reaches every subscriber with its topic", () => {
  const heard = vi.fn();
  const stop = subscribe(heard, () => undefined);
  connect();
  Source.made[0]!.dispatchEvent(new MessageEvent("patch", { data: '{"id":"p"}' }));
  expect(heard).toHaveBeenCalledWith("patch", { id: "p" });
  stop();
});
