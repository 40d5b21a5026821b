"""GitHub as a platform: `streams.platforms` lists it."""

from typing import Final

from streams.platform import Platform, PlatformSetting

PLATFORM: Final = "github"
GITHUB: Final = Platform(
    id=PLATFORM,
    title="GitHub",
    name="GitHub",
    holds="open-source software",
    endpoint=PlatformSetting("github_api", "NOMADWATCH_GITHUB_API", "https://api.github.com"),
    token=PlatformSetting("github_token", "GITHUB_TOKEN"),
    poller="streams.live.github.poller:GithubPoller",
    check="streams.live.github.check:GithubCheck",
    meanings="streams.live.github.meanings:meanings",
    seen_in_part=(
        "Since 2025 GitHub leaves most stars out of its public feed, and whether the feeds of organisations and "
        "repositories have them all is not known."
    ),
    site="https://github.com/",
    bots=frozenset(
        {
            "copilot",
            "googlecodeexporter",
            "greatfirebot",
            "hubot",
            "pyup-bot",
            "regro-cf-autotick-bot",
            "scala-steward",
            "typescript-bot",
        }
    ),
    bot_list="bots.txt",
)
