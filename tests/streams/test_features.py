"""The table of features states what is really counted: for events as GitHub sends them, and for acts as the Hub's
pollers report them.
"""

import ast
import inspect
import json
from typing import Any

import pytest

from streams.activity import FEATURES, feature_of
from streams.features import Meaning, meanings
from streams.github_events import GithubEvents
from streams.github_payloads import SHAPES
from streams.identities import Identities
from streams.live.github.meanings import GITHUB
from streams.live.hub import activities as hub_activities
from streams.live.hub.meanings import HUB
from tests.streams.made import KEY, NOW, WATCHLIST, event

TABLE = list(meanings())


def counted(kind: str, payload: dict[str, Any]) -> set[str]:
    """The features of what a reader makes of an event."""
    line = json.dumps(event(kind, payload=payload)).encode()
    read = GithubEvents(Identities(KEY, WATCHLIST), NOW).read(line)
    return {feature_of(activity.kind, activity.action) for activity in read}


@pytest.mark.parametrize(("kind", "what", "payload"), GITHUB, ids=lambda value: value if isinstance(value, str) else "")
def test_an_event_counts_as_what_the_table_says(kind: str, what: str, payload: dict[str, Any]) -> None:
    (row,) = [row for row in TABLE if (row.event, row.what) == (kind, what)]
    if what == "merged":
        # The opener is credited if the source names it, or the opening was seen.
        payload = {**payload, "pull_request": {**payload["pull_request"], "user": {"id": 9, "login": "opener"}}}
    assert counted(kind, payload) == set(row.features)


def test_every_type_of_event_that_is_measured_has_a_row_and_every_feature_too() -> None:
    assert {row.event for row in TABLE if row.platform == "github"} == set(SHAPES)
    assert {feature for row in TABLE for feature in row.features} == set(FEATURES)
    assert len(TABLE) == len(set(TABLE)) == len(GITHUB) + len(HUB)


def test_what_the_definition_says_of_every_feature_stands_in_the_table() -> None:
    def has(feature: str, platform: str, event: str, what: str = "") -> bool:
        return any(
            feature in row.features and row[:2] == (platform, event) and row.what.startswith(what) for row in TABLE
        )

    assert has("contribution", "github", "PushEvent")
    assert has("contribution", "huggingface", "commit")
    assert has("exchange", "github", "IssueCommentEvent", "created on an issue")
    assert has("review", "github", "IssueCommentEvent", "created on a pull request")
    assert has("preference", "github", "WatchEvent", "started")
    assert has("preference", "huggingface", "like")
    assert has("adaptation", "github", "ForkEvent")
    assert has("adaptation", "huggingface", "derivative")
    assert has("publication", "github", "CreateEvent", "a repository")
    assert has("upkeep", "github", "CreateEvent", "a branch")
    assert has("accepted", "github", "PullRequestEvent", "merged")
    assert Meaning("huggingface", "pull request", "merged", ("accepted", "upkeep")) in TABLE


def test_every_kind_of_act_that_the_hub_s_pollers_make_has_a_row() -> None:
    tree = ast.parse(inspect.getsource(hub_activities))
    named: list[ast.expr] = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("_activity", "_happened")
        ):
            named.append(node.args[1 if node.func.attr == "_activity" else 2])
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "kind":
            named.append(node.value)
    made = {part.value for value in named for part in ast.walk(value) if isinstance(part, ast.Constant)}
    assert made == {kind for _, _, kind, _ in HUB}
