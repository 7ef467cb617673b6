"""How people write amounts of money in the currencies of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

CurrencyCode = Literal[
    "USD", "EUR", "GBP", "CHF", "JPY", "INR", "BRL", "MXN", "ZAR", "KES", "NGN", "SEK", "AUD", "SGD", "AED"
]
"""Codes of ISO 4217."""


class Currency(NamedTuple):
    """The sign that stands before an amount, with the space it needs, and the plural that stands after one."""

    sign: str
    plural: str


CURRENCIES: Mapping[str, Currency] = {
    "USD": Currency("$", "dollars"),
    "EUR": Currency("€", "euros"),
    "GBP": Currency("£", "pounds"),
    "CHF": Currency("CHF ", "francs"),
    "JPY": Currency("¥", "yen"),
    "INR": Currency("₹", "rupees"),
    "BRL": Currency("R$", "reais"),
    "MXN": Currency("MX$", "pesos"),
    "ZAR": Currency("R", "rand"),
    "KES": Currency("KSh ", "shillings"),
    "NGN": Currency("₦", "naira"),
    "SEK": Currency("SEK ", "kronor"),
    "AUD": Currency("A$", "dollars"),
    "SGD": Currency("S$", "dollars"),
    "AED": Currency("AED ", "dirhams"),
}
assert CURRENCIES.keys() == {*get_args(CurrencyCode)}
