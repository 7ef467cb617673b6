"""Requests to the Hub server of the tests, and its replies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class HubError(Exception):
    """The reply is an error; the clients distinguish errors by `code`."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class HttpResponse(NamedTuple):
    """The reply to one HTTP request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class HubRequest(NamedTuple):
    """One HTTP request: the named parts of its path, unquoted, and the rest."""

    route: str
    method: str
    path: str
    part: Mapping[str, str] = {}
    query: Mapping[str, list[str]] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def json_reply(value: object, status: int = 200, **headers: str) -> HttpResponse:
    """A reply whose body is JSON."""
    return HttpResponse(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})
