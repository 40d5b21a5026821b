"""The order of the list of platforms is stored, and a further platform is accepted only if it cannot be confused with
another.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams import platforms
from streams.activity import COMPARED, PLATFORMS
from streams.bots import is_bot
from streams.codes import code_of, names_of
from streams.errors import PlatformError
from streams.live.common.poller import Poller
from streams.platform import imported
from streams.platforms import BUILT_IN, with_further

MODULE = """
from dataclasses import replace

from streams.platform import Platform, PlatformSetting


def made(id="forge", number=0, **more):
    api = PlatformSetting(f"{id}_api", f"{id.upper()}_API")
    return Platform(id=id, title=id, name=id, holds="tools", endpoint=api, poller="forge:Poller", **more)


ONE, TWO = made(), made("smithy")
SAME_SETTING = replace(made("smithy"), endpoint=PlatformSetting("github_api", "SMITHY_API"))
SAME_VARIABLE = replace(made("smithy"), endpoint=PlatformSetting("smithy_api", "GITHUB_TOKEN"))
CAPITALS, RESERVED = made("Forge"), made("archive")
MANY = [made(f"forge{number}") for number in range(15)]
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forges.py").write_text(
        MODULE + "".join(f"N{number} = MANY[{number}]\n" for number in range(15)), "utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "forges", raising=False)


def test_the_first_platforms_keep_their_numbers_for_ever() -> None:
    """Stored rows have them."""
    assert [platform.id for platform in BUILT_IN] == ["github", "huggingface"] == list(COMPARED)
    assert PLATFORMS[:2] == ("github", "huggingface")
    assert (code_of("github", "upkeep"), code_of("huggingface", "upkeep")) == (7, 23)
    assert names_of(23) == ("huggingface", "upkeep")


def test_further_platforms_follow_in_the_order_in_which_they_are_named() -> None:
    named = with_further(" forges:TWO ,forges:ONE,")
    assert [platform.id for platform in named] == ["github", "huggingface", "smithy", "forge"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ("forges", "forges cannot be imported"),
        ("nowhere:ONE", "nowhere:ONE cannot be imported"),
        ("forges:NOTHING", "forges:NOTHING cannot be imported"),
        ("forges:made", "forges:made is no Platform"),
        ("forges:ONE,forges:ONE", "two platforms have the id forge"),
        ("forges:SAME_SETTING", "two platforms have the setting github_api"),
        ("forges:SAME_VARIABLE", "two platforms have the variable GITHUB_TOKEN"),
        ("forges:CAPITALS", "'Forge' cannot be the id of a platform"),
        ("forges:RESERVED", "'archive' cannot be the id of a platform"),
        (",".join(f"forges:N{number}" for number in range(15)), "17 platforms are more than 16"),
    ],
)
def test_what_cannot_be_a_platform_is_refused_with_the_variable(paths: str, said: str) -> None:
    with pytest.raises(PlatformError, match=f"^NOMADWATCH_PLATFORMS: {said}.*correct or unset it$"):
        with_further(paths)


def test_sixteen_platforms_fit_in_a_code(tmp_path: Path) -> None:
    paths = ",".join(f"forges:N{number}" for number in range(14))
    code = "from streams.codes import *; print(code_of('forge13', 'upkeep'), names_of(code_of('forge13', 'upkeep')))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), platforms.VARIABLE: paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "247 ('forge13', 'upkeep')"


@pytest.mark.parametrize("platform", BUILT_IN, ids=lambda platform: platform.id)
def test_every_import_path_of_a_platform_leads_to_what_it_names(platform: platforms.Platform) -> None:
    assert Poller in imported(platform.poller).__mro__
    assert {"path", "asks_names", "ask"} <= set(dir(imported(platform.check)))
    assert {row.platform for row in imported(platform.meanings)()} == {platform.id}
    assert all(is_bot(login, platform.id) for login in platform.bots)
