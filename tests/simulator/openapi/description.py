"""GitHub's own description of its API (OpenAPI 3.0), as it publishes it in the npm package @octokit/openapi, and
answers judged by it.

The package is pinned by the lock file beside this one and fetched once, with npm; nothing of it is run.
"""

import base64
import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jsonschema import Draft4Validator, FormatChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT4

_PACKAGE: Final = "@octokit/openapi"
_LOCK: Final = Path(__file__).with_name("package-lock.json")
_MEMBER: Final = "package/generated/api.github.com.json"
_PATIENCE_SECONDS: Final = 300
# A registry that does not answer once is no reason to do without.
_TRIES: Final = 2
_BASE: Final = "openapi:"

# An answer's type, or where it has none a few words, and what is wrong there: "IssuesEvent payload.issue.user: is not
# of type 'object'".
Problem = str


class DescriptionUnavailable(Exception):
    """It cannot be fetched here; the text says what is missing."""


def fetch(folder: Path) -> Path:
    """The description as JSON in a folder, fetched if it is not there. Raises DescriptionUnavailable."""
    pinned = json.loads(_LOCK.read_text())["packages"][f"node_modules/{_PACKAGE}"]
    found = folder / f"api.github.com-{pinned['version']}.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            with tempfile.TemporaryDirectory(dir=folder) as name:
                packed = _pack(pinned["version"], Path(name))
                _verify(packed, pinned["integrity"])
                unpacked = Path(name, "description")
                with tarfile.open(packed) as archive, unpacked.open("wb") as out:
                    member = archive.extractfile(_MEMBER)
                    assert member is not None
                    shutil.copyfileobj(member, out)
                unpacked.replace(found)
    return found


def _pack(version: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise DescriptionUnavailable("npm is missing: install it, e.g. the package npm")
    # `npm ci` would unpack all 400 MB of it.
    command = [npm, "pack", f"{_PACKAGE}@{version}", "--ignore-scripts", "--pack-destination", str(folder)]
    said = ""
    for _ in range(_TRIES):
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, cwd=folder
            )
        except subprocess.TimeoutExpired:
            said = f"no answer within {_PATIENCE_SECONDS} s"
            continue
        if done.returncode == 0:
            return next(folder.glob("*.tgz"))
        said = (done.stderr or "no reason given").strip().splitlines()[-1]
    raise DescriptionUnavailable(f"npm cannot fetch {_PACKAGE}: {said}")


def _verify(packed: Path, integrity: str) -> None:
    """Whether it is what the lock file pins (Subresource Integrity). Raises DescriptionUnavailable."""
    algorithm, _, wanted = integrity.partition("-")
    found = base64.b64encode(hashlib.new(algorithm, packed.read_bytes()).digest()).decode()
    if found != wanted:
        raise DescriptionUnavailable(f"{_PACKAGE} is not what {_LOCK.name} pins: {algorithm}-{found}")


class Description:
    """The description, and what is wrong with answers by it."""

    def __init__(self, path: Path) -> None:
        self._root: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self._registry = Registry().with_resource(_BASE, DRAFT4.create_resource(self._root))

    def default_length(self, path: str) -> int:
        """How many things a page of a path has unless it is asked for more or fewer."""
        parameters = (self._resolved(each) for each in self._root["paths"][path]["get"]["parameters"])
        return next(int(each["schema"]["default"]) for each in parameters if each["name"] == "per_page")

    def statuses(self, path: str) -> set[int]:
        """Those that a path may answer with."""
        return {int(status) for status in self._root["paths"][path]["get"]["responses"]}

    def headers(self, path: str) -> set[str]:
        """Those that an answer 200 of a path is described to have."""
        return set(self._root["paths"][path]["get"]["responses"]["200"].get("headers", {}))

    def problems(self, path: str, status: int, body: object) -> set[Problem]:
        """What is wrong with an answer; of feeds each event is judged by `event_problems`."""
        response = self._resolved(self._root["paths"][path]["get"]["responses"][str(status)])
        schema = response["content"]["application/json"]["schema"]
        if schema.get("items", {}).get("$ref", "").endswith("/event"):
            return (
                {"a feed is a list"}
                if not isinstance(body, list)
                else {each for event in body for each in self.event_problems(event)}
            )
        return set(self._told(f"{path} {status}", schema, body))

    def event_problems(self, event: dict[str, Any]) -> set[Problem]:
        """What is wrong with an event, its payload judged by the schema of its type.

        As it is described a payload must fit exactly one of sixteen schemas, which none can: that of PublicEvent fits
        all.
        """
        schema = dict(self._root["components"]["schemas"]["event"])
        payloads = {self._resolved(each)["title"]: each for each in schema["properties"]["payload"]["oneOf"]}
        kind = event.get("type", "")
        if kind not in payloads:
            return {f"{kind}: no such type"}
        schema["properties"] = schema["properties"] | {"payload": payloads[kind]}
        return set(self._told(kind, schema, event))

    def unknown_fields(self, event: dict[str, Any]) -> set[Problem]:
        """Fields of an event, and of its payload, that the description does not name."""
        described = self._root["components"]["schemas"]["event"]["properties"]
        payloads = {self._resolved(each)["title"]: self._resolved(each) for each in described["payload"]["oneOf"]}
        payload = payloads[event["type"]].get("properties", {})
        own = {f"{event['type']} {field}" for field in event.keys() - described.keys()}
        return own | {f"{event['type']} payload.{field}" for field in event["payload"].keys() - payload.keys()}

    def _told(self, where: str, schema: dict[str, Any], body: object) -> Iterator[Problem]:
        for error in _Validator(_absolute(schema), registry=self._registry, format_checker=_FORMATS).iter_errors(body):
            yield from (f"{where} {each}" for each in _deepest(error))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            found: Any = self._root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema


def _absolute(schema: Any) -> Any:
    """A part of the description that is judged by itself: its references lead to the whole."""
    if isinstance(schema, dict):
        return {key: _BASE + value if key == "$ref" else _absolute(value) for key, value in schema.items()}
    return [_absolute(each) for each in schema] if isinstance(schema, list) else schema


def _deepest(error: ValidationError) -> Iterator[str]:
    """An error in words without what changes from answer to answer; of alternatives the problems of all of them."""
    if error.context:
        for inner in error.context:
            yield from _deepest(inner)
        return
    place = re.sub(r"\.(\d+)", "[]", "".join(f".{part}" for part in error.absolute_path)).lstrip(".")
    if error.validator == "required":
        missing = re.match(r"'([^']+)'", error.message)
        yield f"{place}: lacks {missing[1] if missing else '?'}"
    else:
        kind = "null" if error.instance is None else type(error.instance).__name__
        yield f"{place}: {kind} is not of {error.validator} {json.dumps(error.validator_value)[:80]}"


def _nullable(keyword: str) -> Any:
    """A keyword that lets null pass where the schema says `nullable`, as OpenAPI 3.0 writes it."""
    judge: Any = Draft4Validator.VALIDATORS[keyword]

    def judge_but_null(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        if instance is not None or not schema.get("nullable"):
            yield from judge(validator, value, instance, schema) or ()

    return judge_but_null


_Validator: Final = extend(
    Draft4Validator, {keyword: _nullable(keyword) for keyword in ("type", "enum", "allOf", "anyOf", "oneOf")}
)
_FORMATS: Final = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)


@_FORMATS.checks("uri", raises=ValueError)
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)
