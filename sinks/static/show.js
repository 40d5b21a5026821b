// Shows the state: cards, tables, feeds and the status line.
import { chosen } from "/choices.js";
import { all, fill, mark, one, write } from "/dom.js";
import { PLATFORMS, addressOf } from "/platforms.js";
import { LOW, WINDOWS, cellOf, coverageOf, isInPart, isReserved, isShown, sinceOf, state } from "/state.js";
import { connection, lostAt, serverNow } from "/stream.js";
import { ago, fine, known, moment, number, percent, share, since, time } from "/words.js";

// Show the state and the choice.
export function show() {
  showStatus();
  for (const node of all('[data-text="window"]')) write(node, chosen.window);
  for (const node of all('[data-text="feature"]')) write(node, chosen.feature);
  for (const node of all("[data-coverage]")) {
    const value = coverageOf(node.dataset.coverage, node.dataset.scope);
    const begun = isShown(node.dataset.coverage, node.dataset.scope) ? "" : `${since(sinceOf(node.dataset.coverage, node.dataset.scope), state?.front)}, `;
    const inPart = node.closest("figure") && !begun && isInPart(); // the lines show one feature
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
  write(one("#reserved"), `Less than ${percent.format(LOW).replace(".0", "")} of all events of this window were seen on ${reserved.join(" and ")}. `
    + "Such a sample does not tell the numbers of people and repositories, nor means over repositories: they are left out. Choose Watched to see them.");
  one("#in-part").hidden = chosen.scope !== "all" || !known(state?.evaluated_at);
  const gap = state?.gap?.[chosen.scope]?.[chosen.window]?.[chosen.feature];
  write(one("#gap"), known(gap) ? `· GitHub ÷ Hugging Face: ${fine.format(gap)}` : "");
  showFeeds();
}

// Figures of a window that is covered by less than half are not shown: the first poll of a feed brings older activities as well.
function showUncovered() {
  const lacking = Object.keys(PLATFORMS).filter((platform) => !isShown(platform));
  one("#uncovered").hidden = !lacking.length;
  for (const window of WINDOWS) {
    const some = Object.keys(PLATFORMS).some((platform) => isShown(platform, chosen.scope, window));
    mark(one(`input[name="window"][value="${window}"]`).parentNode, "data-covered", some ? null : "no");
  }
  const said = lacking.map((platform) => `${PLATFORMS[platform]}: ${since(sinceOf(platform), state?.front)}, coverage ${share(coverageOf(platform))}.`);
  write(one("#uncovered"), `${said.join(" ")} Less than half of the window ${chosen.window} was seen, so its figures would be misleading and are not shown. `
    + "Choose a window that is covered, or come back later.");
}

function showPlatform(platform, card) {
  const total = cellOf(platform).activity;
  const about = isInPart() && isShown(platform) ? "seen only in part" : `coverage ${share(coverageOf(platform))}`;
  write(one('[data-figure="headline"]', card), isShown(platform) ? number(total) : since(sinceOf(platform), state?.front));
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
  const lacking = isShown(platform, "watched") ? null : `Covered too little: ${since(sinceOf(platform, "watched"), state?.front)}.`;
  fill(one(`table[data-platform="${platform}"] [data-table="busiest"]`), rows, lacking ?? "None known in this window.");
  const releases = state?.releases?.[platform]?.[chosen.window] ?? [];
  fill(one(`table[data-platform="${platform}"] [data-table="releases"]`), releases.map(([release, value]) => [named(platform, release), number(value)]),
    lacking ?? "Nothing was published in this window.");
}

// The name of a repository, as a link to its platform. Names of a simulated world are not linked.
function named(platform, repository) {
  const href = state?.world === "real" ? addressOf(platform, repository, state?.artefacts?.[repository]) : undefined;
  return href ? { text: repository, href } : repository;
}

// A feed whose state is "ok, moved to NEW/NAME" is well.
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

// The text of the status must not change every second: a screen reader reads each change aloud.
export function showStatus() {
  const measured = known(state?.evaluated_at) ? state.evaluated_at / 1e6 : null;
  const [status, text] = connection === "lost"
    ? ["lost", state ? `Connection lost at ${time(lostAt)} UTC; the figures are from that time. Trying again …` : "No connection to the server. Trying again …"]
    : connection === "connecting" || !state ? ["connecting", "Connecting …"]
    : state.status === "starting" ? ["starting", "Nothing has been measured yet; the first figures will appear here."]
    : state.status === "stale" ? ["stale", `Stale: nothing has been measured since ${moment(state.evaluated_at)}. Old figures are not shown.`]
    : ["ok", state.world === "simulated" ? "Live, from a simulated world" : "Live"];
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
