"""`nomadwatch bots`: why an account is no person, in the words of the rule that decides."""

import pytest

from nomadwatch.cli import run
from streams.bots import RULES, explain, is_bot, known, rule_of


@pytest.mark.parametrize(
    ("login", "platform", "rule"),
    [
        ("dependabot[bot]", "github", "suffix"),
        ("Copilot", "github", "platform"),
        ("K8S-CI-Robot", "github", "listed"),
        ("SFconvertbot", "huggingface", "platform"),
    ],
)
def test_a_bot_is_told_with_its_rule_and_the_rule_s_source(
    login: str, platform: str, rule: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["bots", "explain", login, "--platform", platform]) == 0
    first, second, third = capfd.readouterr().out.splitlines()
    where = {"github": "GitHub", "huggingface": "Hugging Face"}[platform]
    found = next(each for each in RULES if each.name == rule)
    assert first == f"{login} on {where} is a bot: {found.why}."
    assert second == f"rule: {rule}"
    assert third == f"source: {found.source}"


def test_a_person_is_told_and_which_rules_were_tried(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bots", "explain", "@ada"]) == 0
    assert capfd.readouterr().out == "ada on GitHub is a person: no rule matches (suffix, platform, listed).\n"
    assert run(["bots", "explain", "k8s-ci-robot", "--platform", "huggingface"]) == 0
    assert "is a person" in capfd.readouterr().out


def test_a_person_whom_the_optional_rule_would_take_is_told_so(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bots", "explain", "talbot"]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first.startswith("talbot on GitHub is a person: ")
    assert "(substring; Ye & Zhou 2026" in second


@pytest.mark.parametrize("login", ["", " ", "@"])
def test_no_login_is_wrong_usage(login: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bots", "explain", login]) == 2
    assert capfd.readouterr().err == "nomadwatch: the login is empty; give one: nomadwatch bots explain LOGIN\n"


@pytest.mark.parametrize("platform", ["github", "huggingface"])
def test_the_list_has_every_bot_by_name_with_its_rule(platform: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bots", "list", "--platform", platform]) == 0
    listed = dict(line.split("\t") for line in capfd.readouterr().out.splitlines())
    assert set(listed) == known(platform)
    assert all(rule_of(login, platform) == rule for login, rule in listed.items())


def test_counting_and_explaining_are_one_rule() -> None:
    for login in ("dependabot[bot]", "Copilot", "snyk-bot", "ada", "talbot", "system"):
        for platform in ("github", "huggingface"):
            for substring in (False, True):
                rule = explain(login, platform, substring=substring)
                assert is_bot(login, platform, substring=substring) is (rule is not None)
                assert rule_of(login, platform, substring=substring) == (rule.name if rule else None)


def test_every_rule_says_why_and_whose_it_is_and_the_optional_ones_come_last() -> None:
    assert all(rule.why and rule.source for rule in RULES)
    assert [rule.optional for rule in RULES] == sorted(rule.optional for rule in RULES)
