"""The generated Hub over HTTP: its shapes, pages, refusals and quota, with the official client and without."""

import asyncio
import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import aiohttp
import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.community import DiscussionComment, DiscussionCommit, DiscussionStatusChange, DiscussionTitleChange
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError

from simulator.clock import HOUR, SECOND
from simulator.servers.clock import WorldClock
from simulator.servers.faults import Faults
from simulator.servers.hub import HubServer
from simulator.servers.hub_state import HubServerRepository
from simulator.servers.hub_truth import Happened
from simulator.servers.ledger import BANNED
from tests.simulator.recorded import recorded

ORIGIN = 1_790_000_000.0
TOKEN = "hf_secret"
FIELDS = ("author", "createdAt", "lastModified", "likes", "sha", "tags", "trendingScore")


class Wall:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.time = ORIGIN

    def __call__(self) -> float:
        return self.time


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: Any


class Asking:
    """A server and its client."""

    def __init__(self, server: HubServer, wall: Wall, url: str, session: aiohttp.ClientSession) -> None:
        self.server, self.wall, self.url, self._session = server, wall, url, session

    async def get(self, path: str, token: str | None = TOKEN) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = path if path.startswith("http") else f"{self.url}/api/{path}"
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            return Answer(response.status, response.headers, json.loads(await response.read()))

    async def pages(self, path: str) -> list[Any]:
        rows: list[Any] = []
        next_page: str | None = path
        while next_page is not None:
            answer = await self.get(next_page)
            assert answer.status == 200
            rows += answer.content
            next_page = answer.headers["Link"].partition(">")[0][1:] if "Link" in answer.headers else None
        return rows

    async def official(self, call: Callable[[HfApi], Any]) -> Any:
        return await asyncio.to_thread(call, HfApi(endpoint=self.url, token=TOKEN))


def ask(body: Callable[[Asking], Awaitable[None]], faults: Faults | None = None, **settings: Any) -> None:
    async def main() -> None:
        wall = Wall()
        small = {"rate": 1.0, "repositories": 200, "people": 300, "history": 3_600.0, "token": TOKEN, **settings}
        server = HubServer(5, WorldClock(small.pop("scale", 1.0), ORIGIN, wall), faults, **small)
        url = await server.start()
        try:
            async with aiohttp.ClientSession() as session:
                await body(Asking(server, wall, url, session))
        finally:
            await server.stop()

    asyncio.run(main())


def path(repository: HubServerRepository) -> str:
    return f"{repository.type}s/{repository.name}"


def busiest(
    server: HubServer, key: Callable[[HubServerRepository], int], type_: str | None = None
) -> HubServerRepository:
    return max((each for each in server.world.repositories if not each.private and type_ in (None, each.type)), key=key)


def test_the_official_client_reads_everything() -> None:
    async def body(asking: Asking) -> None:
        world = asking.server.world
        models = await asking.official(
            lambda api: list(api.list_models(sort="last_modified", expand=[*FIELDS, "baseModels", "gated"]))
        )
        assert [each.id for each in models] == [
            each.name for each in sorted(_public(world, "model"), key=lambda each: (-each.modified, each.key))
        ]
        assert all(each.last_modified.tzinfo is not None and isinstance(each.trending_score, int) for each in models)
        assert {each.gated for each in models} == {False, "auto", "manual"}
        assert all(each.author == each.id.partition("/")[0] for each in models)
        assert any(each.base_models and each.base_models["models"] for each in models)
        datasets = await asking.official(
            lambda api: list(api.list_datasets(sort="likes", expand=["likes", "downloadsAllTime"], limit=30))
        )
        assert [each.likes for each in datasets] == sorted(
            (len(each.likers) for each in _public(world, "dataset")), reverse=True
        )[:30]
        spaces = await asking.official(lambda api: list(api.list_spaces(full=True)))
        assert {each.id for each in spaces} == {each.name for each in _public(world, "space")}

        talked = busiest(asking.server, lambda each: len(each.threads) + len(each.likers), "model")
        info = await asking.official(lambda api: api.model_info(talked.name))
        assert (info.id, info.sha, info.likes, info.private) == (
            talked.name,
            talked.commits.head,
            len(talked.likers),
            False,
        )
        assert info.created_at == datetime.fromtimestamp(talked.created / SECOND, UTC)
        data = busiest(asking.server, lambda each: len(each.commits), "dataset")
        assert (await asking.official(lambda api: api.dataset_info(data.name))).sha == data.commits.head

        commits = await asking.official(lambda api: api.list_repo_commits(data.name, repo_type="dataset"))
        assert [each.commit_id for each in commits] == [
            data.commits.sha(index) for index in reversed(range(len(data.commits)))
        ]
        assert [each.created_at for each in commits] == sorted((each.created_at for each in commits), reverse=True)
        assert commits[-1].authors == ["system"]
        likers = await asking.official(lambda api: list(api.list_repo_likers(talked.name)))
        assert {each.username for each in likers} == {world.people.accounts[number].login for number in talked.likers}

        discussions = await asking.official(lambda api: list(api.get_repo_discussions(talked.name)))
        assert [each.num for each in discussions] == list(range(talked.last_thread, 0, -1))
        assert {each.is_pull_request for each in discussions} == {True, False}
        events: Counter[type] = Counter()
        threads = [(each, thread) for each in _public(world, "model") for thread in each.threads]
        for type_ in ("comment", "commit", "status-change", "title-change"):
            for each, thread in [pair for pair in threads if any(event.type == type_ for event in pair[1].events)][-4:]:
                details = await asking.official(
                    lambda api, each=each, thread=thread: api.get_discussion_details(each.name, thread.number)
                )
                assert (details.num, details.status, details.title) == (thread.number, thread.status, thread.title)
                assert [event.created_at.timestamp() * SECOND for event in details.events] == [
                    event.time for event in thread.events
                ]
                assert (details.merge_commit_oid is None) == (details.status != "merged")
                events.update(type(event) for event in details.events)
        assert set(events) == {DiscussionComment, DiscussionCommit, DiscussionStatusChange, DiscussionTitleChange}

    ask(body, rate=0.5, history=7_200.0)


def test_members_and_whoami_are_those_of_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(asking: Asking) -> None:
        # The client asks for members at HF_ENDPOINT, not at its own endpoint.
        monkeypatch.setattr(constants, "ENDPOINT", asking.url)
        official = await asking.official(lambda api: list(api.list_organization_members("sample-hub")))
        assert [each.username for each in official] == [each.login for each in asking.server.world.people.staff]
        members = await asking.pages("organizations/sampleai/members?limit=2")
        assert [each["user"] for each in members] == [
            each.login for each in asking.server.world.people.members["sampleai"]
        ]
        assert all(each.keys() >= {"_id", "user", "fullname", "avatarUrl", "isPro", "type"} for each in members)
        user = (await asking.get(f"users/{members[0]['user']}/overview")).content
        assert "sampleai" in {each["name"] for each in user["orgs"]}
        assert (await asking.official(lambda api: api.whoami()))["type"] == "user"
        assert (await asking.get("users/nobody-at-all/overview")).status == 404
        assert (await asking.get("organizations/nobody-at-all/members")).status == 404
        assert {each["user"] for each in members} <= asking.server.logins()

    ask(body)


def _public(world: Any, type_: str) -> list[HubServerRepository]:
    return [each for each in world.repositories.created[type_].values() if not each.private]


def test_expand_gives_what_it_names_and_refuses_the_rest() -> None:
    async def body(asking: Asking) -> None:
        row = (await asking.get("models?limit=1&expand=likes&expand[]=sha&sort=createdAt&direction=-1")).content[0]
        assert row.keys() == {"_id", "id", "likes", "sha"}
        for query in (
            "expand=nothing",
            "expand=likes&full=true",
            "expand=likes&cardData=1",
            "sort=updated",
            "direction=1",
            "limit=0",
            "limit=x",
        ):
            assert (await asking.get(f"models?{query}")).status == 400, query
        assert (await asking.get("spaces?expand=downloads")).status == 400
        assert (await asking.get("models?cursor=nonsense")).status == 400
        with pytest.raises(BadRequestError):
            await asking.official(lambda api: list(api.list_spaces(expand=["gated"])))

    ask(body)


def test_pages_follow_each_other_and_keep_the_query() -> None:
    async def body(asking: Asking) -> None:
        owner = busiest(
            asking.server, lambda each: sum(each.owner == other.owner for other in asking.server.world.repositories)
        ).owner
        rows = await asking.pages("models?sort=lastModified&limit=9&expand=lastModified&expand=tags")
        assert len(rows) == len({each["_id"] for each in rows}) == len(_public(asking.server.world, "model"))
        assert all(each.keys() == {"_id", "id", "lastModified", "tags"} for each in rows)
        assert [each["lastModified"] for each in rows] == sorted((each["lastModified"] for each in rows), reverse=True)
        of_owner = await asking.pages(f"models?author={owner}&limit=1&sort=createdAt")
        assert {each["id"] for each in of_owner} == {
            each.name for each in _public(asking.server.world, "model") if each.owner == owner
        }
        word = rows[0]["id"].partition("/")[2][:5].upper()
        assert rows[0]["id"] in {each["id"] for each in await asking.pages(f"models?search={word}&limit=3")}
        liked = busiest(asking.server, lambda each: len(each.likers))
        assert len(await asking.pages(f"{path(liked)}/likers?limit=7")) == len(liked.likers) > 7
        pushed = busiest(asking.server, lambda each: len(each.commits))
        commits = await asking.pages(f"{path(pushed)}/commits/main?limit=13")
        assert len(commits) == len(pushed.commits) > 13
        assert (await asking.get(f"{path(pushed)}/commits/main?limit=1")).headers["X-Total-Count"] == str(
            len(pushed.commits)
        )

    ask(body)


def test_what_happens_is_shown_from_the_moment_on_that_the_truth_says() -> None:
    async def body(asking: Asking) -> None:
        began = asking.server.clock.now()
        asking.wall.time += 900
        happened = asking.server.happened(began, asking.server.clock.now())
        last: dict[str, Happened] = {
            each.repository: each for each in happened if each.kind == "commit" and not each.action
        }
        rows = {each["_id"]: each for each in (await asking.get("models?expand=sha&expand=lastModified")).content}
        checked = 0
        for key, row in rows.items():
            if key in last:
                assert row["sha"] == last[key].mark
                assert row["lastModified"] == _spelled(last[key].visible_at // SECOND)
                checked += 1
        assert checked > 20

    ask(body)


def _spelled(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def test_a_new_comment_on_an_old_thread_shows_in_the_number_of_comments_only() -> None:
    async def body(asking: Asking) -> None:
        world = asking.server.world
        repository = busiest(asking.server, lambda each: len(each.threads))
        before = (await asking.get(f"{path(repository)}/discussions?sort=recently-created&p=0")).content
        listed = (await asking.get(path(repository))).content
        thread = repository.threads[0]
        world.acts._any_thread = lambda _: thread  # type: ignore[method-assign]
        world.acts.comment(repository, asking.server.clock.now())
        after = (await asking.get(f"{path(repository)}/discussions?sort=recently-created&p=0")).content
        assert [each["num"] for each in after["discussions"]] == [each["num"] for each in before["discussions"]]
        changed = [new for old, new in zip(before["discussions"], after["discussions"], strict=True) if old != new]
        oldest = (await asking.get(f"{path(repository)}/discussions/{thread.number}")).content
        assert oldest["numComments"] == sum(event["type"] == "comment" for event in oldest["events"])
        assert [each["num"] for each in changed] in ([thread.number], [])
        assert (await asking.get(path(repository))).content["lastModified"] == listed["lastModified"]
        assert (await asking.get(f"{path(repository)}/discussions?sort=updated")).status == 400

    ask(body, rate=0.0, repositories=60)


def test_threads_are_filtered_and_counted() -> None:
    async def body(asking: Asking) -> None:
        repository = busiest(asking.server, lambda each: sum(thread.status == "merged" for thread in each.threads))
        threads = repository.threads
        assert {"open", "closed", "merged"} <= {each.status for each in threads}
        everything = (await asking.get(f"{path(repository)}/discussions")).content
        assert everything["count"] == len(threads) > 3
        assert everything["numClosedDiscussions"] == sum(each.status in ("closed", "merged") for each in threads)
        for query, fits in (
            ("type=pull_request", lambda each: each.pull_request),
            ("type=discussion&status=open", lambda each: not each.pull_request and each.status in ("open", "draft")),
            ("status=closed", lambda each: each.status in ("closed", "merged")),
        ):
            page = (await asking.get(f"{path(repository)}/discussions?{query}")).content
            assert {each["num"] for each in page["discussions"]} == {
                each.number for each in threads[-50:] if fits(each)
            } or page["count"] > 50
            assert page["count"] == sum(fits(each) for each in threads)
        assert (await asking.get(f"{path(repository)}/discussions/{repository.last_thread + 1}")).status == 404
        silent = next(each for each in asking.server.world.repositories if not each.discussions and not each.private)
        assert (await asking.get(f"{path(silent)}/discussions")).status == 403
        assert (await asking.get(f"{path(silent)}/commits/main")).status == 200

    ask(body)


def test_a_deleted_author_has_no_name_any_more() -> None:
    async def body(asking: Asking) -> None:
        world = asking.server.world
        repository = busiest(asking.server, lambda each: len(each.threads))
        accounts = world.people.accounts
        thread = next(
            each for each in repository.threads if not accounts[each.author].bot and not accounts[each.author].owns
        )
        account = world.people.accounts[thread.author]
        world.people.leaver = lambda: account  # type: ignore[method-assign]
        world.acts.leave(repository, asking.server.clock.now())
        details = (await asking.get(f"{path(repository)}/discussions/{thread.number}")).content
        assert details["author"] == {"name": "deleted"}
        assert "author" not in details["events"][0]
        assert account.login not in json.dumps(details)
        assert asking.server.left() == {account.login: asking.server.clock.now()}
        read = await asking.official(
            lambda api: api.get_discussion_details(repository.name, thread.number, repo_type=repository.type)
        )
        assert (read.author, read.events[0].author) == ("deleted", "deleted")

    ask(body, rate=0.0)


def test_authors_of_events_say_where_they_stand() -> None:
    async def body(asking: Asking) -> None:
        people = asking.server.world.people
        seen = Counter()
        for repository in sorted(asking.server.world.repositories, key=lambda each: -len(each.threads))[:40]:
            if repository.private or not repository.discussions:
                continue
            for thread in repository.threads[:2]:
                for event in (await asking.get(f"{path(repository)}/discussions/{thread.number}")).content["events"]:
                    author = event["author"]
                    member = author["name"] in {each.login for each in people.members.get(repository.owner, [])}
                    assert author["isOrgMember"] == (repository.organisation and member)
                    assert author["isOwner"] == (author["name"] == repository.owner)
                    assert author["isHf"] == (author["name"] in {each.login for each in people.staff})
                    seen.update(flag for flag in ("isOrgMember", "isOwner", "isHf") if author[flag])
        assert set(seen) == {"isOrgMember", "isOwner", "isHf"}

    ask(body)


def test_a_moved_repository_leads_to_its_new_name_and_keeps_its_id() -> None:
    async def body(asking: Asking) -> None:
        world = asking.server.world
        base = next(
            each for each in _public(world, "model") if each.crowd is world.repositories.others and each.children
        )
        child = next(
            each for each in _public(world, "model") if any(parent.repository is base for parent in each.bases)
        )
        old = base.name
        world.acts._any_like = lambda _: base  # type: ignore[method-assign]
        world.acts.move(base, asking.server.clock.now())
        assert base.name != old
        answer = await asking.get(f"models/{old}/commits/main?limit=2")
        assert answer.status == 307
        assert answer.headers["Location"] == f"/api/models/{base.name}/commits/main?limit=2"
        assert (await asking.official(lambda api: api.model_info(old))).id == base.name
        row = (await asking.get(f"models/{child.name}?expand=tags&expand=baseModels")).content
        assert f"base_model:{child.relation}:{old}" in row["tags"]
        assert {"_id": base.key, "id": base.name} in row["baseModels"]["models"]
        world.acts.delete(base, asking.server.clock.now())
        assert (await asking.get(f"models/{old}")).status == (await asking.get(f"models/{base.name}")).status == 404
        assert "baseModels" not in (await asking.get(f"models/{child.name}?expand=baseModels")).content

    ask(body, rate=0.0)


@pytest.mark.parametrize(("token", "granted", "status"), [(None, True, 401), (TOKEN, False, 403), (TOKEN, True, 200)])
def test_a_gated_repository_keeps_its_commits_for_those_who_accepted_its_terms(
    token: str | None, granted: bool, status: int
) -> None:
    async def body(asking: Asking) -> None:
        everything = asking.server.world.repositories
        gated = next(each for each in everything if each.gated and each.discussions and not each.private)
        answer = await asking.get(f"{path(gated)}/commits/main", token)
        assert (answer.status, answer.headers.get("X-Error-Code")) == (status, None if status == 200 else "GatedRepo")
        for public in ("", "/discussions", "/likers"):
            assert (await asking.get(f"{path(gated)}{public}", token)).status == 200
        asking.wall.time += 6 * 3_600
        since, until = round((ORIGIN - 1_800) * SECOND), asking.server.clock.now()
        told = asking.server.unmissable(since, until, 0, signed_in=token is not None)
        keys = {each.key for each in everything if each.gated}
        of_gated = {each.kind for each in told if each.repository in keys}
        assert "discussion_comment" in of_gated
        assert ("commit" in of_gated) is (status == 200)

    ask(body, granted=granted)


def test_who_may_not_know_is_told_nothing() -> None:
    async def body(asking: Asking) -> None:
        private = next(each for each in asking.server.world.repositories if each.private)
        for name in (path(private), "models/nobody/nothing", "models/gpt2", "models/a%0d%0aX-A:%20b/c"):
            anonymous, known = await asking.get(name, None), await asking.get(name)
            assert (anonymous.status, known.status) == (401, 404)
            assert anonymous.headers["X-Error-Code"] == known.headers["X-Error-Code"] == "RepoNotFound"
        with pytest.raises(RepositoryNotFoundError):
            await asking.official(lambda api: api.model_info("nobody/nothing"))
        assert (await asking.get("models?limit=1", "hf_wrong")).status == 401
        assert (await asking.get("models?limit=1", TOKEN[:-1])).status == 401
        assert (await asking.get("whoami-v2", None)).status == 401
        assert (await asking.get("nothing")).status == 404
        assert (await asking.get("models?expand=%0d%0aX:y")).status == 400
        assert private.name not in {each["id"] for each in (await asking.get(f"{private.type}s")).content}
        repository = busiest(asking.server, lambda each: len(each.commits))
        assert (await asking.get(f"{path(repository)}/commits/nothing")).headers["X-Error-Code"] == "RevisionNotFound"
        assert (await asking.get(f"{path(repository)}/commits/{repository.commits.head}")).status == 200

    ask(body, repositories=400)


def test_the_quota_is_stated_spent_and_renewed_and_asking_during_a_ban_is_an_offence() -> None:
    async def body(asking: Asking) -> None:
        # The windows begin at multiples of five minutes from the origin; the clock stands still, so every number is
        # known.
        first = await asking.get("models?limit=1", None)
        assert first.headers["RateLimit"] == '"api";r=499;t=300'
        assert first.headers["RateLimit-Policy"] == '"fixed window";"api";q=500;w=300'
        assert (await asking.get("models?limit=1")).headers["RateLimit"] == '"api";r=999;t=300'
        asking.wall.time += 100.5
        asking.server.limits.anonymous = 3
        assert (await asking.get("models?limit=1", None)).headers["RateLimit"] == '"api";r=1;t=200'
        assert (await asking.get("models?limit=1", None)).status == 200
        refused = await asking.get("models?limit=1", None)
        assert (refused.status, refused.headers["RateLimit"]) == (429, '"api";r=0;t=200')
        assert asking.server.offences == []
        assert (await asking.get("models?limit=1")).status == 200
        assert (await asking.get("datasets?limit=1", None)).status == 429
        assert [each.feed for each in asking.server.offences] == ["/api/datasets"]
        asking.wall.time += 199.5
        assert (await asking.get("models?limit=1", None)).status == 200
        assert len(asking.server.offences) == 1
        assert asking.server.statuses[429] == 2 == asking.server.limits.refused

    ask(body, rate=0.01)


def test_everybody_can_be_refused_for_some_windows_and_whoever_does_not_stop_offends_once_in_each() -> None:
    async def body(asking: Asking) -> None:
        asking.wall.time += 100
        asking.server.limits.refuse_everybody(300)
        for left, offences in ((200, 0), (300, 1)):
            refused = await asking.get("models?limit=1")
            assert (refused.status, refused.headers["RateLimit"]) == (429, f'"api";r=0;t={left}')
            assert len(asking.server.offences) == offences
            assert (await asking.get("models?limit=1")).status == 429
            assert [each.what for each in asking.server.offences] == [BANNED] * (offences + 1)
            asking.wall.time += left
        assert (await asking.get("models?limit=1")).status == 200
        assert len(asking.server.offences) == 2

    ask(body, rate=0.01)


def test_whom_a_fault_kept_from_being_told_of_the_spent_quota_does_not_offend() -> None:
    faults = Faults(1)

    async def body(asking: Asking) -> None:
        asking.server.limits.refuse_everybody(300)
        faults.set(error=1.0)
        assert (await asking.get("models?limit=1")).status >= 500
        faults.clear()
        assert (await asking.get("models?limit=1")).status == 429
        assert asking.server.offences == []
        await asking.get("models?limit=1")
        assert len(asking.server.offences) == 1

    ask(body, faults, rate=0.01)


def test_a_faster_clock_states_the_walls_seconds() -> None:
    async def body(asking: Asking) -> None:
        asking.wall.time += 1.0004
        answer = await asking.get("models?limit=1")
        assert answer.headers["RateLimit"] == '"api";r=999;t=4'
        assert answer.headers["RateLimit-Policy"] == '"fixed window";"api";q=1000;w=5'
        asking.wall.time += 0.3
        assert (await asking.get("models?limit=1")).headers["RateLimit"] == '"api";r=998;t=3.7'
        asking.server.limits.authorised = 2
        assert (await asking.get("models?limit=1")).status == 429
        asking.wall.time += 3.7
        assert (await asking.get("models?limit=1")).status == 200
        assert asking.server.offences == []

    ask(body, rate=0.01, scale=60.0)


def test_faults_befall_answers() -> None:
    faults = Faults(1)

    async def body(asking: Asking) -> None:
        faults.set(error=1.0)
        with pytest.raises(HfHubHTTPError):
            await asking.official(lambda api: api.model_info("a/b"))
        faults.clear()
        assert (await asking.get("models?limit=1")).status == 200
        assert faults.counts["error"] >= 1

    ask(body, faults)


def test_the_release_appears_at_its_time_and_trends() -> None:
    async def body(asking: Asking) -> None:
        release = asking.server.release
        assert release is not None
        assert (await asking.get(f"models/{release.name}")).status == 404
        asking.wall.time += 600
        newest = (await asking.get("models?sort=createdAt&limit=1&expand=createdAt&expand=author")).content[0]
        assert (newest["id"], newest["_id"], newest["author"]) == (release.name, release.repository, "sampleai")
        assert newest["createdAt"] == _spelled(release.at // SECOND)
        asking.wall.time += 1_800
        trending = (await asking.get("models?sort=trendingScore&limit=1")).content[0]
        assert trending["id"] == release.name
        assert trending["trendingScore"] > 20

    ask(body, rate=0.5, release_in=600.0, release_of="sampleai", release_factor=200.0)


def test_shapes_are_those_of_the_recorded_listings() -> None:
    snapshot = json.loads(gzip.decompress(recorded("hf-daily-snapshots-2026-08/2026-08-07.json.gz").read_bytes()))[
        "models"
    ]

    async def body(asking: Asking) -> None:
        rows = (await asking.get("models?sort=likes&full=true")).content
        for name in snapshot[0]:
            kinds = {type(row[name]) for row in snapshot} - {type(None)}
            assert {type(row[name]) for row in rows if name in row} <= (kinds or {str}), name
            assert {len(row[name]) for row in rows if name == "createdAt"} <= {
                len(row["createdAt"]) for row in snapshot
            }
        stated = {row["createdAt"] for row in rows} & {row["createdAt"] for row in snapshot}
        assert stated == {"2022-03-02T23:29:04.000Z"}

    ask(body)


def test_shapes_are_those_of_the_recorded_models() -> None:
    models = json.loads(gzip.decompress(recorded("hf-model-tree-2025/model_data.json.gz").read_bytes()))["models"]
    records = [json.loads(each["metadata"]) for each in models]

    async def body(asking: Asking) -> None:
        derived = [each for each in _public(asking.server.world, "model") if each.bases]
        for repository in derived[:20]:
            row = (await asking.get(path(repository))).content
            assert {len(row["_id"]), len(records[0]["_id"])} == {24}
            assert int(row["_id"][:8], 16) * SECOND == repository.created
            assert len(row["sha"]) == len(records[0]["sha"]) == 40
            assert row["modelId"] == row["id"]
            for record in records:
                # The recorded ones were written by the client, in its own names too.
                for name in (record.keys() & row.keys()) - {"cardData", "siblings"}:
                    if record[name] is not None:
                        assert isinstance(row[name], type(record[name])) or name == "gated", name
            assert {_form(tag) for tag in row["tags"] if tag.startswith("base_model")} <= {
                "base_model:",
                "base_model:RELATION:",
            }
        assert {_form(tag) for record in records for tag in record["tags"] if tag.startswith("base_model")} == {
            "base_model:",
            "base_model:RELATION:",
        }

    ask(body)


def _form(tag: str) -> str:
    first, *rest = tag.split(":")
    return (
        f"{first}:RELATION:"
        if len(rest) == 2 and rest[0] in ("finetune", "adapter", "merge", "quantized")
        else f"{first}:"
    )


def test_commits_are_those_of_the_recorded_ones() -> None:
    text = gzip.decompress(
        recorded("hf-commits-discussions/safetensors_commits_by_tool_both.csv.gz").read_bytes()
    ).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    title = re.compile(r".* \(#\d+\)", re.DOTALL)
    assert {len(row["commit_hash"]) for row in rows} == {40}
    assert sum(bool(title.fullmatch(row["message"].partition("\n")[0])) for row in rows) > len(rows) / 2

    async def body(asking: Asking) -> None:
        merging = [each for each in _public(asking.server.world, "model") if each.commits.merged]
        for repository in merging[:20]:
            page = (await asking.get(f"{path(repository)}/commits/main?limit=1000")).content
            assert sum(bool(title.fullmatch(commit["title"])) for commit in page) == len(repository.commits.merged)
            for commit in page:
                assert commit.keys() == {"id", "title", "message", "authors", "date"}
                assert all(author.keys() == {"user", "avatar"} for author in commit["authors"])
                assert len(commit["id"]) == 40
                assert datetime.fromisoformat(commit["date"]).utcoffset() == timedelta(0)
        assert merging

    ask(body)


def test_a_busy_hub_is_caught_up_with_before_it_answers() -> None:
    async def body(asking: Asking) -> None:
        asking.wall.time += 10.0
        now = asking.server.clock.now()
        newest = (await asking.get("models?sort=lastModified&limit=1&expand=lastModified")).content[0]
        behind = now - datetime.fromisoformat(newest["lastModified"]).timestamp() * SECOND
        assert 0 <= behind < 30 * SECOND
        assert len(asking.server.happened(now - HOUR // 10, now)) > 3_000

    ask(body, rate=10.0, scale=60.0)
