// The live page: connects the choices, the stream of states, and what is shown.
import { drawCharts, fillLines, followWidths } from "/charts.js";
import { begin as beginChoices, chosen, openWindow } from "/choices.js";
import { all, one } from "/dom.js";
import { append, forgetPast, loadPast } from "/lines.js";
import { show, showStatus } from "/show.js";
import { longestCovered, takeState } from "/state.js";
import { checkSilence, follow } from "/stream.js";

// The reader has chosen: `name` is what changed.
function chose(name) {
  if (name === "theme") return takeTheme();
  refresh();
  if (name === "span") return drawCharts(true);
  forgetPast();
  load();
}

function takeTheme() {
  document.documentElement.dataset.theme = chosen.theme;
  drawCharts(true);
}

async function load() {
  if (await loadPast()) drawCharts(true);
}

function refresh() {
  if (openWindow()) {
    forgetPast();
    load();
  }
  show();
}

beginChoices(chose, longestCovered);
takeTheme();
refresh();
followWidths();
for (const form of all("form")) form.addEventListener("submit", (event) => event.preventDefault());
one("#lines-table").addEventListener("toggle", () => fillLines());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts(true));
setInterval(() => {
  showStatus();
  checkSilence();
}, 1000);
follow({
  state(newest) {
    takeState(newest);
    if (append()) drawCharts(false);
    refresh();
  },
  beat: showStatus,
  opened: load, // what was missed meanwhile
  lost: showStatus,
});
