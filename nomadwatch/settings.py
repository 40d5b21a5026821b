"""The settings: defaults < `nomadwatch.toml` < `NOMADWATCH_*` < flags. Each value is kept with its origin."""

import os
import re
import time
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from nomadwatch.errors import Misuse
from nomadwatch.terminal.console import tell
from nomadwatch.values import clean_address, clean_token
from streams import platforms
from streams.errors import in_words

FILE: Final = "nomadwatch.toml"
PREFIX: Final = "NOMADWATCH_"
# Variables of ours that are no settings: further platforms, where the settings are, the processes' own, the tests'
# data.
_OTHERS: Final = (platforms.VARIABLE, "NOMADWATCH_CONFIG", "NOMADWATCH_MAIN_PROCESS", "NOMADWATCH_SHARED_DATA")

# The clock of a station shows a time from 2000 to 2199 (s since 1970).
_EARLIEST, _LATEST = 946_684_800, 7_258_118_400

# At most a year, and finite.
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The worker that counts each activity once. Seconds."""

    checkpoint_interval: Seconds = 0.5
    session_timeout: Seconds = 6.0


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The worker that makes measurements. Seconds."""

    refresh_interval: Seconds = 0.5


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set; `Settings` has the platforms' settings too.

    `broker`: host:port of a Kafka broker, empty for the embedded one; `broker_wait`: seconds that a command waits for
    it at its start. `dead_letters`: lines that cannot be measured are kept as their bytes (a login may stand in them)
    or as a digest. `data_dir`: empty for a fresh temporary folder. `prefix` stands before the names of the topics.
    `actor_key` (secret) keys the hashes of actors; empty: random at the first start, kept with the state.

    `interval_cap` is the longest time between two looks at a feed (s). The station's own waits are shorter by
    `time_scale`, and its time of day runs as much faster since `time_origin` (s since 1970; None: since its start): for
    simulated worlds.

    `host` and `port` are where the page and `/metrics` are served. Requests must name loopback, `host` or one of
    `allow_host`: host names with commas between them.
    """

    broker: str = ""
    broker_wait: Seconds = 30.0
    data_dir: str = ""
    prefix: str = ""
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 8
    watchlist: str = ""
    dead_letters: Literal["raw", "digest"] = "raw"
    actor_key: str = ""
    interval_cap: Seconds = 300.0
    time_scale: Annotated[float, Meta(gt=0, le=100_000)] = 1.0
    time_origin: float | None = None
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9108
    allow_host: str = ""
    count: Count = Count()
    measure: Measure = Measure()

    def access(self, platform: str) -> tuple[str, str]:
        """The address at which a platform is asked and the token to ask with, which may be empty."""
        settings = platforms.BY_ID[platform]
        return getattr(self, settings.endpoint.name), getattr(self, settings.token.name) if settings.token else ""


_OF_PLATFORMS: Final = [setting for platform in platforms.ALL for setting in platform.settings]
_ENDPOINTS: Final = [platform.endpoint.name for platform in platforms.ALL]
_TOKENS: Final = [platform.token.name for platform in platforms.ALL if platform.token]
if TYPE_CHECKING:
    Settings = _Settings
else:
    # Each platform brings its own: the address that is asked, and the token (secret; empty: without).
    Settings = msgspec.defstruct(
        "Settings",
        [(setting.name, str, setting.default) for setting in _OF_PLATFORMS],
        bases=(_Settings,),
        module=__name__,
        namespace={"__doc__": "Everything that can be set."},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )

SECRETS: Final = frozenset({"actor_key", *_TOKENS})
# The first parts of setting names that were renamed; the old names work until the next release.
_RENAMED: Final = {"aggregate.": "count."}
# Variables that users of the platforms know.
_VARIABLES: Final = {setting.name: setting.variable for setting in _OF_PLATFORMS}


class Known(msgspec.Struct, frozen=True):
    """The settings, and the origin of each by its dotted name."""

    settings: Settings
    origins: dict[str, str]

    def table(self) -> Iterator[tuple[str, str, str]]:
        """(name, value, origin) of each setting. Of a secret, only whether it is set."""
        for name in names():
            value = _get(self.settings, name)
            shown = (
                ("set" if value else "not set") if name in SECRETS else str(value) if value not in ("", None) else "–"
            )
            yield name, shown, self.origins[name]


def names(kind: type[msgspec.Struct] = Settings) -> list[str]:
    """The dotted names of all settings.

    >>> [name for name in names() if "interval" in name]
    ['interval_cap', 'count.checkpoint_interval', 'measure.refresh_interval']
    """
    found = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            found += [f"{name}.{inner}" for inner in names(hint)]
        else:
            found.append(name)
    return found


def variable(name: str) -> str:
    """The environment variable of a setting.

    >>> variable("count.session_timeout")
    'NOMADWATCH_COUNT_SESSION_TIMEOUT'
    """
    return _VARIABLES.get(name) or PREFIX + name.replace(".", "_").upper()


def load(
    flags: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    *,
    warn: bool = True,
) -> Known:
    """The settings from the file, the environment and the flags (by dotted name; None: not given).

    Tokens and addresses are cleaned. With `warn`, variables that look like settings but are none are reported on
    stderr. Raises Misuse with the origin and the problem.
    """
    tree: dict[str, Any] = {}
    origins = dict.fromkeys(names(), "default")
    path = _file(environment, folder or Path.cwd())
    if path is not None:
        for name, value in _flatten(_read(path)):
            _put(tree, origins, _current(name, str(path), warn), value, str(path))
    for name in _old_names(environment):
        _put(tree, origins, _current(name, variable(name), warn), environment[variable(name)], variable(name))
    for name in names():
        if (text := environment.get(variable(name))) is not None:
            _put(tree, origins, name, text, variable(name))
        elif name in SECRETS and (file := environment.get(variable(name) + "_FILE")):
            _put(tree, origins, name, _secret(Path(file), variable(name)), variable(name) + "_FILE")
    for name, value in flags.items():
        if value is not None:
            _put(tree, origins, name, value, "--" + name.replace("_", "-"))
    settings = _clean(_converted(tree, origins), origins)
    if warn:
        for line in warnings(environment):
            tell(line)
    return Known(settings=settings, origins=origins)


def _current(name: str, where: str, warn: bool) -> str:
    """The name of a setting as it is called now; with `warn` one line says so of an old one."""
    for old, new in _RENAMED.items():
        if name.startswith(old):
            now = new + name.removeprefix(old)
            if warn:
                tell(f"{where}: {name} is called {now} now; the old name works until the next release")
            return now
    return name


def _old_names(environment: Mapping[str, str]) -> list[str]:
    """The old names of settings that the environment has."""
    old = [
        before + name.removeprefix(now) for before, now in _RENAMED.items() for name in names() if name.startswith(now)
    ]
    return [name for name in old if variable(name) in environment]


_EXPECTED: Final = re.compile(r"Expected `(int|float|str|bool)(?: \| null)?`(?:,|$| (of length )?(>=|<=|>|<) ([\d.]+))")
_KINDS: Final = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
_COMPARISONS: Final = {">=": "at least", "<=": "at most", ">": "greater than", "<": "less than"}


def _clean(settings: Settings, origins: Mapping[str, str]) -> Settings:
    """The settings with cleaned tokens and addresses. Raises Misuse for invalid ones, and for an impossible clock."""
    tokens = {name: clean_token(getattr(settings, name), origins[name]) for name in _TOKENS}
    default = Settings()
    addresses = {
        name: clean_address(getattr(settings, name), origins[name], getattr(default, name)) for name in _ENDPOINTS
    }
    origin, scale = settings.time_origin, settings.time_scale
    now = time.time()
    if origin is not None and not _EARLIEST < origin + (now - origin) * scale < _LATEST:
        start = f"its value at the start of the world (now: {now:.0f}), or unset it"
        raise Misuse(
            f"{origins['time_origin']}: with time_scale {scale:g} the clock would show an impossible time; set {start}"
        )
    return msgspec.structs.replace(settings, **tokens, **addresses)


def _secret(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(
            f"{name}_FILE names {path}, which cannot be read ({in_words(error)}); correct or unset it"
        ) from None


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[tuple[str, str]]:
    """Variables that look like settings but are none, each with the nearest setting (or empty)."""
    known = [variable(name) for name in names()]
    known += [variable(name) + "_FILE" for name in SECRETS]
    known += [variable(name) for name in _old_names(environment)]
    strange = [
        name for name in sorted(environment) if name.startswith(PREFIX) and name not in known and name not in _OTHERS
    ]
    by_rest = {name.removeprefix(PREFIX): name for name in known}
    return [
        (name, by_rest.get("".join(get_close_matches(name.removeprefix(PREFIX), by_rest, n=1)), "")) for name in strange
    ]


def warnings(environment: Mapping[str, str] = os.environ) -> list[str]:
    """A line for each variable that looks like a setting but is none."""
    return [
        f"{name} is not a setting and is ignored" + (f"; did you mean {near}?" if near else "")
        for name, near in unknown_variables(environment)
    ]


def _file(environment: Mapping[str, str], folder: Path) -> Path | None:
    if named := environment.get("NOMADWATCH_CONFIG"):
        if not Path(named).is_file():
            raise Misuse(f"NOMADWATCH_CONFIG names {named}, which is not a file; correct or unset it")
        return Path(named)
    path = folder / FILE
    return path if path.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misuse(f"{path} cannot be read: {error}; correct it") from None


def _flatten(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{before}{name}.")
        else:
            yield before + name, value


def _put(tree: dict[str, Any], origins: dict[str, str], name: str, value: Any, origin: str) -> None:
    if name not in origins:
        near = get_close_matches(name, origins, n=1)
        hint = f"did you mean {near[0]}?" if near else "remove it"
        raise Misuse(f"{origin}: there is no setting {name}; {hint}")
    if isinstance(value, list):
        raise Misuse(f"{origin}: {name} takes one value; correct it")
    *tables, leaf = name.split(".")
    for table in tables:
        tree = tree.setdefault(table, {})
    tree[leaf] = value
    origins[name] = origin


def _converted(tree: dict[str, Any], origins: Mapping[str, str]) -> Settings:
    for name in names():
        try:
            value = _lookup(tree, name)
        except KeyError:
            continue
        try:
            msgspec.convert(value, _type(name), strict=False)
        except msgspec.ValidationError as error:
            shown = "its value" if name in SECRETS else repr(value)
            choices = get_args(_type(name)) if get_origin(_type(name)) is Literal else ()
            wanted = f"give {' or '.join(choices)}" if choices else _wanted(str(error))
            raise Misuse(f"{origins[name]}: {shown} is not valid for {name}; {wanted}") from None
    return msgspec.convert(tree, Settings, strict=False)


def _wanted(error: str) -> str:
    """What to give instead of an invalid value, from the message of msgspec.

    >>> _wanted("Expected `int` >= 1"), _wanted("Expected `float`, got `str`"), _wanted("Expected `str` of length >= 1")
    ('give a whole number, at least 1', 'give a number', 'give a text, not an empty one')
    """
    found = _EXPECTED.match(error)
    if found is None:
        return f"correct it ({error})"
    kind, of_length, comparison, bound = found.groups()
    if of_length:
        return f"give {_KINDS[kind]}, not an empty one"  # the only bound on lengths that settings have
    return f"give {_KINDS[kind]}" + (f", {_COMPARISONS[comparison]} {bound.removesuffix('.0')}" if comparison else "")


def _lookup(tree: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        tree = tree[part]
    return tree


def _type(name: str) -> Any:
    kind: Any = Settings
    for part in name.split("."):
        kind = get_type_hints(kind, include_extras=True)[part]
    return kind


def _get(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value
