"""Cells of CSV: numbers without loss of precision, and texts that spreadsheets do not execute as formulas."""

from collections.abc import Iterable
from typing import Final

# Spreadsheets take a cell that starts with one of these for a formula.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Cell = str | float | None


def row_of(cells: Iterable[Cell]) -> list[str]:
    """A row as `csv.writer` takes it; what is unknown is empty."""
    return [safe(cell) if isinstance(cell, str) else number(cell) for cell in cells]


def safe(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula. Every line break in it is one that `csv.writer` quotes.

    >>> safe("allenai/OLMo"), safe('=HYPERLINK("http://evil.example")')
    ('allenai/OLMo', '\\'=HYPERLINK("http://evil.example")')
    """
    text = "'" + text if text.startswith(FORMULA) else text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def number(value: float | None) -> str:
    """As short as it can be without loss; empty where it is unknown.

    >>> number(1300.0), number(0.25), number(None)
    ('1300', '0.25', '')
    """
    return "" if value is None else repr(float(value)).removesuffix(".0")
