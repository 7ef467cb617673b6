"""The price table with its date; it computes what a response costs."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gatling_sid.errors import CatalogueError, OracleError
from gatling_sid.oracle.claude.messages.llm_request import Usage
from gatling_sid.schemas.yaml_loading import load_yaml

PRICE_FILE = Path(__file__).with_name("prices.yaml")


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rates(_StrictModel):
    """Prices of one model in USD per million tokens."""

    input: float
    output: float
    cache_write_5m: float
    cache_write_1h: float
    cache_read: float

    def cost(self, usage: Usage) -> float:
        """USD of one response whose cache entry lives five minutes."""
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_creation_tokens * self.cache_write_5m
            + usage.cache_read_tokens * self.cache_read
        ) / 1_000_000


class LongPromptRates(Rates):
    """The rates for all tokens of a request whose prompt has more than `over` tokens, including cached ones."""

    over: int


class ModelPrices(Rates):
    """The prices of one model, and how its thinking is limited."""

    long_prompt: LongPromptRates | None = None
    min_cacheable: int
    thinking: Literal["disabled", "between_tools", "always"]


class PriceTable(_StrictModel):
    """The prices that the provider published on `date`."""

    date: str
    batch_discount: float
    models: dict[str, ModelPrices]

    def model(self, name: str) -> ModelPrices:
        """The prices of a model.

        Raises:
            OracleError: the table does not have the model; without its prices no budget can be kept.

        """
        if name not in self.models:
            matches = get_close_matches(name, self.models, n=1, cutoff=0.5)
            hint = f"did you mean {matches[0]!r}?" if matches else f"known are {', '.join(sorted(self.models))}."
            raise OracleError(
                f"no price of model {name!r} in {PRICE_FILE.name} of {self.date}; {hint} Otherwise add its prices there."
            )
        return self.models[name]

    def cost(self, model: str, usage: Usage, *, batch: bool = False) -> float:
        """USD of one response; the discounts for cache and batch are multiplied."""
        rates: Rates = self.model(model)
        long_prompt = self.models[model].long_prompt
        if long_prompt and usage.prompt_tokens > long_prompt.over:
            rates = long_prompt
        return rates.cost(usage) * (self.batch_discount if batch else 1.0)


@cache
def price_table(path: Path = PRICE_FILE) -> PriceTable:
    """The price table in `path`; a file is read only once.

    Raises:
        CatalogueError: the file is not a price table; the error says which key is wrong.

    """
    try:
        return PriceTable.model_validate(load_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise CatalogueError(path.name, ".".join(map(str, first["loc"])), first["msg"]) from None
