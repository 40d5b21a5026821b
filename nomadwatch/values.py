"""Tokens and addresses from settings: surrounding blanks are removed, and invalid values are refused."""

from typing import Final
from urllib.parse import urlsplit

from nomadwatch.errors import Misuse

# Characters that copying adds: byte-order marks and zero-width characters, which `str.strip` leaves.
_AROUND: Final = "\ufeff\u200b\u200e\u200f\u2060 \t\r\n\v\f\0\xa0"
_QUOTES: Final = "\"'`“”‘’«»"


def clean_token(text: str, origin: str) -> str:
    """A token without surrounding blanks; it may be empty. Raises Misuse, which never shows the token.

    >>> clean_token(" hf_abc\\r\\n", "HF_TOKEN")
    'hf_abc'
    >>> clean_token('"hf_abc"', "HF_TOKEN")
    Traceback (most recent call last):
    nomadwatch.errors.Misuse: HF_TOKEN: the token is in quotation marks; remove them
    """
    token = text.strip(_AROUND)
    if token and (token[0] in _QUOTES or token[-1] in _QUOTES):
        raise Misuse(f"{origin}: the token is in quotation marks; remove them")
    if token.lower().startswith(("bearer ", "token ")):
        raise Misuse(f"{origin}: the token begins with a word of the HTTP header; write the token alone")
    if not all("!" <= letter <= "~" for letter in token):
        raise Misuse(f"{origin}: the token contains a blank or another invalid character; copy it again, or unset it")
    return token


def clean_address(text: str, origin: str, default: str) -> str:
    """An http(s) address without surrounding blanks and final slash; the default if it is empty. Raises Misuse.

    >>> clean_address(" https://ghe.example/api/v3/ ", "NOMADWATCH_GITHUB_API", "")
    'https://ghe.example/api/v3'
    >>> clean_address("ghe.example/api/v3", "NOMADWATCH_GITHUB_API", "")
    Traceback (most recent call last):
    nomadwatch.errors.Misuse: NOMADWATCH_GITHUB_API: 'ghe.example/api/v3' is not an address; write https://ghe.example/api/v3
    """
    address = text.strip(_AROUND).rstrip("/")
    if not address:
        return default
    if address[0] in _QUOTES or address[-1] in _QUOTES:
        raise Misuse(f"{origin}: the address is in quotation marks; remove them")
    if "@" in address.partition("://")[2].partition("/")[0]:
        raise Misuse(
            f"{origin}: the address contains a user name or a password; remove it, and set the platform's token"
        )
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise Misuse(f"{origin}: {address!r} is not an address; write https://HOST or https://HOST:PORT") from None
    if parts.scheme not in ("http", "https"):
        bare = address.rpartition("://")[2]
        hint = f"https://{bare}" if _is_plain(bare) else "https://HOST"
        raise Misuse(f"{origin}: {address!r} is not an address; write {hint}")
    if not parts.hostname or port == 0 or not _is_plain(address) or parts.query or parts.fragment:
        raise Misuse(f"{origin}: {address!r} is not an address; write https://HOST, perhaps with a port and a path")
    return address


def _is_plain(address: str) -> bool:
    return bool(address) and all("!" <= letter <= "~" for letter in address)
