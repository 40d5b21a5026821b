"""GitHub's events as lines of an archive: the full payloads of 2024 and the reduced ones of 2026."""

from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Final

from simulator.clock import rfc3339
from simulator.population import Person, SimulatedRepository
from simulator.prose import Prose
from simulator.shapes import API
from simulator.templates import ACTOR, ORGANISATION, REPOSITORY, TEMPLATES, USER
from simulator.world import Happening, WorldThread

_LISTED_COMMITS: Final = 20


@lru_cache(maxsize=20_000)
def _actor(person: Person) -> str:
    return ACTOR.fill({"id": person.id, "login": person.login, "display_login": person.login.removesuffix("[bot]")})


@lru_cache(maxsize=10_000)
def _user(person: Person) -> str:
    return USER.fill(
        {"id": person.id, "login": person.login, "account": "Bot" if person.login.endswith("[bot]") else "User"}
    )


class EventWriter:
    """Writes happenings as lines of an era's archive; `seed` decides the texts.

    With `marked` each line says that it is simulated, and so do all figures that count it. The servers say it in a
    header.
    """

    def __init__(self, seed: int, era: str, *, marked: bool = False) -> None:
        self._mark = ',"simulated":true' if marked else ""
        self._random = Random(f"events/{seed}")
        self._prose = Prose(seed)
        self._full = era == "2024"
        self._templates = TEMPLATES[era]
        self._payloads: dict[str, Callable[[Happening], str]] = {
            "PushEvent": self._push,
            "CreateEvent": self._create,
            "DeleteEvent": self._delete,
            "PullRequestEvent": self._pull_request,
            "PullRequestReviewEvent": self._review,
            "PullRequestReviewCommentEvent": self._review_comment,
            "IssuesEvent": self._issues,
            "IssueCommentEvent": self._issue_comment,
            "WatchEvent": lambda _: '{"action":"started"}',
            "ForkEvent": self._fork,
            "ReleaseEvent": self._release,
            "CommitCommentEvent": self._commit_comment,
            "GollumEvent": self._gollum,
            "MemberEvent": self._member,
            "PublicEvent": lambda _: "{}",
            "DiscussionEvent": self._discussion,
        }

    def line(self, happening: Happening) -> bytes:
        """One line of JSON with its line end."""
        repository = happening.repository
        payload = self._payloads[happening.type](happening)
        organisation = ""
        if repository.organisation:
            organisation = ',"org":' + ORGANISATION.fill({"id": repository.owner.id, "login": repository.owner.login})
        text = (
            f'{{"id":"{happening.serial}","type":"{happening.type}","actor":{_actor(happening.actor)},'
            f'"repo":{{"id":{repository.id},'
            f'"name":"{repository.name}","url":"{API}/repos/{repository.name}"}},"payload":{payload},"public":true,'
            f'"created_at":"{rfc3339(happening.occurred_at)}"{organisation}{self._mark}}}\n'
        )
        return text.encode()

    def _sha(self) -> str:
        return f"{self._random.getrandbits(160):040x}"

    def _reference(self) -> str:
        return f"{self._random.choice(('fix', 'feature', 'patch', 'docs'))}-{self._random.randrange(10**5)}"

    def _push(self, happening: Happening) -> str:
        head, before = self._sha(), self._sha()
        start = f'{{"repository_id":{happening.repository.id},"push_id":{18_000_000_000 + happening.serial}'
        end = f'"ref":"refs/heads/main","head":"{head}","before":"{before}"'
        if not self._full:
            return f"{start},{end}}}"
        shas = [self._sha() for _ in range(min(happening.commits, _LISTED_COMMITS) - 1)] + [head]
        listed = ",".join(self._commit(happening, sha) for sha in shas[: happening.commits])
        return f'{start},"size":{happening.commits},"distinct_size":{happening.commits},{end},"commits":[{listed}]}}'

    def _commit(self, happening: Happening, sha: str) -> str:
        name = happening.actor.login
        return (
            f'{{"sha":"{sha}","author":'
            f'{{"email":"{happening.actor.id}+{name}@users.noreply.github.com","name":"{name}"}},'
            f'"message":"{self._prose.title()}\\n\\n{self._prose.body(0.8)}","distinct":true,'
            f'"url":"{API}/repos/{happening.repository.name}/commits/{sha}"}}'
        )

    def _create(self, happening: Happening) -> str:
        kind = happening.what
        reference = "null" if kind == "repository" else f'"{self._reference()}"'
        full = "" if self._full else f'"full_ref":{reference},'
        description = self._prose.title()
        return (
            f'{{"ref":{reference},"ref_type":"{kind}",{full}"master_branch":"main",'
            f'"description":"{description}","pusher_type":"user"}}'
        )

    def _delete(self, happening: Happening) -> str:
        reference = self._reference()
        full = "" if self._full else f'"full_ref":"refs/heads/{reference}",'
        return f'{{"ref":"{reference}","ref_type":"{happening.what}",{full}"pusher_type":"user"}}'

    def _places(self, happening: Happening) -> dict[str, object]:
        """The values for the templates of threads, comments and reviews."""
        thread = happening.thread or WorldThread(1, happening.actor, happening.occurred_at, "", False)
        closed = happening.what in ("closed", "merged")
        at = rfc3339(happening.occurred_at)
        return {
            "name": happening.repository.name,
            "number": thread.number,
            "thread_id": 2_000_000_000 + happening.repository.id * 100 + thread.number,
            "comment_id": 3_000_000_000 + happening.serial,
            "title": f"{thread.title}: {self._prose.title()}",
            "body": self._prose.body(8),
            "comment_body": self._prose.body(6),
            "user": _user(thread.opener),
            "commenter": _user(happening.actor),
            "association": self._random.choice(("NONE", "CONTRIBUTOR", "MEMBER", "OWNER")),
            "state": "closed" if closed else "open",
            "comments": self._random.randrange(12),
            "at": at,
            "opened_at": rfc3339(thread.opened_at),
            "closed_at": f'"{at}"' if closed else "null",
            "merged_at": f'"{at}"' if happening.merges else "null",
            "merged": "true" if happening.merges else "false",
            "merged_by": _user(happening.actor) if happening.merges else "null",
            "sha": self._sha(),
            "place": "issues",
            "kind": "issues",
        }

    def _pull(self, happening: Happening, places: dict[str, object], *, result: bool = False) -> str:
        """The pull request as the era shows it: in full, or reduced."""
        repository = happening.repository
        head = self._copy(happening) if happening.thread is not None and happening.thread.forked else repository
        branches = {
            "head": self._branch(head, self._reference(), places),
            "base": self._branch(repository, "main", places),
        }
        return self._fill("pull_request_result" if result else "pull_request", {**places, **branches})

    def _copy(self, happening: Happening) -> SimulatedRepository:
        """The opener's own fork of the repository."""
        owner, base = happening.head_owner, happening.repository
        return SimulatedRepository(
            10**9 + (base.id * 31 + owner.id) % 10**9, f"{owner.login}/{base.short_name}", owner, False
        )

    def _branch(self, repository: SimulatedRepository, reference: str, places: dict[str, object]) -> str:
        owner = repository.owner
        return self._templates["branch"].fill(
            {
                "id": repository.id,
                "name": repository.name,
                "short_name": repository.short_name,
                "owner_login": owner.login,
                "owner": _user(owner),
                "ref": reference,
                "sha": self._sha(),
                "repository": self._repository(repository, places, fork=repository.id >= 10**9) if self._full else "",
            }
        )

    def _repository(self, repository: SimulatedRepository, places: dict[str, object], *, fork: bool) -> str:
        return REPOSITORY.fill(
            {
                "id": repository.id,
                "name": repository.name,
                "short_name": repository.short_name,
                "owner": _user(repository.owner),
                "description": self._prose.title(),
                "fork": "true" if fork else "false",
                "created_at": "2021-03-04T05:06:07Z",
                "at": places["at"],
                "size": self._random.randrange(10**5),
                "stars": int(self._random.paretovariate(0.8)) % 10**5,
            }
        )

    def _pull_request(self, happening: Happening) -> str:
        places = self._places(happening)
        # In 2024 a merge was a closing whose pull request said so.
        action = "closed" if happening.merges and self._full else happening.what
        label = ""
        if action == "labeled":
            label = f',"label":{self._fill("label", places)},"labels":[{self._fill("label", places)}]'
        pull = self._pull(happening, places, result=True)
        return f'{{"action":"{action}","number":{places["number"]},"pull_request":{pull}{label}}}'

    def _review(self, happening: Happening) -> str:
        places = self._places(happening)
        review, pull = self._fill("review", places), self._pull(happening, places)
        return f'{{"action":"{happening.what}","review":{review},"pull_request":{pull}}}'

    def _review_comment(self, happening: Happening) -> str:
        places = {**self._places(happening), "place": "pull", "kind": "pulls"}
        comment, pull = self._fill("review_comment", places), self._pull(happening, places)
        return f'{{"action":"created","comment":{comment},"pull_request":{pull}}}'

    def _issue(self, happening: Happening, places: dict[str, object]) -> str:
        on_pull = happening.feature == "review"
        return self._fill("issue_of_pull" if on_pull else "issue", {**places, "place": "pull" if on_pull else "issues"})

    def _fill(self, name: str, places: dict[str, object]) -> str:
        return self._templates[name].fill(places)

    def _issues(self, happening: Happening) -> str:
        places = self._places(happening)
        label = f',"label":{self._fill("label", places)}' if happening.what == "labeled" else ""
        return f'{{"action":"{happening.what}","issue":{self._issue(happening, places)}{label}}}'

    def _issue_comment(self, happening: Happening) -> str:
        places = self._places(happening)
        issue, comment = self._issue(happening, places), self._fill("issue_comment", places)
        return f'{{"action":"created","issue":{issue},"comment":{comment}}}'

    def _fork(self, happening: Happening) -> str:
        places = self._places(happening)
        name = f"{happening.actor.login}/{happening.repository.short_name}"
        forkee = SimulatedRepository(10**9 + happening.serial % 10**9, name, happening.actor, False)
        action = "" if self._full else '"action":"forked",'
        return f'{{{action}"forkee":{self._repository(forkee, places, fork=True)}}}'

    def _release(self, happening: Happening) -> str:
        return f'{{"action":"published","release":{self._fill("release", self._places(happening))}}}'

    def _commit_comment(self, happening: Happening) -> str:
        action = "" if self._full else '"action":"created",'
        comment = self._fill("comment", {**self._places(happening), "place": "commit"})
        return f'{{{action}"comment":{comment}}}'

    def _gollum(self, happening: Happening) -> str:
        page = f'{{"page_name":"Home","title":"Home","summary":null,"action":"edited","sha":"{self._sha()}"}}'
        return f'{{"pages":[{page}]}}'

    def _member(self, happening: Happening) -> str:
        return f'{{"member":{_user(happening.actor)},"action":"added"}}'

    def _discussion(self, happening: Happening) -> str:
        places = {**self._places(happening), "place": "discussions", "repository_id": happening.repository.id}
        discussion = self._fill("discussion", places)
        return f'{{"action":"created","discussion":{discussion}}}'
