/** Ask the browser, once, not to throw unsaved strokes away when its disk runs full. */

const ASKED = "membrana.persistence";

export async function askToPersist(): Promise<void> {
  // only https and localhost have it
  const storage = (navigator as { storage?: StorageManager }).storage;
  try {
    if (!storage?.persist || localStorage.getItem(ASKED)) return;
    localStorage.setItem(ASKED, "asked"); // some browsers ask the person each time
    if (!(await storage.persisted())) await storage.persist();
  } catch (error) {
    console.warn("storage may be cleared by the browser", error);
  }
}
