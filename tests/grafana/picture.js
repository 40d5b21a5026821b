// Draws a dashboard's panels on Grafana's grid, from the answers to their queries: for a person's eye, not a copy of Grafana.
const COLOURS = { blue: "#5794f2", orange: "#ff9830", green: "#73bf69", red: "#f2495c", text: "#ccccdc", transparent: "transparent" };
const PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a"];
const UNIT = 38;

const element = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

function number(value, decimals, most = 2) {
  if (decimals != null) return value.toFixed(decimals);
  return Math.abs(value) >= 100 || Number.isInteger(value) ? value.toFixed(0) : String(Number(value.toPrecision(most + 1)));
}

function format(value, unit, decimals) {
  if (value == null || Number.isNaN(value)) return "";
  if (unit === "percentunit") return number(100 * value, decimals, 1) + " %";
  if (unit === "s") {
    const size = Math.abs(value);
    for (const [name, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1], ["ms", 0.001]])
      if (size >= length) return number(value / length, decimals) + " " + name;
    return "0 s";
  }
  if (unit === "sci") return value.toExponential(decimals ?? 1);
  if (unit.startsWith("suffix:")) return number(value, decimals) + unit.slice(7);
  if (unit === "short" && decimals == null && Math.abs(value) >= 1e6) return number(value / 1e6, null) + " Mil";
  if (unit === "short" && decimals == null && Math.abs(value) >= 1e3) return number(value / 1e3, null) + " K";
  return number(value, decimals, 4);
}

function colourOf(value, steps) {
  let found = "text";
  for (const step of steps ?? []) if (step.value == null || value >= step.value) found = step.color;
  return COLOURS[found] ?? found;
}

function drawLines(body, panel) {
  const times = [...new Set(panel.series.flatMap((series) => series.points.map(([at]) => at)))].sort((a, b) => a - b);
  const columns = panel.series.map((series) => {
    const points = new Map(series.points);
    return times.map((at) => points.get(at) ?? null);
  });
  if (panel.stacked)
    for (let row = 0; row < times.length; row++)
      for (let n = columns.length - 2; n >= 0; n--) columns[n][row] = (columns[n][row] ?? 0) + (columns[n + 1][row] ?? 0);
  const colours = panel.series.map((series, n) => COLOURS[series.colour] ?? PALETTE[n % PALETTE.length]);
  const legend = element("div", "legend");
  panel.series.forEach((series, n) => {
    const item = element("span", "item", `${series.name}  ${format(series.points.at(-1)?.[1], panel.unit, panel.decimals)}`);
    item.style.setProperty("--colour", colours[n]);
    legend.append(item);
  });
  body.append(legend);
  if (panel.beside) legend.classList.add("beside");
  const width = body.clientWidth - (panel.beside ? legend.offsetWidth + 8 : 16);
  const height = body.clientHeight - (panel.beside ? 4 : legend.offsetHeight + 4);
  const across = (plot) => {
    if (panel.line == null) return;
    const y = plot.valToPos(panel.line, "y", true);
    plot.ctx.save();
    plot.ctx.setLineDash([6, 4]);
    plot.ctx.strokeStyle = COLOURS.text;
    plot.ctx.beginPath();
    plot.ctx.moveTo(plot.bbox.left, y);
    plot.ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
    plot.ctx.stroke();
    plot.ctx.restore();
  };
  const axis = { stroke: "#9fa7b3", grid: { stroke: "#2c3235", width: 1 }, ticks: { show: false }, font: "11px sans-serif" };
  const bound = (low, high) => [panel.low ?? low, panel.high ?? (high > low ? high : low + 1)];
  const range = panel.logarithmic ? (_, low, high) => [2 ** Math.floor(Math.log2(Math.min(low, panel.line ?? low))), 2 ** Math.ceil(Math.log2(Math.max(high, panel.line ?? high)) + 0.01)] : (_, low, high) => bound(low - 0.05 * (high - low), high + 0.05 * (high - low));
  new uPlot(
    {
      width, height, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: true }, y: { distr: panel.logarithmic ? 3 : 1, log: 2, range } },
      axes: [axis, { ...axis, size: 74, values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : format(tick, panel.unit))) }],
      series: [{}, ...colours.map((stroke) => ({ stroke, width: 1.5, fill: stroke + (panel.stacked ? "40" : "00"), points: { show: times.length < 30 } }))],
      hooks: { draw: [across] },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    },
    [times, ...columns],
    body,
  );
  body.append(legend);
}

function drawNumbers(body, panel) {
  body.classList.add("numbers");
  for (const series of panel.series) {
    const value = series.points.at(-1)[1];
    const box = element("div", "number");
    if (series.name) box.append(element("div", "name", series.name));
    const large = element("div", "value", panel.words[value] ?? format(value, panel.unit, panel.decimals));
    large.style.color = colourOf(value, panel.steps);
    box.append(large);
    body.append(box);
  }
}

function drawBars(body, panel) {
  const most = Math.max(...panel.series.map((series) => series.points.at(-1)[1]));
  for (const series of panel.series) {
    const value = series.points.at(-1)[1];
    const row = element("div", "bar");
    const bar = element("div", "length");
    bar.style.width = `${(60 * value) / most}%`;
    bar.style.background = COLOURS[panel.colour] ?? PALETTE[0];
    row.append(element("span", "name", series.name), bar, element("span", "", format(value, panel.unit, panel.decimals)));
    body.append(row);
  }
}

function drawTable(body, panel) {
  body.classList.add("scroll");
  const table = element("table", "");
  const head = table.createTHead().insertRow();
  for (const column of panel.columns) head.append(element("th", column.unit ? "figure" : "", column.title));
  for (const cells of panel.rows) {
    const row = table.insertRow();
    cells.forEach((cell, n) => {
      const column = panel.columns[n];
      const text = typeof cell === "number" ? format(cell, column.unit ?? panel.unit, column.decimals) : (column.words[cell] ?? cell ?? "");
      const td = element("td", typeof cell === "number" ? "figure" : "", text);
      if (column.steps && typeof cell === "number") td.style.color = colourOf(cell, column.steps);
      row.append(td);
    });
  }
  body.append(table);
}

const DRAW = { timeseries: drawLines, stat: drawNumbers, bargauge: drawBars, table: drawTable };

export function draw(dashboard) {
  const page = document.body;
  page.append(element("h1", "", dashboard.title), element("p", "chosen", dashboard.chosen));
  const grid = element("div", "grid");
  page.append(grid);
  const column = grid.clientWidth / 24;
  let bottom = 0;
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.place;
    bottom = Math.max(bottom, (y + h) * UNIT);
    const box = element("div", panel.type === "row" ? "row" : "panel");
    Object.assign(box.style, { left: `${x * column}px`, top: `${y * UNIT}px`, width: `${w * column - 8}px`, height: `${h * UNIT - 8}px` });
    box.append(element("div", "title", panel.title));
    grid.append(box);
    if (panel.type === "row") continue;
    const body = element("div", "body");
    box.append(body);
    if (panel.type === "table" ? panel.rows.length : panel.series.length) DRAW[panel.type](body, panel);
    else body.append(element("div", "none", panel.none || "No data"));
  }
  grid.style.height = `${bottom}px`;
}
