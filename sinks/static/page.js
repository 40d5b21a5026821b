// The live page. One stream brings the newest state; the past of the lines is fetched once and goes on from there.
import uPlot from "/vendor/uplot/uPlot.esm.js";
import { begin as beginChoices, chosen, openWindow } from "/choices.js";

const one = (selector, inside = document) => inside.querySelector(selector);
const all = (selector, inside = document) => inside.querySelectorAll(selector);

// The server writes a card for each platform: its title, the number of its colour, and where a repository's page is.
const CARDS = [...all(".card[data-platform]")].map((card) => [card.dataset.platform, card]);
const PLATFORMS = Object.fromEntries(CARDS.map(([platform, card]) => [platform, one("h2", card).textContent]));
const NUMBERS = Object.fromEntries(CARDS.map(([platform, card]) => [platform, Number(card.dataset.number)]));
const SITES = Object.fromEntries(CARDS.map(([platform, card]) => [platform, card.dataset.site]));
// What stands before a repository's name there, by what it holds.
const FOLDERS = Object.fromEntries(CARDS.map(([platform, card]) => [platform, JSON.parse(card.dataset.folders)]));
const WINDOWS = ["1h", "24h", "7d", "30d"];
const LOW = 0.95; // below it figures that a thin sample makes invalid are not to be trusted
const SILENT_AFTER = 15; // s without a sign of life; the server gives one every 5 s
const AGAIN_AFTER = 2000; // ms
// The two lengths of the lines: seconds shown at most and at least, between two points, in a break, between two rows of the table.
const SPANS = {
  seconds: { length: 600, least: 120, step: 1, gap: 61, every: 60, points: 600 },
  minutes: { length: 86400, least: 3600, step: 60, gap: 181, every: 7200, points: 1440 },
};

const monotonic = () => performance.now() / 1000;

// ---- choices

function chose(name) {
  if (name === "theme") return takeTheme();
  show();
  if (name === "span") return drawCharts(true);
  past = null; // of another choice: nothing more is added to it
  loadPast();
}

function takeTheme() {
  document.documentElement.dataset.theme = chosen.theme;
  drawCharts(true);
}

// The longest window that is covered, on every platform or else on one; undefined while there is none.
function longestCovered() {
  const platforms = Object.keys(PLATFORMS);
  const longest = (test) => WINDOWS.findLast((window) => platforms[test]((platform) => isCovered(platform, chosen.scope, window)));
  return longest("every") ?? longest("some");
}

// ---- words

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1, minimumFractionDigits: 1 });
const known = (value) => value !== undefined && value !== null;
const number = (value) => (!known(value) ? "–" : Number.isInteger(value) || Math.abs(value) >= 1000 ? whole.format(value) : fine.format(value));
// Rounding must not make a sample look complete.
const share = (value) => (!known(value) ? "–" : value < 1 && value > 0.999 ? ">99.9%" : value > 0 && value < 0.001 ? "<0.1%" : percent.format(value));
const time = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
const moment = (us) => (known(us) ? new Date(us / 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC" : "–");

// From when on a window is covered, with the date where that is another day.
function since(us) {
  if (!known(us)) return "not covered yet";
  const text = new Date(us / 1000).toISOString();
  const today = known(state?.front) && new Date(state.front / 1000).toISOString().slice(0, 10) === text.slice(0, 10);
  return `since ${today ? "" : `${text.slice(0, 10)} `}${text.slice(11, 16)}`;
}

function ago(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

// ---- writing into the page: only what changed, so that a selection and a screen reader are left alone

function write(node, text) { if (node.textContent !== text || node.firstElementChild) node.textContent = text; }

function mark(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Rows are lists of cells, a text or {text, ...attributes}; the first is the row's header.
function fill(body, rows, empty) {
  const columns = one("thead tr", body.parentNode).children.length;
  const wanted = rows.length ? rows : [[{ text: empty, class: "empty", colspan: columns }]];
  while (body.rows.length > wanted.length) body.deleteRow(-1);
  wanted.forEach((cells, place) => {
    let row = body.rows[place];
    if (row && row.cells.length !== cells.length) { row.replaceChildren(); }
    row ??= body.insertRow();
    mark(row, "aria-current", cells.current);
    cells.forEach((cell, column) => {
      const { text, href, ...attributes } = typeof cell === "object" ? cell : { text: cell };
      let node = row.cells[column];
      if (!node) {
        node = document.createElement(column === 0 && rows.length ? "th" : "td");
        if (node.tagName === "TH") node.scope = "row";
        row.append(node);
      }
      for (const attribute of [...node.attributes]) {
        if (attribute.name !== "scope" && !(attribute.name in attributes)) node.removeAttribute(attribute.name);
      }
      for (const [name, value] of Object.entries(attributes)) mark(node, name, value);
      if (href) link(node, text, href); else write(node, text);
    });
  });
}

function link(node, text, href) {
  let anchor = node.firstElementChild;
  if (!anchor) {
    node.replaceChildren();
    anchor = node.appendChild(document.createElement("a"));
    anchor.rel = "noopener noreferrer";
  }
  write(anchor, text);
  mark(anchor, "href", href);
}

// ---- the state

let state = null; // the newest that came
let connection = "connecting";
let lostAt = null;
let clock = null; // {at: s of the server, here: monotonic s}

const serverNow = () => (clock ? clock.at + monotonic() - clock.here : null);
const coverageOf = (platform, scope = chosen.scope, window = chosen.window) => state?.coverage?.[scope]?.[platform]?.[window];
const cellOf = (platform, feature = chosen.feature) => state?.cells?.[chosen.scope]?.[platform]?.[chosen.window]?.[feature] ?? {};
const isCovered = (platform, scope, window) => state?.status === "ok" && state.since?.[scope]?.[platform]?.[window] === undefined;
// Before there are figures, and after they have gone stale, nothing is withheld.
const isShown = (platform, scope = chosen.scope, window = chosen.window) => state?.status !== "ok" || isCovered(platform, scope, window);
const sinceOf = (platform, scope = chosen.scope, window = chosen.window) => state?.since?.[scope]?.[platform]?.[window];
const isReserved = (platform) => (state?.reserved ?? []).some((place) => place.join() === [chosen.scope, platform, chosen.window].join());

// No coverage holds for what the feeds show only a part of.
const isInPart = () => chosen.scope === "all" && chosen.feature === "preference";

function show() {
  if (openWindow()) { past = null; loadPast(); }
  showStatus();
  for (const node of all('[data-text="window"]')) write(node, chosen.window);
  for (const node of all('[data-text="feature"]')) write(node, chosen.feature);
  for (const node of all("[data-coverage]")) {
    const value = coverageOf(node.dataset.coverage, node.dataset.scope);
    const begun = isShown(node.dataset.coverage, node.dataset.scope) ? "" : `${since(sinceOf(node.dataset.coverage, node.dataset.scope))}, `;
    const inPart = node.closest("figure") && !begun && isInPart(); // what the lines show is of one feature
    write(node, inPart ? "seen only in part" : begun + (known(value) ? `coverage ${share(value)}` : "coverage unknown"));
    mark(node, "data-level", !known(value) || value < LOW ? "low" : null);
  }
  for (const platform of Object.keys(PLATFORMS)) showPlatform(platform, one(`.card[data-platform="${platform}"]`));
  showUncovered();
  const query = new URLSearchParams({ scope: chosen.scope, window: chosen.window, feature: chosen.feature });
  mark(one("#figures-csv"), "href", `/live/figures.csv?${query}`);
  mark(one("#lines-csv"), "href", `/live/history.csv?${query}&span=${chosen.span}`);
  const reserved = Object.keys(PLATFORMS).filter((platform) => state?.status === "ok" && isReserved(platform)).map((platform) => PLATFORMS[platform]);
  one("#reserved").hidden = !reserved.length;
  write(one("#reserved"), `Of ${reserved.join(" and ")} less than ${percent.format(LOW).replace(".0", "")} of all events of this window were seen. `
    + "People, repositories and means over repositories cannot be told from such a sample and are left out; choose Watched to see them.");
  one("#in-part").hidden = chosen.scope !== "all" || !known(state?.evaluated_at);
  const gap = state?.gap?.[chosen.scope]?.[chosen.window]?.[chosen.feature];
  write(one("#gap"), known(gap) ? `· GitHub ÷ Hugging Face: ${fine.format(gap)}` : "");
  showFeeds();
}

// Until a window is covered by half, its figures are no level of it: the first look at a feed brings what is older than its covered time.
function showUncovered() {
  const lacking = Object.keys(PLATFORMS).filter((platform) => !isShown(platform));
  one("#uncovered").hidden = !lacking.length;
  for (const window of WINDOWS) {
    const some = Object.keys(PLATFORMS).some((platform) => isShown(platform, chosen.scope, window));
    mark(one(`input[name="window"][value="${window}"]`).parentNode, "data-covered", some ? null : "no");
  }
  const said = lacking.map((platform) => `${PLATFORMS[platform]}: ${since(sinceOf(platform))}, coverage ${share(coverageOf(platform))}.`);
  write(one("#uncovered"), `${said.join(" ")} Less than half of the window ${chosen.window} was seen: its figures would be misleading and are not shown. `
    + "Choose a window that is covered, or come back later.");
}

function showPlatform(platform, card) {
  const total = cellOf(platform).activity;
  const about = isInPart() && isShown(platform) ? "seen only in part" : `coverage ${share(coverageOf(platform))}`;
  write(one('[data-figure="headline"]', card), isShown(platform) ? number(total) : since(sinceOf(platform)));
  write(one('[data-text="headline"]', card), isShown(platform)
    ? `${chosen.feature} activities in ${chosen.window}, ${about}` : `${about} of ${chosen.window}: too little for a figure`);
  const coverages = WINDOWS.map((window) => coverageOf(platform, chosen.scope, window));
  fill(one('[data-table="coverage"]', card), [["Coverage", ...coverages.map((value, place) => ({
    text: share(value), "data-level": known(value) && value < LOW ? "low" : null, "data-chosen": WINDOWS[place] === chosen.window ? "" : null,
  }))]]);
  const features = [...one('select[name="feature"]').options].map((option) => option.value);
  fill(one('[data-table="features"]', card), features.map((feature) => {
    const { activity, developers, repositories, intensity } = cellOf(platform, feature);
    const row = [feature, number(activity), number(developers), number(repositories), number(intensity)];
    row.current = feature === chosen.feature ? "true" : null;
    return row;
  }));
  const busiest = state?.busiest?.[platform]?.[chosen.window]?.[chosen.feature] ?? [];
  const rows = busiest.map(([repository, value]) => [named(platform, repository), number(value)]);
  const lacking = isShown(platform, "watched") ? null : `Covered too little: ${since(sinceOf(platform, "watched"))}.`;
  fill(one(`table[data-platform="${platform}"] [data-table="busiest"]`), rows, lacking ?? "None known in this window.");
  const releases = state?.releases?.[platform]?.[chosen.window] ?? [];
  fill(one(`table[data-platform="${platform}"] [data-table="releases"]`), releases.map(([release, value]) => [named(platform, release), number(value)]),
    lacking ?? "Nothing was published in this window.");
}

// A repository's name, as a link to its platform. Names of a simulated world lead nowhere, or to somebody else.
function named(platform, repository) {
  const [owner, name, more] = repository.split("/");
  const folder = FOLDERS[platform][state?.artefacts?.[repository]] ?? "";
  if (state?.world !== "real" || !SITES[platform] || !owner || !name || more !== undefined) return repository;
  return { text: repository, href: SITES[platform] + folder + [owner, name].map(encodeURIComponent).join("/") };
}

// "ok, moved to NEW/NAME" is well, too.
const isWell = (feed) => feed.state === "ok" || feed.state.startsWith("ok, ");

function showFeeds() {
  const feeds = state?.feeds ?? [];
  fill(one('[data-table="feeds"]'), feeds.map((each) => [
    each.feed,
    { text: each.state, "data-state": isWell(each) ? "ok" : "trouble" },
    { text: share(each.coverage), "data-level": known(each.coverage) && each.coverage < LOW ? "low" : null },
    known(each.lag) ? ago(each.lag) : "–",
  ]), "No feed has reported in the last minute.");
  const well = feeds.filter(isWell).length;
  write(one("#feeds-summary"), feeds.length ? `${well} of ${feeds.length} ok` : "none");
}

// What the status says must not change every second: a screen reader reads each change aloud.
function showStatus() {
  const measured = known(state?.evaluated_at) ? state.evaluated_at / 1e6 : null;
  const [status, text] = connection === "lost"
    ? ["lost", state ? `Connection lost at ${time(lostAt)} UTC; what you see is from then. Trying again …` : "No connection to the server. Trying again …"]
    : connection === "connecting" || !state ? ["connecting", "Connecting …"]
    : state.status === "starting" ? ["starting", "Nothing has been measured yet; the first figures come by themselves."]
    : state.status === "stale" ? ["stale", `Stale: nothing was measured since ${moment(state.evaluated_at)}. Old figures are not shown.`]
    : ["ok", state.world === "simulated" ? "Live, of a simulated world" : "Live"];
  document.body.dataset.connection = connection;
  mark(one("#status"), "data-status", status);
  write(one("#status-text"), text);
  write(one("#front"), moment(state?.front));
  const now = serverNow();
  write(one("#age"), measured === null || now === null ? "–" : `${ago(now - measured)} ago`);
  const simulated = state?.world === "simulated";
  one("#world").hidden = !simulated;
  one("#lines-clock").hidden = !simulated;
  mark(document.body, "data-world", state?.world);
  const warning = { lost: "⚠ ", stale: "⚠ ", starting: "… " }[status] ?? "";
  const title = `${warning}${simulated ? "SIMULATED · " : ""}nomadwatch`;
  if (document.title !== title) document.title = title;
}

// ---- the stream

let source = null;
let heard = 0;
let again = null;

function connect() {
  clearTimeout(again);
  source?.close();
  source = new EventSource("/live/events");
  heard = monotonic();
  source.addEventListener("beat", (event) => { hear(); clock = { at: JSON.parse(event.data).at / 1e6, here: monotonic() }; showStatus(); });
  source.addEventListener("state", (event) => { state = JSON.parse(event.data); hear(); append(); show(); });
  source.addEventListener("error", lose);
}

function hear() {
  heard = monotonic();
  if (connection !== "open") {
    connection = "open";
    loadPast(); // what was missed meanwhile
  }
}

// A refused stream is not tried again by the browser, and a silent one is never noticed by it: both are our business.
function lose() {
  if (connection !== "lost") {
    connection = "lost";
    lostAt = Date.now() / 1000;
    showStatus();
  }
  source.close();
  clearTimeout(again);
  again = setTimeout(connect, AGAIN_AFTER);
}

// ---- the past

let past = null; // {seconds, minutes}: {times, values: {platform: {activity, intensity}}}
let asked = 0;

async function loadPast() {
  const mine = ++asked;
  const { scope, window, feature } = chosen;
  try {
    const answer = await fetch(`/live/history?${new URLSearchParams({ scope, window, feature })}`);
    if (!answer.ok) return;
    const found = await answer.json();
    if (mine !== asked) return; // another choice was made meanwhile
    past = found;
    append(); // a state may have come while the answer was on its way
    drawCharts(true);
  } catch { /* the stream tells of a lost connection, and asks again when it is back */ }
}

// As the server does: the last figure of a second, and of a minute, is the one that stays.
function append() {
  if (!past || state?.status !== "ok") return;
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
  drawCharts(false);
}

// Where nothing was measured for too long the line is broken, not drawn across.
function broken(times, columns, gap) {
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

// ---- the charts

const CHARTS = {
  ...Object.fromEntries(CARDS.map(([platform]) => [platform, [[platform, "activity"]]])),
  intensity: CARDS.map(([platform]) => [platform, "intensity"]),
};
const drawn = {};

// What the clock of the figures said when it was `at` (s) here. A simulated world has its own clock; between two points it is taken as even.
function clockAt(at) {
  if (state?.world !== "simulated" || !past) return at;
  const { times, ends } = past[chosen.span];
  const to = times.findIndex((each) => each >= at);
  if (times[to] === at) return ends[to];
  if (to < 1 || !known(ends[to - 1]) || !known(ends[to])) return null;
  return ends[to - 1] + (at - times[to - 1]) / (times[to] - times[to - 1]) * (ends[to] - ends[to - 1]);
}

const clockTime = (at) => (known(clockAt(at)) ? time(clockAt(at)) : "");

function drawCharts(anew) {
  if (!past) return;
  const span = SPANS[chosen.span];
  const line = past[chosen.span];
  for (const [name, lines] of Object.entries(CHARTS)) {
    const node = one(`[data-chart="${name}"] .plot`);
    const data = broken(line.times, lines.map(([platform, measure]) => line.values[platform][measure]), span.gap);
    const end = line.times.at(-1) ?? Date.now() / 1000;
    const start = Math.max(end - span.length, Math.min(line.times[0] ?? end, end - span.least));
    mark(node, "aria-label", described(lines, line));
    if (anew || !drawn[name]) {
      drawn[name]?.destroy();
      drawn[name] = new uPlot(options(node, lines), data, node);
    } else {
      drawn[name].setData(data, false);
    }
    drawn[name].setScale("x", { min: start, max: end });
    tell(drawn[name], node, lines);
  }
  fillLines(line, span);
}

function options(node, lines) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("soft"), font: "12px system-ui, sans-serif", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  return {
    width: node.clientWidth,
    height: 180,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    cursor: { y: false, points: { size: 6 } },
    legend: { show: false },
    hooks: { setCursor: [(u) => tell(u, node, lines)] },
    // A figure that stands still is a line in the middle, and no scale goes below nothing.
    scales: { x: { time: true }, y: { range: (u, low, high) => (low === null ? [0, 1] : room(low, high)) } },
    axes: [
      { ...axis, space: 70, size: 28, values: (u, ticks, _, __, step) => ticks.map((at) => clockTime(at).slice(0, step < 60 ? 8 : 5)) },
      { ...axis, size: 56, values: (u, ticks) => ticks.map(number) },
    ],
    series: [
      {},
      ...lines.map(([platform]) => ({
        stroke: colour(`platform-${NUMBERS[platform]}`), width: 2, dash: NUMBERS[platform] % 2 ? [7, 4] : undefined,
        points: { size: 4, fill: colour(`platform-${NUMBERS[platform]}`) },
      })),
    ],
  };
}

// The values under the pointer, else the newest.
function tell(chart, node, lines) {
  const pointed = chart.cursor.left >= 0 ? chart.cursor.idx : null;
  const place = chart.data[0][pointed] === undefined ? chart.data[0].length - 1 : pointed;
  const legend = node.nextElementSibling;
  lines.forEach(([platform], line) => write(one(`[data-platform="${platform}"] b`, legend), number(chart.data[line + 1][place])));
  write(one("time", legend), place < 0 ? "" : `${clockTime(chart.data[0][place])} UTC`);
}

function room(low, high) {
  const margin = (high - low) * 0.15 || Math.abs(high) * 0.1 || 1;
  return [Math.max(0, low - margin), high + margin];
}

function described(lines, line) {
  return lines.map(([platform, measure]) => {
    const values = line.values[platform][measure].filter(known);
    if (!values.length) return `${PLATFORMS[platform]}: nothing known`;
    return `${PLATFORMS[platform]} ${measure}: now ${number(values.at(-1))}, first ${number(values[0])}, least ${number(Math.min(...values))}, `
      + `most ${number(Math.max(...values))}`;
  }).join("; ");
}

function fillLines(line, span) {
  if (!one("#lines-table").open) return;
  const rows = [];
  let next = Infinity;
  for (let place = line.times.length - 1; place >= 0 && rows.length < 12; place--) {
    if (line.times[place] > next) continue;
    next = line.times[place] - span.every;
    const values = ["activity", "intensity"].flatMap((measure) => Object.keys(PLATFORMS).map((platform) => line.values[platform][measure][place]));
    rows.push([clockTime(line.times[place]), ...values.map(number)]);
  }
  fill(one('[data-table="lines"]'), rows, "Nothing known yet.");
}

// ---- begin

beginChoices(chose, longestCovered);
takeTheme();
show();
drawn.sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const chart = drawn[target.parentNode.dataset.chart];
    if (chart && Math.abs(chart.width - contentRect.width) >= 1) chart.setSize({ width: contentRect.width, height: 180 });
  }
});
for (const node of all(".plot")) drawn.sizes.observe(node);
for (const form of all("form")) form.addEventListener("submit", (event) => event.preventDefault());
one("#lines-table").addEventListener("toggle", () => past && fillLines(past[chosen.span], SPANS[chosen.span]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts(true));
setInterval(() => {
  showStatus();
  if (connection !== "lost" && monotonic() - heard > SILENT_AFTER) lose();
}, 1000);
connect();
