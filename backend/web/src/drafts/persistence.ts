/**
 * Ask the browser not to throw unsaved strokes away when its disk runs full. One that refused may
 * agree another day, when it knows the page better: each tab asks once while it lives.
 */

const ASKED = "membrana.persistence";

export async function askToPersist(): Promise<void> {
  // only https and localhost have it
  const storage = (navigator as { storage?: StorageManager }).storage;
  try {
    if (!storage?.persist || sessionStorage.getItem(ASKED)) return;
    sessionStorage.setItem(ASKED, "asked"); // some browsers ask the person each time
    if (!(await storage.persisted())) await storage.persist();
  } catch (error) {
    console.warn("storage may be cleared by the browser", error);
  }
}
