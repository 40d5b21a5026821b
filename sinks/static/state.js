// The newest state that the server has sent, and what it says about the reader's choice.
import { chosen } from "/choices.js";
import { all } from "/dom.js";
import { PLATFORMS } from "/platforms.js";

export const WINDOWS = [...all('input[name="window"]')].map((input) => input.value);
export const LOW = 0.95; // a sample below this share makes some figures invalid

export let state = null;

export function takeState(newest) { state = newest; }

export const coverageOf = (platform, scope = chosen.scope, window = chosen.window) => state?.coverage?.[scope]?.[platform]?.[window];
export const cellOf = (platform, feature = chosen.feature) => state?.cells?.[chosen.scope]?.[platform]?.[chosen.window]?.[feature] ?? {};
export const sinceOf = (platform, scope = chosen.scope, window = chosen.window) => state?.since?.[scope]?.[platform]?.[window];
const isCovered = (platform, scope, window) => state?.status === "ok" && sinceOf(platform, scope, window) === undefined;
// Nothing is withheld before there are figures, or after they have become stale.
export const isShown = (platform, scope = chosen.scope, window = chosen.window) => state?.status !== "ok" || isCovered(platform, scope, window);
export const isReserved = (platform) => (state?.reserved ?? []).some((place) => place.join() === [chosen.scope, platform, chosen.window].join());
// The feeds show only a part of this, and no coverage says which.
export const isInPart = () => chosen.scope === "all" && chosen.feature === "preference";

// The longest window that is covered, on every platform or else on one; undefined if there is none.
export function longestCovered() {
  const platforms = Object.keys(PLATFORMS);
  const longest = (test) => WINDOWS.findLast((window) => platforms[test]((platform) => isCovered(platform, chosen.scope, window)));
  return longest("every") ?? longest("some");
}
