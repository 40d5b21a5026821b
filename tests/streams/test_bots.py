"""Bots are recognised by their rules and by nothing else."""

import re

import pytest

from streams.bots import is_bot, listed, rule_of
from tests.simulator.recorded import recorded


@pytest.mark.parametrize(
    ("login", "platform", "rule"),
    [
        ("dependabot[bot]", "github", "suffix"),
        ("Copilot", "github", "platform"),
        ("typescript-bot", "github", "platform"),
        ("k8s-ci-robot", "github", "listed"),
        ("K8S-CI-Robot", "github", "listed"),
        ("ada", "github", None),
        ("abbot", "github", None),
        ("SFconvertbot", "huggingface", "platform"),
        ("system", "huggingface", "platform"),
        ("system", "github", None),
        ("k8s-ci-robot", "huggingface", None),
    ],
)
def test_each_rule_finds_its_own(login: str, platform: str, rule: str | None) -> None:
    assert rule_of(login, platform) == rule
    assert is_bot(login, platform) is (rule is not None)


def test_the_substring_rule_is_an_option() -> None:
    assert rule_of("abbot", substring=True) == "substring"
    assert rule_of("ada", substring=True) is None


def test_the_list_is_sorted_folded_and_that_of_its_source() -> None:
    text = recorded("open-digger-bots/bot_index.yml").read_text()
    github = text[text.index("name: GitHub") : text.index("name: Gitee")]
    names = {name.casefold() for name in re.findall(r"- id: \d+\n +name: (\S+)", github)}
    assert listed() == names
    assert all(name == name.casefold() for name in listed())
