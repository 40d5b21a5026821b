"""The Hugging Face Hub as a platform: `streams.platforms` lists it."""

from typing import Final

from streams.platform import Platform, PlatformSetting

PLATFORM: Final = "huggingface"
HUB: Final = Platform(
    id=PLATFORM,
    title="Hugging Face",
    name="the Hugging Face Hub",
    holds="open models, datasets, spaces",
    endpoint=PlatformSetting("hf_endpoint", "HF_ENDPOINT", "https://huggingface.co"),
    token=PlatformSetting("hf_token", "HF_TOKEN"),
    poller="streams.live.hub.poller:HubPoller",
    check="streams.live.hub.check:HubCheck",
    meanings="streams.live.hub.meanings:meanings",
    seen_in_part="On the Hub, likes are asked for in watched repositories only.",
    site="https://huggingface.co/",
    folders={"dataset": "datasets/", "space": "spaces/"},
    # The Hub says `datasets/ORG/NAME` where it has to tell a dataset from a model; the owner is the same.
    name_prefixes=("datasets/", "spaces/", "models/"),
    bots=frozenset({"leaderboard-pr-bot", "librarian-bot", "parquet-converter", "sfconvertbot", "system"}),
)
