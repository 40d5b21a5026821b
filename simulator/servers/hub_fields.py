"""What the Hub's API shows of a repository, field by field. Unknown fields are left out, as the Hub does."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from simulator.clock import SECOND, rfc3339
from simulator.servers.hub_state import HubServerRepository

Shape = dict[str, Any]
Field = Callable[[HubServerRepository, int], Any]

_TASKS: Final = (
    "text-generation",
    "image-text-to-text",
    "text-to-image",
    "automatic-speech-recognition",
    "sentence-similarity",
    None,
)
_LIBRARIES: Final = ("transformers", "diffusers", "sentence-transformers", "gguf", None)
_LICENCES: Final = ("apache-2.0", "mit", "other", "llama3.1")
_FILES: Final = (".gitattributes", "README.md", "config.json", "model.safetensors")


def spelled(time: int) -> str:
    """A time as the Hub writes it: with milliseconds.

    >>> spelled(1_646_263_744 * SECOND), spelled(5_123_456)
    ('2022-03-02T23:29:04.000Z', '1970-01-01T00:00:05.123Z')
    """
    return f"{rfc3339(time)[:-1]}.{time % SECOND // 1000:03d}Z"


def _choice(repository: HubServerRepository, of: Sequence[Any], salt: int) -> Any:
    """A choice that is always the same for a repository."""
    return of[int(repository.key[salt : salt + 6], 16) % len(of)]


def task(repository: HubServerRepository) -> str | None:
    name: str | None = _choice(repository, _TASKS, 8)
    return name


def library(repository: HubServerRepository) -> str | None:
    name: str | None = _choice(repository, _LIBRARIES, 12)
    return name


def tags(repository: HubServerRepository) -> list[str]:
    """The tags of the card: a base by the name that it had then."""
    if repository.type == "model":
        own = [name for name in (library(repository), "safetensors", task(repository)) if name]
    else:
        own = ["size_categories:1K<n<10K", "format:parquet"] if repository.type == "dataset" else ["gradio"]
    for base in repository.bases:
        own += [f"base_model:{base.name}", f"base_model:{repository.relation}:{base.name}"]
    return [*own, f"license:{_choice(repository, _LICENCES, 16)}", "region:us"]


def _base_models(repository: HubServerRepository, _: int) -> Shape | None:
    """The bases as the Hub resolves them: by the present name, and only those that still exist."""
    models = [
        {"_id": base.repository.key, "id": base.repository.name}
        for base in repository.bases
        if base.repository.gone is None
    ]
    return {"relation": repository.relation, "models": models} if models else None


def _card(repository: HubServerRepository, _: int) -> Shape:
    bases = [base.name for base in repository.bases]
    return {
        "license": _choice(repository, _LICENCES, 16),
        **({"base_model": bases[0] if len(bases) == 1 else bases} if bases else {}),
    }


_COMMON: Final[Mapping[str, Field]] = {
    "author": lambda repository, _: repository.owner,
    "cardData": _card,
    "createdAt": lambda repository, _: spelled(repository.created),
    "disabled": lambda repository, _: False,
    "lastModified": lambda repository, _: spelled(repository.modified),
    "likes": lambda repository, _: len(repository.likers),
    "private": lambda repository, _: repository.private,
    "resourceGroup": lambda repository, _: None,
    "sha": lambda repository, _: repository.commits.head,
    "siblings": lambda repository, _: [
        {"rfilename": name} for name in _FILES[: 4 if repository.type == "model" else 2]
    ],
    "tags": lambda repository, _: tags(repository),
    "trendingScore": lambda repository, now: int(repository.heat(now)),
    "usedStorage": lambda repository, _: 1_000_003 * len(repository.commits),
}
_DOWNLOADED: Final[Mapping[str, Field]] = {
    "downloads": lambda repository, now: repository.downloads(now),
    "downloadsAllTime": lambda repository, now: repository.downloads_all(now),
    "gated": lambda repository, _: repository.gated,
}


def _nothing(_: HubServerRepository, __: int) -> None:
    return None


# type: {field that `expand` can name: how it is made}; a value of None is left out.
EXPANDABLE: Final[Mapping[str, Mapping[str, Field]]] = {
    "model": {
        **_COMMON,
        **_DOWNLOADED,
        "baseModels": _base_models,
        "childrenModelCount": lambda repository, _: {
            name: count for name, count in repository.children.items() if count
        },
        "library_name": lambda repository, _: library(repository),
        "pipeline_tag": lambda repository, _: task(repository),
        "spaces": lambda repository, _: [],
        **dict.fromkeys(
            (
                "config",
                "evalResults",
                "gguf",
                "inference",
                "inferenceProviderMapping",
                "mask_token",
                "model-index",
                "safetensors",
                "transformersInfo",
                "widgetData",
            ),
            _nothing,
        ),
    },
    "dataset": {
        **_COMMON,
        **_DOWNLOADED,
        **dict.fromkeys(("citation", "description", "mainSize", "paperswithcode_id"), _nothing),
    },
    "space": {
        **_COMMON,
        "sdk": lambda repository, _: "gradio",
        "subdomain": lambda repository, _: repository.name.replace("/", "-").lower(),
        "models": lambda repository, _: [],
        "datasets": lambda repository, _: [],
        "runtime": lambda repository, _: {
            "stage": "RUNNING",
            "hardware": {"current": "cpu-basic", "requested": "cpu-basic"},
        },
    },
}
_LISTED: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt"),
    "dataset": (
        *("author", "disabled", "gated", "lastModified", "likes", "trendingScore", "private", "sha"),
        *("downloads", "tags", "createdAt"),
    ),
    "space": ("likes", "trendingScore", "private", "sdk", "tags", "createdAt"),
}
_FULL: Final = ("author", "gated", "lastModified", "sha", "siblings", "disabled")
_DETAILED: Final = frozenset({"resourceGroup", "trendingScore", "downloadsAllTime", "baseModels", "childrenModelCount"})


def listed(repository: HubServerRepository, now: int, expand: Sequence[str], *, full: bool = False) -> Shape:
    """A repository in a listing: with `expand` the fields that it names and no others."""
    fields = EXPANDABLE[repository.type]
    shape: Shape = {"_id": repository.key, "id": repository.name}
    names = expand or (*_LISTED[repository.type], *(name for name in _FULL if full and name in fields))
    for name in names:
        value = fields[name](repository, now)
        if value is not None:
            shape[name] = value
    if not expand and repository.type == "model":
        shape["modelId"] = repository.name
    return shape


def detailed(repository: HubServerRepository, now: int) -> Shape:
    """A repository that is asked for by its name."""
    shape = listed(repository, now, [name for name in EXPANDABLE[repository.type] if name not in _DETAILED])
    return {**shape, "modelId": repository.name} if repository.type == "model" else shape
