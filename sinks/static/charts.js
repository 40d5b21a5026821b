// The lines as charts and as a table.
import uPlot from "/vendor/uplot/uPlot.esm.js";
import { chosen } from "/choices.js";
import { all, fill, mark, one, write } from "/dom.js";
import { SPANS, broken, clockAt, past } from "/lines.js";
import { CARDS, NUMBERS, PLATFORMS } from "/platforms.js";
import { known, number, time } from "/words.js";

const CHARTS = {
  ...Object.fromEntries(CARDS.map(([platform]) => [platform, [[platform, "activity"]]])),
  intensity: CARDS.map(([platform]) => [platform, "intensity"]),
};
const drawn = {};
const HEIGHT = 180;

const clockTime = (at) => (known(clockAt(at)) ? time(clockAt(at)) : "");

// Draw the lines; `anew` after a change of colours, span or choice.
export function drawCharts(anew) {
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
    height: HEIGHT,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    cursor: { y: false, points: { size: 6 } },
    legend: { show: false },
    hooks: { setCursor: [(u) => tell(u, node, lines)] },
    // A constant figure is a line in the middle, and no scale goes below zero.
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

// Show the values under the pointer, else the newest.
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

// The lines in words, for screen readers.
function described(lines, line) {
  return lines.map(([platform, measure]) => {
    const values = line.values[platform][measure].filter(known);
    if (!values.length) return `${PLATFORMS[platform]}: nothing known`;
    return `${PLATFORMS[platform]} ${measure}: now ${number(values.at(-1))}, first ${number(values[0])}, least ${number(Math.min(...values))}, `
      + `most ${number(Math.max(...values))}`;
  }).join("; ");
}

// The lines as a table, if it is open.
export function fillLines(line = past?.[chosen.span], span = SPANS[chosen.span]) {
  if (!line || !one("#lines-table").open) return;
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

// Let the charts follow the width of the page.
export function followWidths() {
  const sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const chart = drawn[target.parentNode.dataset.chart];
      if (chart && Math.abs(chart.width - contentRect.width) >= 1) chart.setSize({ width: contentRect.width, height: HEIGHT });
    }
  });
  for (const node of all(".plot")) sizes.observe(node);
}
