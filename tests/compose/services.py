"""What docker-compose.yml says, as tests read it."""

from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
# The services that run this program; the others run images of others.
ROLES: Final = ("count", "measure", "sinks", "streams", "topics")


def mounts(service: str) -> list[tuple[str, str]]:
    """Source and target of each volume."""
    parts = [volume.split(":") for volume in SERVICES[service].get("volumes", [])]
    return [(part[0], part[1]) for part in parts]


def secrets(service: str) -> dict[str, str]:
    """Of each secret the path at which the service finds it, by name."""
    granted = [
        each if isinstance(each, dict) else {"source": each, "target": each}
        for each in SERVICES[service].get("secrets", [])
    ]
    return {each["source"]: str(Path("/run/secrets") / each["target"]) for each in granted}
