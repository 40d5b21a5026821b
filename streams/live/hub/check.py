"""Asking the Hub for names of the watchlist."""

from urllib.parse import quote

from streams.live.common.check import ABSENT, HttpCheck, NameVerdict, decoded_body, unclear
from streams.live.hub.shapes import FOLDERS


class HubCheck(HttpCheck):
    """Asks for repositories, and for owners by what they list."""

    asks_names = True

    @property
    def path(self) -> str:
        return "/api/whoami-v2" if self._has_token else "/api/models?limit=1"

    async def ask(self, name: str) -> NameVerdict:
        verdict = None
        for folder in FOLDERS.values():
            if "/" in name:
                answer = await self._get(f"/api/{folder}/{quote(name)}")
                if answer.status == 200:
                    return self._judge(name, answer, "id")
                # The Hub answers 401 for a private repository and for one that does not exist.
                absent = answer.status in ABSENT or answer.headers.get("X-Error-Code") == "RepoNotFound"
            else:
                answer = await self._get(f"/api/{folder}?author={quote(name)}&limit=1")
                if answer.status == 200 and decoded_body(answer.body):
                    return NameVerdict("known")
                absent = answer.status == 200
            if not absent:
                verdict = unclear(answer.status)
        if verdict is not None:
            return verdict
        what = "there is no such public repository" if "/" in name else "it lists no repository of that owner"
        return NameVerdict("absent", f"{what}; correct the name")
