"""`watch check --online`: what the platforms do not list, and what is called otherwise today."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from nomadwatch.cli import run
from nomadwatch.commands.doctor import findings
from nomadwatch.settings import load

LIST = """\
- project: one
  github: [allenai, no-such-owner, old-org/tool, old-org/gone, "allenai/OLMo*", "open*"]
  huggingface: [allenai, no-such-owner, allenai/OLMo, allenai/renamed, allenai/no-such-model]
- project: two
  github: [AllenAI, somebody]
"""
KNOWN = {
    "/rate_limit": {},
    "/api/whoami-v2": {},
    "/orgs/allenai/events": [],
    "/users/somebody/events/public": [],
    "/repositories/77": {"id": 77, "full_name": "new-org/tool"},
    "/api/models/allenai/OLMo": {"id": "allenai/olmo"},
    "/api/datasets/allenai/new-name": {"id": "allenai/new-name"},
}
MOVED = {"/repos/old-org/tool": "/repositories/77", "/api/datasets/allenai/renamed": "/api/datasets/allenai/new-name"}


async def answer(request: web.Request) -> web.Response:
    if request.path in MOVED:
        return web.Response(status=301, headers={"Location": MOVED[request.path]})
    if author := request.query.get("author"):
        return web.json_response([{"id": "x"}] if author == "allenai" and request.path == "/api/spaces" else [])
    if request.path in KNOWN:
        return web.json_response(KNOWN[request.path])
    return web.Response(body=json.dumps({"message": "Not Found"}).encode(), status=404)


@asynccontextmanager
async def platforms(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = {"NOMADWATCH_GITHUB_API": address, "HF_ENDPOINT": address, "GITHUB_TOKEN": "t", "HF_TOKEN": "t"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    try:
        yield
    finally:
        await runner.cleanup()


TOLD = [
    "no-such-owner on GitHub: there is no such organisation or user; correct the name",
    "old-org/tool on GitHub: is called new-org/tool now; write that name",
    "old-org/gone on GitHub: there is no such public repository; correct the name",
    "no-such-owner on the Hugging Face Hub: it lists no repository of that owner; correct the name",
    "allenai/renamed on the Hugging Face Hub: is called allenai/new-name now; write that name",
    "allenai/no-such-model on the Hugging Face Hub: there is no such public repository; correct the name",
]


def test_every_place_is_asked_for_once_and_what_is_not_as_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(LIST)

    async def scenario() -> None:
        async with platforms(monkeypatch):
            assert await asyncio.to_thread(run, ["watch", "check", "--online", str(path)]) == 1
            output, complaint = capfd.readouterr()
            assert output.splitlines()[1:-1] == TOLD
            assert output.splitlines()[-1] == "listed under the names in the watchlist: 4 of 10 places"
            assert complaint == "nomadwatch: 4 places are not listed; correct the watchlist\n"
            path.write_text("- project: one\n  github: [allenai]\n")
            monkeypatch.setenv("NOMADWATCH_WATCHLIST", str(path))
            assert await asyncio.to_thread(run, ["watch", "check", "--online"]) == 0
            assert capfd.readouterr().out.endswith("listed under the names in the watchlist: 1 of 1 place\n")

    asyncio.run(scenario())


def test_the_doctor_tells_of_the_same_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(LIST)

    async def scenario() -> None:
        async with platforms(monkeypatch):
            settings = load({"watchlist": str(path), "data_dir": str(tmp_path)}).settings
            found = await asyncio.to_thread(lambda: list(findings(settings)))
        notes = [finding.what for finding in found if finding.what.startswith("watchlist: ")]
        assert notes == [f"watchlist: {told}" for told in TOLD]

    asyncio.run(scenario())
