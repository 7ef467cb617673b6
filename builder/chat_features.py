"""The features of chat rows, with which `datasets` keeps the rows of `to_messages` as they are."""

from __future__ import annotations

from datasets import Features, Json, List


def chat_features() -> Features:
    """The features for `Dataset.from_list(rows, features=chat_features())`, where rows are those of `to_messages`.

    Messages and tools have different keys from row to row: each tool has its own arguments. Without these features,
    every row gets the keys of all tools, with None as their value, and has several times as many tokens.
    """
    return Features({"messages": List(Json()), "tools": List(Json())})
