/** What the panel says of strokes that are not saved. */

export const SAVED_AROUND = "The patches around are saved. This one stays as it was: nothing of it was painted.";
export const STORED = "Not saved yet; kept in this browser.";
export const NOT_STORED = "Not saved yet, and this browser keeps no copy: save before you leave the page.";
export const YOURS_IS_THE_SAME = "Your mask is the same, so nothing is left to save.";
export const STAYS_HERE = "Your pixels are kept here.";
export const SENT_LATER = "Your pixels are kept here and sent when the service is back.";
export const SENT_LATER_NOT_STORED =
  "This browser keeps no copy: leave this page open, and they are sent when the service is back.";
