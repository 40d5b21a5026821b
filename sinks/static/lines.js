// The recent past that the lines show. It is fetched once for each choice, and continued from the stream.
import { chosen } from "/choices.js";
import { PLATFORMS } from "/platforms.js";
import { cellOf, state } from "/state.js";
import { known } from "/words.js";

// The two lengths, in seconds: the most and the least that is shown, between two points, a break, between two rows of the table.
export const SPANS = {
  seconds: { length: 600, least: 120, step: 1, gap: 61, every: 60, points: 600 },
  minutes: { length: 86400, least: 3600, step: 60, gap: 181, every: 7200, points: 1440 },
};

export let past = null; // {seconds, minutes}: {times, ends, values: {platform: {activity, intensity}}}
let asked = 0;

// Forget the past of another choice: nothing more is added to it.
export function forgetPast() { past = null; }

// Fetch the past of the choice. Whether it was taken: not if it failed, nor if another choice was made meanwhile.
export async function loadPast() {
  const mine = ++asked;
  const { scope, window, feature } = chosen;
  try {
    const answer = await fetch(`/live/history?${new URLSearchParams({ scope, window, feature })}`);
    if (!answer.ok) return false;
    const found = await answer.json();
    if (mine !== asked) return false;
    past = found;
    append(); // a state may have come in the meantime
    return true;
  } catch {
    return false; // the stream reports a lost connection, and loads the past when it is back
  }
}

// Add the newest state, as the server does: the last figure of a second, and of a minute, stays. Whether it may have changed.
export function append() {
  if (!past || state?.status !== "ok") return false;
  const at = state.evaluated_at / 1e6;
  for (const [name, { step, points }] of Object.entries(SPANS)) {
    const { times, ends, values } = past[name];
    const last = times.at(-1);
    if (last !== undefined && at <= last) continue;
    const lines = Object.keys(PLATFORMS).flatMap((platform) => ["activity", "intensity"].map((measure) => [platform, measure]));
    const columns = [times, ends, ...lines.map(([platform, measure]) => values[platform][measure])];
    const row = [at, known(state.front) ? state.front / 1e6 : null, ...lines.map(([platform, measure]) => cellOf(platform)[measure] ?? null)];
    if (last !== undefined && Math.floor(last / step) === Math.floor(at / step)) columns.forEach((column) => column.pop());
    columns.forEach((column, place) => column.push(row[place]));
    if (times.length > points) columns.forEach((column) => column.shift());
  }
  return true;
}

// The times and columns of a chart, with a break in the line where nothing was measured for longer than `gap` seconds.
export function broken(times, columns, gap) {
  const found = [[], ...columns.map(() => [])];
  times.forEach((at, place) => {
    if (place && at - times[place - 1] > gap) {
      found[0].push((at + times[place - 1]) / 2);
      columns.forEach((_, column) => found[column + 1].push(null));
    }
    found[0].push(at);
    columns.forEach((values, column) => found[column + 1].push(values[place]));
  });
  return found;
}

// What the clock of the figures showed at a time of this page (s). A simulated world has its own clock, which is taken to run evenly
// between two points. null if unknown.
export function clockAt(at) {
  if (state?.world !== "simulated" || !past) return at;
  const { times, ends } = past[chosen.span];
  const to = times.findIndex((each) => each >= at);
  if (times[to] === at) return ends[to];
  if (to < 1 || !known(ends[to - 1]) || !known(ends[to])) return null;
  return ends[to - 1] + (at - times[to - 1]) / (times[to] - times[to - 1]) * (ends[to] - ends[to - 1]);
}
