"""The page `/features`: what each feature means."""

from html import escape
from typing import Final

from aiohttp import web

from streams.features import IN_PART, in_words, meanings
from streams.platforms import TITLES

_PAGE: Final = """<!doctype html> <html lang="en" data-theme="auto"> <head> <meta charset="utf-8"> <meta name="viewport"
content="width=device-width, initial-scale=1"> <meta name="color-scheme" content="light dark"> <title>What each feature
means · nomadwatch</title> <link rel="icon" href="/favicon.svg" type="image/svg+xml"> <link rel="stylesheet"
href="/page.css"> </head> <body> <header><div class="masthead"><h1>What each feature means</h1> <p class="tagline">Which
event of GitHub, and which action on the Hugging Face Hub, counts as which feature. Everything else counts as upkeep. <a
href="/">The figures</a></p> <p class="tagline">{in_part}</p></div></header> <main class="card"><div
class="scroll"><table class="meanings"> <thead><tr>{heads}</tr></thead> <tbody> {rows} </tbody></table></div></main>
</body> </html>
"""


def page() -> str:
    """The page as HTML."""
    cells = [(in_words(row), TITLES[row.platform], row.event, row.what) for row in meanings()]
    heads = "".join(
        f'<th scope="col">{head}</th>' for head in ("Feature", "Platform", "Event or action", "What was done")
    )
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
    return _PAGE.replace("{in_part}", escape(IN_PART)).replace("{heads}", heads).replace("{rows}", rows)


async def answer(request: web.Request) -> web.Response:
    """Serve the page."""
    return web.Response(text=page(), content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-cache"})
