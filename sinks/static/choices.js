// The reader's choices. They are kept in the address, which can be bookmarked and shared. The colours are kept in the browser, if it allows
// that.

const ADDRESSED = ["window", "scope", "feature", "span"];
const first = { window: "1h", scope: "watched", feature: "contribution", span: "seconds", theme: "auto" };
export const chosen = { ...first };

let tell = () => {}; // called with the name of the choice that has changed; "window" after a change of the address
let longestCovered = () => undefined;
let decided = false; // whether the window was chosen: by the reader, or by the page with the first figures
let address = null; // the query of the address that the choices were taken from

const controlsOf = (name) => [...document.querySelectorAll(`input[name="${name}"], select[name="${name}"]`)];
const offers = (name, value) => controlsOf(name).some((control) => (
  control.type === "radio" ? control.value === value : [...control.options].some((option) => option.value === value)));

export function begin(changed, longest) {
  for (const name of Object.keys(chosen)) {
    for (const control of controlsOf(name)) control.addEventListener("change", () => chooseAndKeep(name, control.value));
  }
  let theme = null;
  try { theme = JSON.parse(localStorage.getItem("nomadwatch") ?? "{}")?.theme; } catch { /* no choice is kept */ }
  if (offers("theme", theme)) choose("theme", theme);
  takeAddress();
  [tell, longestCovered] = [changed, longest];
  addEventListener("popstate", () => { if (location.search !== address) { takeAddress(); tell("window"); } });
}

// Choose the longest window that is covered, unless a window was chosen before. Whether the choice has changed.
export function openWindow() {
  const found = decided ? undefined : longestCovered();
  if (found === undefined) return false;
  decided = true;
  const before = chosen.window;
  choose("window", found);
  return found !== before;
}

function choose(name, value) {
  chosen[name] = value;
  for (const control of controlsOf(name)) {
    if (control.type === "radio") control.checked = control.value === value; else control.value = value;
  }
}

// Take the choices from the address. Values that the page does not offer are ignored.
function takeAddress() {
  address = location.search;
  const asked = new URLSearchParams(address);
  for (const name of ADDRESSED) choose(name, offers(name, asked.get(name)) ? asked.get(name) : first[name]);
  decided = offers("window", asked.get("window"));
}

function chooseAndKeep(name, value) {
  choose(name, value);
  if (name === "theme") {
    try { localStorage.setItem("nomadwatch", JSON.stringify({ theme: value })); } catch { /* it is not kept */ }
  } else {
    if (name === "window") decided = true; else openWindow();
    // A window that was not chosen yet is left out, and chosen when the address is opened.
    const kept = ADDRESSED.filter((each) => each !== "window" || decided);
    address = `?${new URLSearchParams(kept.map((each) => [each, chosen[each]]))}`;
    history.pushState(null, "", address);
  }
  tell(name);
}
