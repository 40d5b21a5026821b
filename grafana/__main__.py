"""`python -m grafana` writes `grafana/dashboards/*.json`."""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import feeds, oss_osm, pipeline, project

FOLDER: Final = Path(__file__).parent / "dashboards"
DASHBOARDS: Final = {
    "oss-osm": oss_osm.dashboard,
    "project": project.dashboard,
    "feeds": feeds.dashboard,
    "pipeline": pipeline.dashboard,
}


def texts() -> dict[str, str]:
    """The content of the dashboards' files, by name."""
    return {
        f"{name}.json": json.dumps(build(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        for name, build in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
        print(FOLDER / name)
