"""The role `sinks`: serves the measurements over HTTP, in a station or by itself."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Final, Literal, Self

import msgspec

from nomadwatch.connect import LOOPBACK, await_broker
from nomadwatch.errors import Failure, Misuse
from nomadwatch.logs import to_stderr
from nomadwatch.processes.process import Say
from nomadwatch.settings import Known, variable
from nomadwatch.terminal.console import tell
from nomadwatch.topics import check_topics

# Addresses of all interfaces, loopback included.
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", "[::]"})


class Address(msgspec.Struct, frozen=True):
    """Where the page and /metrics are served, and the host names that requests may use. `port` 0: a free one."""

    port: int
    host: str = LOOPBACK
    allow_hosts: tuple[str, ...] = ()
    # Where the port and the host were set: a flag, a variable or a file.
    port_origin: str = "--port"
    host_origin: str = "--host"

    @classmethod
    def of(cls, known: Known) -> Self:
        """The address in the settings. Raises Misuse for anything that is not a host name."""
        from sinks.hosts import Hosts

        settings = known.settings
        origins = {name: _origin(known, name) for name in ("port", "host", "allow_host")}
        names = tuple(name.strip() for name in settings.allow_host.split(",") if name.strip())
        for origin, hosts in ((origins["host"], [settings.host]), (origins["allow_host"], names)):
            try:
                Hosts(hosts)
            except ValueError as error:
                raise Misuse(f"{origin}: {error}") from None
        return cls(settings.port, settings.host, names, origins["port"], origins["host"])

    @property
    def near(self) -> str:
        """The host by which this machine reaches the server."""
        return LOOPBACK if self.host in _EVERYWHERE else self.host.strip("[]")

    def url(self, port: int) -> str:
        """The URL to open on this machine, for the port that was taken.

        >>> Address(0, "0.0.0.0").url(9108), Address(0, "::1").url(80)
        ('http://127.0.0.1:9108', 'http://[::1]:80')
        """
        return f"http://[{self.near}]:{port}" if ":" in self.near else f"http://{self.near}:{port}"

    def failure(self, setting: Literal["host", "port"], what: str) -> Failure:
        """The failure to listen there, with what to do about the setting.

        >>> str(Address(80).failure("port", "port 80 of 127.0.0.1 is in use"))
        'port 80 of 127.0.0.1 is in use: choose another with --port, or --port 0 for a free one'
        >>> str(Address(80, port_origin="NOMADWATCH_PORT").failure("port", "port 80 of 127.0.0.1 is in use"))
        'port 80 of 127.0.0.1 is in use: change NOMADWATCH_PORT (0 takes a free port)'
        """
        if setting == "host":
            return Failure(f"{what}: correct {self.host_origin}")
        if self.port_origin == "--port":
            return Failure(f"{what}: choose another with --port, or --port 0 for a free one")
        return Failure(f"{what}: change {self.port_origin} (0 takes a free port)")

    def warning(self, port: int) -> str | None:
        """A warning for an address that other machines can reach; None for loopback."""
        from sinks.hosts import is_loopback

        if is_loopback(self.host.strip("[]")):
            return None
        return (
            f"warning: everyone who can reach port {port} of {self.host} can read the page and /metrics, "
            "without a password or encryption; docs/proxy.md says how to put them behind a proxy with TLS"
        )


def run_sinks(
    say: Say, bootstrap: str, prefix: str, partitions: int, address: Address, simulated: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT; says `ready` with the port. Raises Failure if it cannot listen on the address."""
    asyncio.run(_serve(bootstrap, prefix, partitions, address, lambda taken: say("ready", taken), simulated))


def run_alone(known: Known, verbose: bool) -> None:
    """Run the role in this process, on a broker whose topics exist.

    Prints its address once it listens, and a warning if other machines can reach it.
    """
    address, settings = Address.of(known), known.settings
    if not settings.broker:
        raise Misuse("sinks needs a broker; name it with --broker HOST:PORT")
    to_stderr(verbose)
    asyncio.run(await_broker(settings.broker, settings.broker_wait, tell))
    from streams.kafka.topics import Topics

    check_topics(settings.broker, Topics(prefix=settings.prefix, partitions=settings.partitions))

    def ready(taken: int) -> None:
        if warning := address.warning(taken):
            print(f"nomadwatch: {warning}", file=sys.stderr, flush=True)
        print(f"{address.url(taken)}/metrics", flush=True)

    asyncio.run(_serve(settings.broker, settings.prefix, settings.partitions, address, ready))


async def _serve(
    bootstrap: str,
    prefix: str,
    partitions: int,
    address: Address,
    ready: Callable[[int], None],
    simulated: bool = False,
) -> None:
    from sinks.server import CannotListen, serve
    from streams.kafka.topics import Topics

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        topics = Topics(prefix=prefix, partitions=partitions)
        host, names = address.host.strip("[]"), address.allow_hosts
        await serve(
            bootstrap, topics, host, address.port, allow_hosts=names, ready=ready, stop=stop, simulated=simulated
        )
    except CannotListen as error:
        raise address.failure(error.setting, str(error)) from None


def _origin(known: Known, name: str) -> str:
    """Where a setting was set: its flag (also for the default), its variable, or its name and file."""
    flag, origin = "--" + name.replace("_", "-"), known.origins[name]
    if origin in (flag, "default"):
        return flag
    return origin if origin == variable(name) else f"{name} in {origin}"
