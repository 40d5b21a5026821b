// Numbers, shares and times in words. Unknown is a dash.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
export const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1, minimumFractionDigits: 1 });
export const known = (value) => value !== undefined && value !== null;
export const number = (value) => (!known(value) ? "–" : Number.isInteger(value) || Math.abs(value) >= 1000 ? whole.format(value) : fine.format(value));
// A sample must not look complete because of rounding.
export const share = (value) => (!known(value) ? "–" : value < 1 && value > 0.999 ? ">99.9%" : value > 0 && value < 0.001 ? "<0.1%" : percent.format(value));
export const time = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
export const moment = (us) => (known(us) ? new Date(us / 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC" : "–");

// Since when a window is covered, with the date if it is not the day of the newest events (front, µs).
export function since(us, front) {
  if (!known(us)) return "not covered yet";
  const text = new Date(us / 1000).toISOString();
  const today = known(front) && new Date(front / 1000).toISOString().slice(0, 10) === text.slice(0, 10);
  return `since ${today ? "" : `${text.slice(0, 10)} `}${text.slice(11, 16)}`;
}

export function ago(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}
