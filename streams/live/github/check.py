"""Asking GitHub for names of the watchlist."""

from urllib.parse import quote

from streams.live.common.check import ABSENT, HttpCheck, NameVerdict, unclear


class GithubCheck(HttpCheck):
    """Asks for organisations, users and repositories. Without a token GitHub grants 60 requests an hour."""

    path = "/rate_limit"

    @property
    def asks_names(self) -> bool:
        return self._has_token

    async def ask(self, name: str) -> NameVerdict:
        if "/" in name:
            answer = await self._get(f"/repos/{quote(name)}")
            if answer.status in ABSENT:
                return NameVerdict("absent", "there is no such public repository; correct the name")
            return self._judge(name, answer, "full_name")
        for path in (f"/orgs/{quote(name)}/events?per_page=1", f"/users/{quote(name)}/events/public?per_page=1"):
            answer = await self._get(path)
            if answer.status not in ABSENT:
                return NameVerdict("known") if answer.status == 200 else unclear(answer.status)
        return NameVerdict("absent", "there is no such organisation or user; correct the name")
