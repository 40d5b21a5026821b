"""The form of commits, threads and people in the Hub's API."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from simulator.clock import SECOND
from simulator.servers.hub_fields import Shape, spelled
from simulator.servers.hub_people import HubAccount, People
from simulator.servers.hub_state import HubServerRepository, HubServerThread, ThreadEvent, event_id, object_id

_TITLES: Final = (
    "Upload folder using huggingface_hub",
    "Update README.md",
    "Upload tokenizer",
    "Update config.json",
    "Add files using upload-large-folder tool",
    "Delete old checkpoint",
)


def commit(repository: HubServerRepository, index: int, accounts: Sequence[HubAccount]) -> Shape:
    """A commit; a merge has two authors, the one that merged first."""
    commits = repository.commits
    place = index - commits.forgotten
    authors = [accounts[commits.authors[place]]]
    title, message = _TITLES[(index + int(repository.key[-4:], 16)) % len(_TITLES)], ""
    if index == 0:
        title = "initial commit"
    elif index in commits.merged:
        number, opener = commits.merged[index]
        title = f"Merge of what was proposed (#{number})"
        message = f"\n\n- Update README.md ({commits.sha(index)[::-1]})\n\n"
        if opener != authors[0].number:
            authors.append(accounts[opener])
    return {
        "id": commits.sha(index),
        "title": title,
        "message": message,
        "authors": [{"user": author.login, "avatar": avatar(author.key)} for author in authors],
        "date": spelled(commits.times[place]),
    }


def avatar(key: str) -> str:
    return f"/avatars/{hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()}.svg"


def person(account: HubAccount) -> Shape:
    """The account that opened a thread; a deleted one has only the name `deleted`."""
    if account.left is not None:
        return {"name": "deleted"}
    return {
        "_id": account.key,
        "avatarUrl": avatar(account.key),
        "fullname": account.login.title(),
        "name": account.login,
        "type": "user",
        "isPro": account.pro,
        "isHf": account.staff,
        "isMod": False,
    }


def thread(repository: HubServerRepository, each: HubServerThread, people: People) -> Shape:
    """A discussion or pull request in its repository's list."""
    return {
        "num": each.number,
        "author": person(people.accounts[each.author]),
        "repo": {"name": repository.name, "type": repository.type},
        "repoOwner": {
            "name": repository.owner,
            "isParticipating": False,
            "type": "org" if repository.organisation else "user",
        },
        "title": each.title,
        "status": each.status,
        "createdAt": spelled(each.created),
        "isPullRequest": each.pull_request,
        "numComments": each.comments,
        "numReactionUsers": 0,
        "topReactions": [],
        "pinned": False,
    }


def threads(
    repository: HubServerRepository, page: Sequence[HubServerThread], people: People, *, count: int, start: int
) -> Shape:
    """A page of threads, of `count` in all; the number of closed ones is on the first page only."""
    shape: Shape = {"discussions": [thread(repository, each, people) for each in page], "count": count, "start": start}
    if not start:
        shape["numClosedDiscussions"] = sum(each.status in ("closed", "merged") for each in repository.threads)
    return shape


def details(
    repository: HubServerRepository, each: HubServerThread, people: People, bodies: Sequence[str], *, diff: bool
) -> Shape:
    """A thread with its events."""
    shape = thread(repository, each, people)
    for name in ("repoOwner", "numReactionUsers", "topReactions"):
        del shape[name]
    shape["events"] = [
        _event(repository, each, index, event, people, bodies) for index, event in enumerate(each.events)
    ]
    shape |= {"locked": False, "isReport": False}
    if each.pull_request:
        shape["changes"] = {
            "base": "refs/heads/main",
            **({"mergeCommitId": each.merge_commit} if each.merge_commit else {}),
        }
        shape["filesWithConflicts"] = []
        if diff:
            shape["diff"] = (
                "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-#\n+# Card\n"
            )
    return shape


def _event(
    repository: HubServerRepository,
    each: HubServerThread,
    index: int,
    event: ThreadEvent,
    people: People,
    bodies: Sequence[str],
) -> Shape:
    """An event; a deleted account is left out as its author."""
    account = people.accounts[event.author]
    key = event_id(repository, each, index)
    shape: Shape = {"id": key, "createdAt": spelled(event.time), "type": event.type}
    if account.left is None:
        flags = {"isOwner": people.is_owner(account, repository), "isOrgMember": people.is_member(account, repository)}
        shape["author"] = {**person(account), **flags}
    match event.type:
        case "comment":
            raw = bodies[int(key[-6:], 16) % len(bodies)]
            latest: Shape = {"raw": raw, "html": f"<p>{raw}</p>\n", "updatedAt": spelled(event.time)}
            if account.left is None:
                latest["author"] = person(account)
            shape["data"] = {
                "edited": False,
                "hidden": False,
                "latest": latest,
                "numEdits": 0,
                "reactions": [],
                "isReport": False,
            }
        case "status-change":
            shape["data"] = {"status": event.detail[0]}
        case "title-change":
            shape["data"] = {"from": event.detail[0], "to": event.detail[1]}
        case _:
            oid = hashlib.blake2b(key.encode(), digest_size=20).hexdigest()
            shape["data"] = {"subject": "Update README.md", "oid": oid, "parents": []}
    return shape


def user(account: HubAccount) -> Shape:
    """A liker or member."""
    return {
        "_id": account.key,
        "avatarUrl": avatar(account.key),
        "fullname": account.login.title(),
        "isPro": account.pro,
        "user": account.login,
        "type": "user",
    }


def organisation(name: str, people: People) -> Shape:
    key = people.keys[name]
    return {"id": key, "name": name, "fullname": name, "avatarUrl": avatar(key), "isEnterprise": False}


def overview(account: HubAccount, owned: Mapping[str, int], people: People) -> Shape:
    """An account's public page; `owned` counts its repositories by type."""
    return {
        **user(account),
        "numModels": owned.get("model", 0),
        "numDatasets": owned.get("dataset", 0),
        "numSpaces": owned.get("space", 0),
        "orgs": [organisation(name, people) for name in account.organisations],
        "createdAt": spelled(int(account.key[:8], 16) * SECOND),
    }


def whoami(name: str) -> Shape:
    """The account of a token."""
    key = object_id(0, name)
    token = {"displayName": "reader", "role": "read"}
    return {
        "type": "user",
        "id": key,
        "name": name,
        "fullname": name.title(),
        "isPro": False,
        "avatarUrl": avatar(key),
        "orgs": [],
        "auth": {"type": "access_token", "accessToken": token},
    }
