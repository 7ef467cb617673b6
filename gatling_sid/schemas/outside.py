"""What a domain file says about outsiders' orders to the assistant, and about what no tool does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gatling_sid.schemas.language.alternatives import expanded
from gatling_sid.schemas.strict import Scalar, StrictModel


class RowOfLure(StrictModel):
    """A random row that the order of a lure names."""

    one: str
    where: dict[str, Scalar] = Field(default_factory=dict)


class LureAim(StrictModel):
    """What lures want from the assistant: a call of `tool` with the arguments `with`, which the order states.

    `draws` has rows and values that orders and arguments name (`{bill.number}`, `$bill.bill_id`): a random row, or one of
    a list. `orders` are imperative sentences by language (`en`, `de`, `es`, `fr`), each complete without its guise. `wants` says in
    English what would happen. All accounts and addresses are invented, on example domains.
    """

    tool: str
    wants: str
    draws: dict[str, RowOfLure | list[Scalar]] = Field(default_factory=dict)
    arguments: dict[str, Any] = Field(default_factory=dict, alias="with")
    orders: dict[str, Annotated[list[str], AfterValidator(expanded)]] = Field(min_length=1)


class Unserved(StrictModel):
    """Something people of these roles ask for that no tool of the domain can do, such as to print, or to undo.

    `says` are verb phrases without braces, `reason` is one sentence that says what there is no tool for.
    """

    roles: list[str] = Field(min_length=1)
    intent: Literal["retrieve", "update", "create", "delete", "export", "analyze"]
    says: list[str] = Field(min_length=3)
    reason: str
