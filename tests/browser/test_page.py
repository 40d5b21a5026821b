"""The live page in a real browser, on a real sink over a real broker."""

import asyncio
import csv
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from agents.measurements import Measurement
from sinks.board import STALE_AFTER
from sinks.server import serve
from streams.activity import FEATURES, HOUR, SECOND
from streams.features import in_words, meanings
from streams.kafka.admin import create
from streams.kafka.topics import Topics
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import health_record, publish
from tests.sinks.test_live_board import Clock
from tests.streams.brokers import Process, broker

CHROMIUM = shutil.which("chromium")
PATIENCE = 30_000
PLATFORMS = {"github": "GitHub", "huggingface": "Hugging Face"}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="without Chromium (Debian: apt install chromium)"
)
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all: the browser is started once."""
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def browser(runner: asyncio.Runner) -> Iterator[Browser]:
    assert CHROMIUM is not None, "in CI there must be a Chromium"
    playwright = runner.run(async_playwright().start())
    running = runner.run(playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]))
    yield running
    runner.run(running.close())
    runner.run(playwright.stop())


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One broker for all; each test has topics of its own."""
    with broker(tmp_path_factory.mktemp("broker"), topics=None) as running:
        yield running


@pytest.fixture
def topics(process: Process, request: pytest.FixtureRequest) -> Topics:
    made = Topics(re.sub(r"\W+", "-", request.node.name) + "-", partitions=1)
    create(process.bootstrap, made)
    return made


class World:
    """A station's broker and clock, its sink, and a browser's context that remembers what it asked for and complained
    of.
    """

    def __init__(self, bootstrap: str, topics: Topics, context: BrowserContext) -> None:
        self.clock = Clock()
        self.port = 0
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._bootstrap = bootstrap
        self._topics = topics
        self._context = context
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", lambda message: self.complaints.append(message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Serve, on the same port when it is started again."""
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        serving = serve(
            self._bootstrap, self._topics, port=self.port, ready=listening.set_result, stop=self._stop, now=self.clock
        )
        self._running = asyncio.create_task(serving)
        self.port = await listening

    async def stop(self) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running
            self._running = None

    async def visit(self) -> Page:
        page = await self.page()
        await page.goto(self.address)
        return page

    async def page(self) -> Page:
        """An empty page."""
        page = await self._context.new_page()
        page.set_default_timeout(PATIENCE)
        return page

    async def measured(self, *rows: Measurement, front: int | None = None) -> None:
        """A new evaluation, a second later, of windows that end then or at `front` (µs UTC)."""
        self.clock.now += SECOND
        evaluated = evaluation_record(evaluated_at=self.clock.now, front=front or self.clock.now)
        await publish(self._bootstrap, self._topics, [*(record(row) for row in rows), evaluated])

    async def told(self, **health: Any) -> None:
        """A role's health."""
        await publish(self._bootstrap, self._topics, [health_record(self.clock.now, **health)])


@pytest.fixture
def run(runner: asyncio.Runner, browser: Browser, process: Process, topics: Topics) -> Callable[..., None]:
    """Runs a test's coroutine with a world; `context` are options of the browser's context."""

    @asynccontextmanager
    async def world(**context: Any) -> AsyncIterator[World]:
        opened = await browser.new_context(**context)
        made = World(process.bootstrap, topics, opened)
        await made.start()
        try:
            async with asyncio.timeout(90):
                yield made
        finally:
            await opened.close()
            await made.stop()

    def running(test: Callable[[World], Awaitable[None]], **context: Any) -> None:
        async def main() -> None:
            async with world(**context) as made:
                await test(made)

        runner.run(main())

    return running


def of(name: str, value: float, platform: str = "github", **labels: str) -> Measurement:
    """A measurement of a watched repository's contributions in 24 hours, unless said otherwise."""
    default = {"scope": "watched", "window": "24h"}
    if name != "window_coverage_ratio":
        default["feature"] = "contribution"
    return measurement(name, value, platform=platform, **{**default, **labels})


FIGURES = [
    of("activity", 1234.0),
    of("active_developers", 56.0),
    of("active_repositories", 7.0),
    of("intensity", 17.25, stat="mean"),
    of("window_coverage_ratio", 0.796),
    of("window_coverage_ratio", 0.9996, window="1h"),
    of("window_coverage_ratio", 0.9, window="7d"),
    of("window_coverage_ratio", 1.0, "huggingface"),
    of("activity", 88.0, "huggingface"),
    of("activity", 4321.0, window="7d"),
    of("activity", 99.0, feature="exchange"),
    measurement("release_engagement", 512.0, platform="huggingface", window="24h", release="allenai/OLMo-next"),
    of("top_repository_activity", 31.0, repository="huggingface/transformers"),
    of(
        "top_repository_activity", 3.0, repository="an-organisation-of-a-long-name/" + "a-repository-of-a-long-name" * 3
    ),
]


def headline(page: Page, platform: str = "github") -> Any:
    return page.locator(f'.card[data-platform="{platform}"] [data-figure="headline"]')


def row(page: Page, feature: str = "contribution") -> Any:
    return (
        page.locator('.card[data-platform="github"] [data-table="features"] tr').filter(has_text=feature).locator("td")
    )


def test_figures_appear_and_change_without_a_reload(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await expect(page.locator("#status")).to_contain_text("Nothing has been measured yet")
        await expect(headline(page)).to_have_text("–")
        await page.evaluate("window.here = true")
        await world.measured(*FIGURES)
        await expect(page.locator("#status")).to_have_text("Live")
        await expect(headline(page)).to_have_text("1,234")
        await expect(headline(page, "huggingface")).to_have_text("88")
        await expect(row(page)).to_have_text(["1,234", "56", "7", "17.3"])
        await expect(row(page, "exchange")).to_have_text(["99", "–", "–", "–"])
        await expect(row(page, "review")).to_have_text(["–"] * 4)
        coverage = page.locator('.card[data-platform="github"] [data-table="coverage"] td')
        await expect(coverage).to_have_text([">99.9%", "79.6%", "90.0%", "–"])
        beside = page.locator('[data-coverage="github"]')
        assert await beside.all_inner_texts() == ["coverage 79.6%"] * 5
        assert set(await page.locator('[data-coverage="huggingface"]').all_inner_texts()) == {"coverage 100.0%"}
        await expect(page.locator('table[data-platform="github"] tbody th').first).to_have_text(
            "huggingface/transformers"
        )
        releases = '[data-table="releases"]'
        published = page.locator(f'table[data-platform="huggingface"] {releases}')
        await expect(published.locator("th, td")).to_have_text(["allenai/OLMo-next", "512"])
        await expect(page.locator(f'table[data-platform="github"] {releases}')).to_have_text(
            "Nothing was published in this window."
        )
        await expect(page.locator("#front")).to_have_text("2015-01-01 12:00:01 UTC")
        await world.measured(of("activity", 1300.0))
        await expect(headline(page)).to_have_text("1,300")
        plot = page.locator('[data-chart="github"] .plot')
        await expect(plot).to_have_attribute(
            "aria-label", "GitHub activity: now 1,300, first 1,234, least 1,234, most 1,300"
        )
        await expect(plot.locator("canvas")).to_be_visible()
        intensity = page.locator('[data-chart="intensity"] .plot')
        await expect(intensity).to_have_attribute("aria-label", re.compile("Hugging Face: nothing known$"))
        assert await page.evaluate("window.here") is True
        assert all(url.startswith(world.address + "/") for url in world.requests), world.requests
        assert world.complaints == []

    run(test)


def test_the_lines_stand_in_a_table_too(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await page.get_by_text("The lines as a table").click()
        cells = page.locator('[data-table="lines"] tr').first.locator("th, td")
        await expect(cells).to_have_text(["12:00:01", "1,234", "88", "17.3", "–"])
        await page.get_by_label("24 h", exact=True).check(force=True)
        await expect(cells).to_have_text(["12:00:01", "1,234", "88", "17.3", "–"])
        await page.get_by_label("Feature").select_option("exchange")
        await expect(cells).to_have_text(["12:00:01", "99", "–", "–", "–"])

    run(test)


def test_the_lines_of_a_simulated_world_have_its_clock(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.told(simulated=True)
        await world.measured(*FIGURES, front=NOON - 6 * HOUR)
        await expect(headline(page)).to_have_text("1,234")
        await expect(page.locator('[data-chart="github"] time')).to_have_text("06:00:00 UTC")
        await page.get_by_text("The lines as a table").click()
        cells = page.locator('[data-table="lines"] tr').first.locator("th, td")
        await expect(cells.first).to_have_text("06:00:00")
        # What has come with the page goes on with what comes live.
        await world.measured(*FIGURES, front=NOON - 5 * HOUR)
        await expect(page.locator('[data-chart="github"] time')).to_have_text("07:00:00 UTC")
        await expect(page.locator("#lines-clock")).to_contain_text("The times shown are those of the simulated world")

    run(test)


def test_feeds_are_shown_with_state_coverage_and_lag(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        told = {"feed_coverage_ratio": 0.0412, "feed_lag_seconds": 95.0}
        rows = [measurement(name, value, feed="github:/events") for name, value in told.items()]
        await world.told(rows=rows, states={"github:/events": "ok", "huggingface:models": "failing: 502"})
        cells = page.locator('[data-table="feeds"] tr')
        await expect(cells).to_have_count(2)
        await expect(cells.nth(0).locator("th, td")).to_have_text(["huggingface:models", "failing: 502", "–", "–"])
        await expect(cells.nth(1).locator("th, td")).to_have_text(["github:/events", "ok", "4.1%", "2 min"])
        await expect(page.locator("#feeds-summary")).to_have_text("1 of 2 ok")
        await expect(page.locator("#status")).to_contain_text("Nothing has been measured yet")

    run(test)


def test_a_sample_too_thin_says_so_and_shows_what_scales(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*(Measurement(each.name, {**each.labels, "scope": "all"}, each.value) for each in FIGURES))
        await expect(page.locator("#reserved")).to_be_hidden()
        await page.get_by_label("All seen").check(force=True)
        await expect(headline(page)).to_have_text("1,234")
        await expect(row(page)).to_have_text(["1,234", "–", "–", "–"])
        await expect(page.locator("#reserved")).to_contain_text(
            "Less than 95% of all events of this window were seen on GitHub"
        )
        await page.get_by_label("1h", exact=True).check(force=True)
        await expect(page.locator("#reserved")).to_be_hidden()

    run(test)


COVERED_FOR_18_MINUTES = [
    of("window_coverage_ratio", share, platform, scope=scope, window=window)
    for scope in ("watched", "all")
    for platform in ("github", "huggingface")
    for window, share in {"1h": 0.6, "24h": 0.0125, "7d": 0.0018, "30d": 0.0004}.items()
]


def begun(platform: str) -> Measurement:
    return measurement("covered_since_timestamp_seconds", NOON / 1e6 - 18 * 60, scope="watched", platform=platform)


def test_after_a_first_start_the_page_opens_on_the_hour_and_longer_windows_say_since_when(
    run: Callable[..., None],
) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        figures = [each for each in FIGURES if each.name != "nomadwatch_window_coverage_ratio"]
        hour = [of("activity", 60.0, window="1h"), of("activity", 6.0, "huggingface", window="1h")]
        await world.measured(*figures, *hour, *COVERED_FOR_18_MINUTES, begun("github"), begun("huggingface"))
        await expect(headline(page)).to_have_text("60")
        assert await page.get_by_label("1h", exact=True).is_checked()
        assert page.url == world.address + "/", "what the page chose is not in the address"
        await expect(page.locator("#uncovered")).to_be_hidden()
        await page.get_by_label("24h", exact=True).check(force=True)
        await expect(headline(page)).to_have_text("since 11:42")
        beside = page.locator('.card[data-platform="github"] [data-text="headline"]')
        await expect(beside).to_have_text("coverage 1.3% of 24h: too little for a figure")
        await expect(row(page)).to_have_text(["–"] * 4)
        await expect(page.locator("#uncovered")).to_contain_text(
            "GitHub: since 11:42, coverage 1.3%. Hugging Face: since 11:42, coverage 1.3%."
        )
        assert set(await page.locator('[data-coverage="github"]').all_inner_texts()) == {"since 11:42, coverage 1.3%"}
        for table in ("busiest", "releases"):
            await expect(page.locator(f'table[data-platform="github"] [data-table="{table}"]')).to_have_text(
                "Covered too little: since 11:42."
            )
        await expect(page.locator('[data-chart="github"] .plot')).to_have_attribute(
            "aria-label", "GitHub: nothing known"
        )
        # The coverage comes to be enough while the page is open.
        enough = [of("window_coverage_ratio", 0.5, platform) for platform in ("github", "huggingface")]
        await world.measured(*enough)
        await expect(headline(page)).to_have_text("1,234")
        await expect(page.locator("#uncovered")).to_be_hidden()
        assert world.complaints == []

    run(test)


def test_a_page_that_is_open_before_anything_is_covered_opens_its_window_when_one_is(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(of("activity", 5.0, window="1h"), of("activity", 9.0, window="7d"))
        await expect(headline(page)).to_have_text("not covered yet")
        await expect(page.locator("#uncovered")).to_contain_text("GitHub: not covered yet, coverage –.")
        await world.measured(of("window_coverage_ratio", 0.5, window="7d"))
        await expect(headline(page)).to_have_text("9")
        await expect(headline(page, "huggingface")).to_have_text("not covered yet")
        await world.measured(of("window_coverage_ratio", 1.0, window="30d"))
        await expect(page.locator('[data-table="coverage"]').first.locator("td").last).to_have_text("100.0%")
        await expect(headline(page)).to_have_text("9")

    run(test)


def test_the_choice_stands_in_the_address_and_is_gone_back_to(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES, of("activity", 777.0, feature="exchange", window="7d"))
        await expect(headline(page)).to_have_text("1,234")
        await page.get_by_label("7d").check(force=True)
        await expect(headline(page)).to_have_text("4,321")
        assert page.url == f"{world.address}/?window=7d&scope=watched&feature=contribution&span=seconds"
        await page.get_by_label("Feature").select_option("exchange")
        await expect(headline(page)).to_have_text("777")
        await page.get_by_label("24 h", exact=True).check(force=True)
        link = page.url
        assert link == f"{world.address}/?window=7d&scope=watched&feature=exchange&span=minutes"
        await page.go_back()
        await page.go_back()
        await expect(headline(page)).to_have_text("4,321")
        assert await page.get_by_label("Feature").input_value() == "contribution"
        await page.go_back()
        await expect(headline(page)).to_have_text("1,234")
        assert page.url == world.address + "/"
        await page.go_forward()
        await expect(headline(page)).to_have_text("4,321")
        other = await world.page()
        await other.goto(link)
        await expect(headline(other)).to_have_text("777")
        assert await other.get_by_label("24 h", exact=True).is_checked()
        await expect(other.locator('[data-chart="github"] .plot')).to_have_attribute(
            "aria-label", re.compile("now 777")
        )
        assert world.complaints == []

    run(test)


HOSTILE = [
    "?window=2h&scope=everything&feature=<img src=x onerror=alert(1)>&span=__proto__",
    "?window=24h&window=7d&feature=%22%3E%3Cscript%3Ewindow.foreign=1%3C/script%3E",
    "?window=&scope=&feature=&span=",
    "?window=constructor&scope=__proto__&feature=toString",
    "?%E0%A4%A&window=%FF#<script>",
    "?" + "x" * 3000,
]


@pytest.mark.parametrize("query", HOSTILE)
def test_an_address_that_says_what_the_page_does_not_offer_is_as_if_it_were_not_there(
    run: Callable[..., None], query: str
) -> None:
    async def test(world: World) -> None:
        page = await world.page()
        await page.goto(f"{world.address}/{query}")
        await world.measured(*FIGURES)
        await expect(headline(page)).to_have_text("1,234")
        await expect(page.locator("#lines-title")).to_have_text("Lines: contribution, 24h window")
        assert await page.evaluate("window.foreign ?? 0") == 0
        assert "onerror" not in await page.content()
        assert world.complaints == []

    run(test)


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def test_what_is_shown_comes_as_csv(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await expect(headline(page)).to_have_text("1,234")
        await page.get_by_label("7d").check(force=True)
        await expect(headline(page)).to_have_text("4,321")
        found = {}
        for name in ("Download as CSV", "Lines as CSV"):
            async with page.expect_download() as waiting:
                await page.get_by_role("link", name=name).click()
            download = await waiting.value
            rows = await asyncio.to_thread(table, await download.path())
            found[name] = download.suggested_filename, rows
        filename, rows = found["Download as CSV"]
        assert filename == "nomadwatch-figures-watched-7d-contribution-2015-01-01T120001.csv"
        wanted = {"name": "nomadwatch_activity", "platform": "github", "window": "7d", "feature": "contribution"}
        assert [(row["value"], row["coverage"], row["as_of"]) for row in rows if wanted.items() <= row.items()] == [
            ("4321", "0.9", "2015-01-01T12:00:01Z")
        ]
        filename, rows = found["Lines as CSV"]
        assert filename == "nomadwatch-lines-watched-7d-contribution-2015-01-01T120001.csv"
        assert [(row["as_of"], row["github_activity"], row["huggingface_activity"]) for row in rows] == [
            ("2015-01-01T12:00:01Z", "4321", "")
        ]

    run(test)


def test_names_of_repositories_lead_to_their_platforms(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        hostile = "evil/<img src=x>?q=#a b"
        await world.measured(
            *FIGURES,
            of("top_repository_activity", 2.0, repository=hostile),
            of("top_repository_activity", 1.0, repository="odd"),
        )
        busiest = page.locator('table[data-platform="github"] [data-table="busiest"] th')
        await expect(busiest).to_have_count(4)
        links = page.locator('table[data-platform="github"] [data-table="busiest"] th a')
        assert await links.evaluate_all("nodes => nodes.map((node) => node.href)") == [
            "https://github.com/huggingface/transformers",
            "https://github.com/an-organisation-of-a-long-name/" + "a-repository-of-a-long-name" * 3,
            "https://github.com/evil/%3Cimg%20src%3Dx%3E%3Fq%3D%23a%20b",
        ]
        await expect(busiest.nth(2)).to_have_text(hostile)
        await expect(busiest.nth(3)).to_have_text("odd")
        released = page.locator('table[data-platform="huggingface"] [data-table="releases"] a')
        await expect(released).to_have_attribute("href", "https://huggingface.co/allenai/OLMo-next")
        await expect(released).to_have_attribute("rel", "noopener noreferrer")
        await world.told(artefacts={"allenai/OLMo-next": "dataset"})
        await expect(released).to_have_attribute("href", "https://huggingface.co/datasets/allenai/OLMo-next")
        world.clock.now += SECOND
        await world.told(simulated=True)
        await expect(released).to_have_count(0)
        await expect(page.locator('table[data-platform="huggingface"] [data-table="releases"] th')).to_have_text(
            "allenai/OLMo-next"
        )
        # Choosing what has no busiest repositories takes the links away.
        await page.get_by_label("Feature").select_option("review")
        await expect(page.locator('table[data-platform="github"] [data-table="busiest"]')).to_have_text(
            "None known in this window."
        )
        await expect(links).to_have_count(0)

    run(test)


def test_what_is_too_old_is_said_to_be_and_goes(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await expect(headline(page)).to_have_text("1,234")
        world.clock.now += STALE_AFTER + 1
        await expect(page.locator("#status")).to_contain_text(
            "Stale: nothing has been measured since 2015-01-01 12:00:01 UTC"
        )
        await expect(headline(page)).to_have_text("–")
        await expect(page).to_have_title("⚠ nomadwatch")
        await expect(page.locator("#age")).to_have_text(re.compile("^6[0-9] s ago$"))
        await world.measured(of("activity", 2.0))
        await expect(page.locator("#status")).to_have_text("Live")
        await expect(headline(page)).to_have_text("2")

    run(test)


def test_a_lost_connection_is_said_and_comes_back_by_itself(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await expect(headline(page)).to_have_text("1,234")
        await page.evaluate("window.here = true")
        await world.stop()
        await expect(page.locator("#status")).to_contain_text("Connection lost at")
        await expect(headline(page)).to_have_text("1,234")
        await world.measured(of("activity", 1400.0))
        await world.start()
        await expect(page.locator("#status")).to_have_text("Live")
        await expect(headline(page)).to_have_text("1,400")
        assert await page.evaluate("window.here") is True

    run(test)


def test_a_stream_that_falls_silent_is_given_up_and_opened_again(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.page()
        await page.clock.install()
        await page.goto(world.address)
        await world.measured(*FIGURES)
        await expect(page.locator("#status")).to_have_text("Live")
        before = sum(url.endswith("/live/events") for url in world.requests)
        await page.clock.fast_forward(16_000)
        await expect(page.locator("#status")).to_contain_text("Connection lost at")
        await page.clock.fast_forward(3_000)
        await expect(page.locator("#status")).to_have_text("Live")
        assert sum(url.endswith("/live/events") for url in world.requests) > before

    run(test)


def test_a_stream_that_is_refused_is_tried_again(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.page()

        async def refuse(route: Route) -> None:
            await route.fulfill(status=503, body="too many browsers\n")

        await page.route("**/live/events", refuse)
        await page.goto(world.address)
        await expect(page.locator("#status")).to_contain_text("No connection to the server")
        await page.unroute("**/live/events")
        await expect(page.locator("#status")).to_contain_text("Nothing has been measured yet")

    run(test)


FOREIGN_SCRIPT = """() => {
    const node = document.createElement("script");
    try { node.textContent = "window.foreign = 1"; document.body.append(node); } catch { /* refused */ }
    return window.foreign ?? 0;
}"""
INLINE_STYLE = """() => {
    const node = document.createElement("p");
    node.setAttribute("style", "color: rgb(1, 2, 3)");
    document.body.append(node);
    return getComputedStyle(node).color;
}"""


def test_the_policy_holds(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await expect(headline(page)).to_have_text("1,234")
        assert world.complaints == []
        assert await page.evaluate(FOREIGN_SCRIPT) == 0
        assert await page.evaluate(INLINE_STYLE) != "rgb(1, 2, 3)"
        assert (
            await page.evaluate("() => fetch('http://127.0.0.1:1/').then(() => 'sent', (error) => error.name)")
            == "TypeError"
        )
        said = " ".join(world.complaints)
        for directive in ("TrustedScript", "style-src", "connect-src"):
            assert directive in said, said

    run(test)


async def background(page: Page) -> str:
    return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_dark_follows_the_system_or_the_choice_and_the_choice_is_kept(run: Callable[..., None]) -> None:
    dark, light = "rgb(14, 20, 25)", "rgb(244, 246, 248)"

    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await expect(headline(page)).to_have_text("1,234")
        assert await background(page) == dark
        await page.emulate_media(color_scheme="light")
        assert await background(page) == light
        await page.get_by_label("Dark").check(force=True)
        assert await background(page) == dark
        await page.get_by_label("7d").check(force=True)
        await page.reload()
        assert await background(page) == dark
        await expect(headline(page)).to_have_text("4,321")
        await page.emulate_media(color_scheme="dark")
        await page.get_by_label("Light").check(force=True)
        assert await background(page) == light
        await expect(page.locator('[data-chart="github"] canvas')).to_be_visible()
        assert world.complaints == []

    run(test, color_scheme="dark")


@pytest.mark.parametrize(("width", "narrower"), [(360, 320), (1280, 900)])
def test_nothing_makes_the_page_scroll_sideways(run: Callable[..., None], width: int, narrower: int) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        long = "huggingface:" + "a-feed-with-a-name-without-end-" * 4
        await world.measured(*FIGURES, *(of("activity", 123456789.0, feature=feature) for feature in FEATURES))
        await world.told(states={long: "failing: " + "a reason that goes on and on " * 3})
        await expect(page.locator('[data-table="feeds"] th')).to_have_text([long])
        await expect(headline(page)).to_have_text("123,456,789")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("github", "intensity"):
            box = await page.locator(f'[data-chart="{name}"] canvas').bounding_box()
            assert box is not None
            assert width / 3 < box["width"] < width
        assert box is not None
        await page.set_viewport_size({"width": narrower, "height": 700})

        # The policy forbids Playwright's own way of waiting for a condition.
        async with asyncio.timeout(30):
            while (
                await page.locator('[data-chart="intensity"] canvas').evaluate("node => node.clientWidth")
                > box["width"] - 30
            ):
                await asyncio.sleep(0.02)
        assert await page.evaluate("document.documentElement.scrollWidth") <= narrower

    run(test, viewport={"width": width, "height": 700})


def test_everything_can_be_reached_with_the_keyboard(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await expect(headline(page)).to_have_text("1,234")

        async def focused(expression: str) -> Any:
            return await page.evaluate(f"(() => {{ const node = document.activeElement; return {expression} }})()")

        await page.keyboard.press("Tab")
        assert await focused("node.textContent") == "Skip to the figures"
        assert await focused("node.getBoundingClientRect().top >= 0"), "it is seen when it has the focus"
        await page.keyboard.press("Enter")
        assert await focused("node.id") == "figures"
        await page.keyboard.press("Tab")
        assert await focused("[node.name, node.value]") == ["window", "24h"]
        assert await focused("getComputedStyle(node.nextElementSibling).outlineWidth") == "3px", "the focus is seen"
        await page.keyboard.press("ArrowRight")
        await expect(headline(page)).to_have_text("4,321")
        await page.keyboard.press("ArrowLeft")
        reached = []
        for _ in range(7):
            await page.keyboard.press("Tab")
            reached.append(await focused("node.name || node.tagName.toLowerCase()"))
        assert reached == ["scope", "a", "feature", "a", "span", "a", "summary"]
        assert await page.locator("[data-table='feeds']").evaluate("node => node.closest('[tabindex=\"0\"]') !== null")

    run(test)


def test_nothing_moves_for_those_who_want_rest(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(*FIGURES)
        await expect(page.locator("#status")).to_have_text("Live")
        moving = "getComputedStyle(document.querySelector('#status .dot')).animationName"
        assert await page.evaluate(moving) == "none"
        await page.emulate_media(reduced_motion="no-preference")
        assert await page.evaluate(moving) == "pulse"

    run(test, reduced_motion="reduce")


def test_a_simulated_world_is_said_in_a_banner_the_title_and_beside_the_dot_and_a_real_one_has_none(
    run: Callable[..., None],
) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await world.measured(of("activity", 5.0, scope="watched", window="1h", feature="review"))
        await expect(page.locator("#status-text")).to_have_text("Live")
        await expect(page.locator("#world")).to_be_hidden()
        await expect(page).to_have_title("nomadwatch")
        await world.told(simulated=True)
        await expect(page.locator("#world")).to_be_visible()
        await expect(page.locator("#world")).to_contain_text("every name and every figure on this page is invented")
        await expect(page).to_have_title("SIMULATED · nomadwatch")
        await expect(page.locator("#status-text")).to_have_text("Live, from a simulated world")
        assert await page.locator("body").get_attribute("data-world") == "simulated"

    run(test)


def test_preference_of_everything_stands_beside_no_coverage(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        place = {"scope": "all", "window": "24h"}
        await world.measured(
            of("window_coverage_ratio", 0.9, **place),
            of("activity", 7.0, feature="preference", **place),
            of("activity", 8.0, feature="review", **place),
        )
        told = page.locator('.card[data-platform="github"] [data-text="headline"]')
        await expect(page.locator("#in-part")).to_be_hidden()
        await page.get_by_label("24h").check(force=True)
        await page.get_by_label("All seen").check(force=True)
        await expect(page.locator("#in-part")).to_contain_text("The coverage does not apply to it")
        await page.get_by_label("Feature").select_option("review")
        await expect(told).to_have_text("review activities in 24h, coverage 90.0%")
        await page.get_by_label("Feature").select_option("preference")
        await expect(told).to_have_text("preference activities in 24h, seen only in part")
        await expect(page.locator('[data-chart="github"] .coverage')).to_have_text("seen only in part")

    run(test)


def test_what_each_feature_means_is_a_link_away(run: Callable[..., None]) -> None:
    async def test(world: World) -> None:
        page = await world.visit()
        await page.get_by_role("link", name="What each feature means").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("What each feature means")
        found = [await row.locator("td").all_inner_texts() for row in await page.locator("tbody tr").all()]
        assert found == [[in_words(row), PLATFORMS[row.platform], row.event, row.what] for row in meanings()]

    run(test)
