"""The price table has a date, and every discount is applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatling_sid.errors import CatalogueError, OracleError
from gatling_sid.oracle.claude.messages.llm_request import Usage
from gatling_sid.oracle.claude.messages.prices import PRICE_FILE, price_table

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "usage", "batch", "usd"),
    [
        ("claude-haiku-5-5", Usage(100_000), False, 0.01),
        ("claude-haiku-5-5", Usage(0, MILLION), False, 0.5),
        ("claude-haiku-5-5", Usage(0, 0, 100_000), False, 0.0125),
        ("claude-haiku-5-5", Usage(0, 0, 0, 100_000), True, 0.0005),
        ("claude-haiku-5-5", Usage(1, 0, 0, 100_000), False, 0.005_000_5),
        ("claude-haiku-5-5", Usage(100_001, 1000), True, 0.026_250_25),
        ("claude-sonnet-5-5", Usage(0, 0, 0, MILLION), False, 0.1),
        ("claude-opus-5-5", Usage(MILLION, MILLION), True, 12.0),
    ],
)
def test_a_usage_costs_what_the_table_says(model: str, usage: Usage, batch: bool, usd: float) -> None:
    """Batch and cache discounts multiply; a prompt over 100k, cached tokens counted, costs the long rate throughout."""
    assert price_table().cost(model, usage, batch=batch) == pytest.approx(usd, rel=1e-12)


def test_a_model_without_a_price_is_refused() -> None:
    """A model without a price is an error, since no budget could be kept; the most similar name is suggested."""
    with pytest.raises(OracleError, match=r"no price of model 'claude-haiku-5' .* did you mean 'claude-haiku-5-5'"):
        price_table().model("claude-haiku-5")


def test_the_table_is_read_strictly(tmp_path: Path) -> None:
    """The error names an unknown key."""
    path = tmp_path / "prices.yaml"
    path.write_text(PRICE_FILE.read_text().replace("min_cacheable: 512", "min_cachable: 512", 1))
    with pytest.raises(CatalogueError, match=r"prices\.yaml: models\.claude-haiku-5-5\.min_cach?e?able"):
        price_table(path)
