// What the reader chose. It stands in the address, which can be kept, sent and gone back from. Colours are the reader's alone: they stay in
// the browser, where it allows that.

const ADDRESSED = ["window", "scope", "feature", "span"];
const first = { window: "1h", scope: "watched", feature: "contribution", span: "seconds", theme: "auto" };
export const chosen = { ...first };

let tell = () => {}; // called with the name of what changed; with "window" for any of the address
let longestCovered = () => undefined;
let decided = false; // whether the window was chosen, by the reader or, when the first figures came, by the page
let address = null; // what the choices were taken from

const controlsOf = (name) => [...document.querySelectorAll(`input[name="${name}"], select[name="${name}"]`)];
const offers = (name, value) => controlsOf(name).some((control) => (
  control.type === "radio" ? control.value === value : [...control.options].some((option) => option.value === value)));

export function begin(changed, longest) {
  for (const name of Object.keys(chosen)) {
    for (const control of controlsOf(name)) control.addEventListener("change", () => chooseAndKeep(name, control.value));
  }
  let theme = null;
  try { theme = JSON.parse(localStorage.getItem("nomadwatch") ?? "{}")?.theme; } catch { /* then none */ }
  if (offers("theme", theme)) choose("theme", theme);
  takeAddress();
  [tell, longestCovered] = [changed, longest];
  addEventListener("popstate", () => { if (location.search !== address) { takeAddress(); tell("window"); } });
}

// The page opens on the longest window that is covered; until there is one, on the shortest. Whether that changed what is chosen.
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

// What the address says and the page offers; anything else in it is as if it were not there.
function takeAddress() {
  address = location.search;
  const asked = new URLSearchParams(address);
  for (const name of ADDRESSED) choose(name, offers(name, asked.get(name)) ? asked.get(name) : first[name]);
  decided = offers("window", asked.get("window"));
}

function chooseAndKeep(name, value) {
  choose(name, value);
  if (name === "theme") {
    try { localStorage.setItem("nomadwatch", JSON.stringify({ theme: value })); } catch { /* then not */ }
  } else {
    if (name === "window") decided = true; else openWindow();
    // A window that nobody chose is chosen anew by whoever opens the address.
    const kept = ADDRESSED.filter((each) => each !== "window" || decided);
    address = `?${new URLSearchParams(kept.map((each) => [each, chosen[each]]))}`;
    history.pushState(null, "", address);
  }
  tell(name);
}
