"""The live page over HTTP: its files, their headers, the past, and that the wheel brings everything along."""

import asyncio
import hashlib
import re
import socket
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hatchling.builders.wheel import WheelBuilder

from sinks.page import FILES, HEADERS, STATIC, index_html
from streams import platforms
from streams.activity import FEATURES, PLATFORMS
from streams.platform import Platform, PlatformSetting
from streams.windows import WINDOWS
from tests.sinks.made import NOON, evaluation_record, measurement, record
from tests.sinks.publishing import publish
from tests.sinks.test_live_board import Clock
from tests.sinks.test_server import sink, until
from tests.streams.brokers import ROOT, TOPICS, Process, broker

VENDORED = STATIC / "vendor" / "uplot"
ACTIVITY = measurement("activity", 5.0, scope="watched", platform="github", window="24h", feature="exchange")

COVERED = measurement("window_coverage_ratio", 1.0, scope="watched", platform="github", window="24h")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with broker(tmp_path) as running:
        yield running


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_every_file_is_served_with_its_type_and_hardening_headers_and_not_sent_twice(process: Process) -> None:
    async def main() -> None:
        async with sink(process.bootstrap, Clock()) as page, aiohttp.ClientSession() as session:
            for path, (name, kind) in FILES.items():
                async with session.get(page.address + path) as answer:
                    assert (answer.status, answer.content_type, answer.charset) == (200, kind, "utf-8"), path
                    assert await answer.read() == (index_html() if path == "/" else (STATIC / name).read_bytes())
                    assert HEADERS.items() <= dict(answer.headers).items()
                    tag = answer.headers["ETag"]
                async with session.get(page.address + path, headers={"If-None-Match": tag}) as answer:
                    assert (answer.status, await answer.read()) == (304, b"")
            past = "/live/history?scope=all&window=1h&feature=review"
            for path in ("/metrics", "/healthz", past, "/nowhere", "/../server.py", "/live/events"):
                async with session.get(page.address + path) as answer:
                    assert HEADERS.items() <= dict(answer.headers).items(), path

    asyncio.run(main())


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == policy["object-src"] == "'none'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    text = index_html().decode()
    for tag, attributes in Elements(text).found:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "/").startswith(("/", "#")), attributes
        assert tag != "style"
        assert tag != "script" or "src" in attributes


def test_the_own_files_name_no_other_address() -> None:
    for name in ("index.html", "page.css", *(script.name for script in STATIC.glob("*.js"))):
        assert not re.findall(r"(?:https?:)?//[a-z0-9]+\.[a-z./]*", (STATIC / name).read_text())
    # Names of repositories link to their platform's site; nothing is fetched from there.
    named = re.findall(r"https?://[a-z0-9.]+[a-z./]*", index_html().decode())
    assert named == ["https://github.com/", "https://huggingface.co/"]


def test_every_file_that_the_page_names_is_served() -> None:
    named = {
        attributes.get("src") or attributes.get("href")
        for tag, attributes in Elements(index_html().decode()).found
        if tag in ("link", "script")
    }
    for script in STATIC.glob("*.js"):
        named |= set(re.findall(r'from "([^"]+)"', script.read_text()))
    assert named <= set(FILES)


def test_the_page_offers_every_window_feature_and_platform() -> None:
    elements = Elements(index_html().decode()).found
    assert [a["value"] for tag, a in elements if tag == "input" and a["name"] == "window"] == list(WINDOWS)
    assert [a["value"] for tag, a in elements if tag == "option"] == list(FEATURES)
    assert [a["data-platform"] for tag, a in elements if tag == "section" and "data-platform" in a] == list(PLATFORMS)


def test_a_further_platform_gets_its_own_parts_of_the_page_as_text() -> None:
    forge = Platform(
        id="forge",
        title="The <Forge>",
        name="the Forge",
        holds="tools",
        endpoint=PlatformSetting("forge_api", "FORGE_API"),
        poller="forge:Poller",
        site="https://forge.example/",
    )
    text = index_html((*platforms.BUILT_IN, forge)).decode()
    elements = Elements(text).found
    ids = [*(platform.id for platform in platforms.BUILT_IN), "forge"]
    assert [a["data-platform"] for tag, a in elements if tag == "section" and "data-platform" in a] == ids
    assert [a["data-chart"] for tag, a in elements if tag == "figure"] == [*ids, "intensity"]
    assert [a["data-platform"] for tag, a in elements if tag == "table" and "data-platform" in a] == ids * 2
    assert [a["data-site"] for _, a in elements if a.get("data-platform") == "forge" and "data-site" in a] == [
        "https://forge.example/"
    ]
    assert "GitHub, the Hugging Face Hub and the Forge, while" in text
    assert "The &lt;Forge&gt; activity" in text
    assert "<Forge>" not in text
    assert "{" not in text.replace('data-folders="{', "")


def test_the_vendored_library_is_what_was_released() -> None:
    sums = dict(reversed(line.split("  ")) for line in (VENDORED / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert sums["uPlot.esm.js"] == "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba", (
        "uPlot 1.6.32, as npm has it"
    )
    assert "MIT" in (VENDORED / "LICENSE").read_text()


def test_the_past_goes_on_with_each_evaluation(process: Process) -> None:
    async def main() -> None:
        async with sink(process.bootstrap, Clock(NOON + 5_000_000)) as page, aiohttp.ClientSession() as session:

            async def past(**changes: str) -> tuple[int, Any]:
                query = {"scope": "watched", "window": "24h", "feature": "exchange", **changes}
                async with session.get(f"{page.address}/live/history", params=query) as answer:
                    return answer.status, await answer.json() if answer.status == 200 else await answer.text()

            async def has(*values: float) -> bool:
                return (await past())[1]["seconds"]["values"]["github"]["activity"] == list(values)

            assert await has()
            await publish(process.bootstrap, TOPICS, [record(COVERED), record(ACTIVITY), evaluation_record()])
            await until(lambda: has(5.0))
            after = measurement("activity", 6.0, **ACTIVITY.labels)
            await publish(process.bootstrap, TOPICS, [record(after), evaluation_record(evaluated_at=NOON + 1_000_000)])
            await until(lambda: has(5.0, 6.0))
            _, found = await past()
            assert found["seconds"]["times"] == [NOON / 1e6, NOON / 1e6 + 1]
            assert found["minutes"]["values"]["github"]["activity"] == [6.0]
            assert found["seconds"]["values"]["huggingface"]["activity"] == [None, None]
            assert (await past(window="2h"))[0] == 400
            for name, first in (("figures", "name,scope,"), ("history", "as_of,evaluated_at,github_activity,")):
                query = {"scope": "watched", "window": "24h", "feature": "exchange"}
                async with session.get(f"{page.address}/live/{name}.csv", params=query) as answer:
                    assert (answer.status, answer.content_type, answer.charset) == (200, "text/csv", "utf-8")
                    assert (await answer.text()).startswith(first)
                    named = {"figures": "figures", "history": "lines"}[name]
                    kept = f'attachment; filename="nomadwatch-{named}-watched-24h-exchange-2015-01-01T115959.csv"'
                    assert answer.headers["Content-Disposition"] == kept
                for wrong in (
                    {"window": "2h"},
                    {"scope": '"\r\nX: y'},
                    {"feature": "=1"},
                    {"span": "years"} if name == "history" else {"scope": ""},
                ):
                    async with session.get(f"{page.address}/live/{name}.csv", params={**query, **wrong}) as answer:
                        assert (answer.status, answer.headers.get("Content-Disposition")) == (400, None)
            assert (await past(feature="<script>"))[1].startswith("give a scope, a window and a feature")

    asyncio.run(main())


def test_a_sink_stops_although_a_browser_listens_and_another_does_not_read(process: Process) -> None:
    async def main() -> None:
        with socket.socket() as deaf:
            async with aiohttp.ClientSession() as session:
                async with sink(process.bootstrap, Clock()) as page:
                    await publish(process.bootstrap, TOPICS, [record(ACTIVITY), evaluation_record()])
                    await page.shows("nomadwatch_activity{")
                    deaf.setblocking(False)
                    loop = asyncio.get_running_loop()
                    await loop.sock_connect(deaf, ("127.0.0.1", int(page.address.rpartition(":")[2])))
                    await loop.sock_sendall(deaf, b"GET /live/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    listening = await session.get(f"{page.address}/live/events")
                    assert await listening.content.readline() == b"retry: 2000\n"
                # sink() asserts that it has stopped. The stream was brought to its end, not cut off, which aiohttp
                # would raise.
                assert b"event: state" in await listening.content.read()

    asyncio.run(main())


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    wheel = next(iter(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert {f"sinks/static/{name}" for name, _ in FILES.values()} | {"sinks/static/vendor/uplot/SHA256SUMS"} <= names
