"""Pictures of the dashboards, drawn from what a real Prometheus answers.

    python -m tests.grafana.picture FOLDER [--prometheus HOST:PORT --minutes N] [--scale N] [--rate N] [--seconds N]
    [NAME=VALUE …]

Without an address it starts a station on the simulated platforms, and a Prometheus, and lets them run. For a person to
look at: the panels stand on Grafana's grid, with their titles, units and transformations; it is not Grafana that draws
them.
"""

import argparse
import base64
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.grafana.asking import Asker, Json
from tests.grafana.page import drawn
from tests.grafana.test_dashboards import DASHBOARDS
from tests.grafana.watching import SCRAPE, watched

_UPLOT = Path(__file__).parents[2] / "sinks" / "static" / "vendor" / "uplot"
_STYLE = """
body { background: #111217; color: #ccccdc; font: 13px/1.4 sans-serif; width: 1600px; margin: 12px }
h1 { font-size: 20px; margin: 0 } .chosen { margin: 2px 0 10px; color: #9fa7b3 } .grid { position: relative }
.panel, .row { position: absolute; overflow: hidden }
.panel { background: #181b1f; border: 1px solid #2c3235; display: flex; flex-direction: column }
.title { padding: 5px 8px; font-weight: 500; white-space: nowrap } .row .title { font-size: 15px; padding: 4px 0 }
.body { flex: 1; min-height: 0; padding: 0 8px 6px; position: relative; overflow: hidden }
.legend { font-size: 12px } .item { margin-right: 14px; white-space: nowrap }
.item::before { content: "▬ "; color: var(--colour) }
.numbers { display: flex; flex-direction: column; justify-content: space-evenly }
.number .name { color: #9fa7b3 } .number .value { font-size: 28px }
.bar { display: flex; align-items: center; gap: 8px; height: 26px }
.bar .name { width: 36%; text-align: right; white-space: nowrap; overflow: hidden }
.length { height: 18px } .none { display: grid; place-items: center; height: 100%; color: #9fa7b3 }
table { border-collapse: collapse; width: 100% } th { text-align: left; color: #6e9fff; font-weight: 500 }
th, td { padding: 4px 6px; border-bottom: 1px solid #2c3235; white-space: nowrap }
.figure, th.figure { text-align: right }
.beside { position: absolute; right: 4px; top: 0; max-height: 100%; overflow: hidden }
.beside .item { display: block; margin: 0 }
"""


def paint(pages: Iterator[tuple[str, Json]], folder: Path) -> None:
    """A PNG of each dashboard."""
    source = base64.b64encode((_UPLOT / "uPlot.esm.js").read_bytes()).decode()
    script = (Path(__file__).parent / "picture.js").read_text()
    module = base64.b64encode(f'import uPlot from "data:text/javascript;base64,{source}";\n{script}'.encode()).decode()
    style = (_UPLOT / "uPlot.min.css").read_text() + _STYLE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1624, "height": 900})
        page.on("pageerror", lambda error: print(error))
        for name, content in pages:
            page.set_content(f"<style>{style}</style>")
            page.evaluate(
                "async ([source, content]) => (await import(source)).draw(content)",
                [f"data:text/javascript;base64,{module}", content],
            )
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            print(folder / f"{name}.png")
        browser.close()


def _pages(address: str, start: float, end: float, scrape: int, wanted: dict[str, str]) -> Iterator[tuple[str, Json]]:
    asker = Asker(address, start, end, scrape)
    for name, dashboard in DASHBOARDS.items():
        named = {variable["name"] for variable in dashboard["templating"]["list"]}
        yield name, drawn(dashboard, asker, **{key: value for key, value in wanted.items() if key in named})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("choices", nargs="*", metavar="NAME=VALUE", help="values of variables, such as window=1h")
    parser.add_argument("--prometheus", help="one that runs already")
    parser.add_argument("--minutes", type=float, default=360.0, help="how much of its past is shown")
    parser.add_argument("--scale", type=float, default=240.0, help="how fast the simulated time runs")
    parser.add_argument("--rate", type=float, default=2.0, help="events of GitHub a simulated second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it runs before the pictures")
    options = parser.parse_intermixed_args()
    wanted = dict(choice.split("=", 1) for choice in options.choices)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.prometheus:
        now = time.time()
        paint(_pages(options.prometheus, now - 60 * options.minutes, now, 15, wanted), options.folder)
        return
    with tempfile.TemporaryDirectory() as name, watched(Path(name), scale=options.scale, rate=options.rate) as found:
        time.sleep(options.seconds)
        paint(_pages(found.prometheus, found.since, time.time(), SCRAPE, wanted), options.folder)


if __name__ == "__main__":
    main()
