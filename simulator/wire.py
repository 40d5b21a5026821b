"""Activities in the form of the wire, read as deeds: the meaning of kinds and actions, stated once more."""

from collections.abc import Mapping
from typing import Any, Final

from simulator.deed import Deed

_MEANING: Final = {
    "push": "contribution",
    "commit": "contribution",
    "issue": "exchange",
    "issue_comment": "exchange",
    "commit_comment": "exchange",
    "discussion": "exchange",
    "discussion_comment": "exchange",
    "star": "preference",
    "like": "preference",
    "pull_request": "review",
    "pull_request_comment": "review",
    "review": "review",
    "review_comment": "review",
    "fork": "adaptation",
    "derivative": "adaptation",
    "repository": "publication",
    "release": "publication",
    "public": "publication",
}
_BEGINS: Final = {None, "opened", "created", "submitted", "started", "forked", "published"}


def meaning(kind: str, action: str | None) -> str:
    """The feature of a kind and an action: only a beginning is more than upkeep.

    >>> meaning("like", None), meaning("discussion", "closed"), meaning("pull_request", "accepted")
    ('preference', 'upkeep', 'accepted')
    """
    if action == "accepted":
        return "accepted"
    return _MEANING.get(kind, "upkeep") if action in _BEGINS else "upkeep"


def deed(activity: Mapping[str, Any]) -> Deed:
    """The deed of an activity in the form of the wire."""
    return Deed(
        activity["id"],
        activity["platform"],
        meaning(activity["kind"], activity.get("action")),
        activity["occurred_at"],
        activity["repo_id"],
        activity["repo"],
        activity["actor"],
        activity.get("bot", False),
        activity.get("commits"),
        activity.get("project"),
        activity.get("artefact", "software"),
        **_turn(activity),
    )


def _turn(activity: Mapping[str, Any]) -> dict[str, Any]:
    action, thread = activity.get("action"), activity.get("thread")
    if activity["kind"] != "pull_request" or action not in ("opened", "merged", "accepted") or thread is None:
        return {}
    return {"thread": thread, "turn": action}
