"""The Claude API on 127.0.0.1, spoken to by the real client: Messages, count_tokens and Batches, with a bill.

A test plays the model and says what goes wrong:

    with ClaudeServer(answer=lambda body: '{"text": "…"}', faults={"lost": 0.02}) as server:
        server.next("messages", "500", "drop")        # the next two calls, in this order
        engine = Engine(["key"], ledger, base_url=server.url)

Faults of `messages`: 500, 529, 429, drop (connection closed, nothing billed), lost (billed, then closed), cut (billed,
closed in the middle of the body), garbled (billed, JSON that ends too soon), refusal, refusal:<category>, max_tokens,
invalid, spend_429, spend_400, ramp, tier, revoked, on_hold, unpaid, forbidden, unknown, model, credit. Of `items` of a
batch: expired, errored, invalid, refusal, max_tokens. Of `create`: lost, drop, 500. Of `results`: cut, 500. Run as a
module it serves until it is ended and tells its state at `/_state`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

Body = dict[str, Any]
# 1e-12 USD per token of claude-haiku-5-5, written down apart from the engine's own table.
RATES = {"input": 100_000, "output": 500_000, "write": 125_000, "read": 10_000}
LONG_PROMPT, LONG_FACTOR = 100_000, 5
TOP_LEVEL = {"model", "max_tokens", "system", "messages", "output_config", "thinking", "metadata", "stream", "tools"}
REFUSED: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "500": (500, "api_error", "", {}),
    "529": (529, "overloaded_error", "", {}),
    "429": (429, "rate_limit_error", "", {"retry-after": "1"}),
    "ramp": (429, "rate_limit_error", "ramp_limit_exceeded", {"retry-after": "1"}),
    "spend_429": (429, "rate_limit_error", "", {}),
    "tier": (429, "rate_limit_error", "enforced_spend_limit_reached", {"retry-after": "5"}),
    "spend_400": (400, "invalid_request_error", "", {}),
    "on_hold": (400, "invalid_request_error", "organization_on_hold", {}),
    "invalid": (400, "invalid_request_error", "", {}),
    "revoked": (401, "authentication_error", "", {}),
    "unpaid": (402, "billing_error", "", {}),
    "forbidden": (403, "permission_error", "", {}),
    "unknown": (404, "not_found_error", "", {}),
    "model": (400, "invalid_request_error", "", {}),
    "credit": (400, "invalid_request_error", "", {}),
}
SAYS = {
    "529": "Overloaded",
    "spend_400": "You have reached your specified API usage limits.",
    "invalid": "max_tokens: too large",
    "revoked": "invalid bearer token",
    "unpaid": "There is an issue with your payment information.",
    "forbidden": "Your API key does not have permission to use the specified resource.",
    "unknown": "model: claude-haiku-5-5",
    "model": "model: this model is not available to your organization",
    "credit": "Your credit balance is too low to access the API. Please go to Plans & Billing to purchase credits.",
}


def tokens(text: str) -> int:
    """How this server counts."""
    return len(text) // 4 + 1


class Hangup(Exception):  # noqa: N818 - an event, not a defect
    """Close the connection, after `sent`."""

    def __init__(self, sent: bytes = b"") -> None:
        super().__init__()
        self.sent = sent


class Reply(NamedTuple):
    """What goes back over the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


@dataclass
class Bucket:
    """`limit` per minute, of which `capacity` may be drawn at once."""

    limit: float
    capacity: float
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.capacity

    def missing(self, amount: float) -> float:
        """Seconds until `amount` is there."""
        now = time.monotonic()
        self.level = min(self.capacity, self.level + (now - self.at) * self.limit / 60)
        self.at = now
        return max(0.0, (amount - self.level) * 60 / self.limit)


@dataclass
class Billed:
    """One message this server has charged for; `delivered` unless a fault lost it."""

    message_id: str
    words: str
    cost: int
    batch: bool
    delivered: bool = True


@dataclass
class Batch:
    """A batch and, once it has ended, its results."""

    batch_id: str
    created: float
    workspace: str
    requests: list[Body]
    results: list[Body] | None = None
    cancelled: bool = False


@dataclass
class Place:
    """A key's organisation and workspace."""

    organisation: str = "org-1"
    workspace: str = "wrk-1"


def play_scholar(body: Body) -> str:
    """The default model: repeats the question as JSON."""
    return json.dumps({"text": body["messages"][0]["content"][-200:]})


class ClaudeServer:
    """The API in a thread of its own. Public attributes may be changed while it runs."""

    def __init__(
        self,
        *,
        answer: Callable[[Body], str] = play_scholar,
        latency: float = 0.0,
        limits: Mapping[str, float] | None = None,
        burst_seconds: float = 60,
        keys: Mapping[str, Place] | None = None,
        faults: Mapping[str, float] | None = None,
        item_faults: Mapping[str, float] | None = None,
        batch_seconds: float = 0.05,
        seed: int = 1,
    ) -> None:
        self.answer = answer
        self.latency = latency
        self.limits = dict(limits or {})
        self.burst_seconds = burst_seconds
        self.keys = dict(keys or {"key": Place()})
        self.faults = dict(faults or {})
        self.item_faults = dict(item_faults or {})
        self.batch_seconds = batch_seconds
        self.bills: list[Billed] = []
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.calls_of: Counter[str] = Counter()
        self.calls_by_key: Counter[str] = Counter()
        self.usage: Counter[str] = Counter()
        self.batches: list[Batch] = []
        self.early_retries = 0
        self.in_flight = self.most_in_flight = 0
        self._random = random.Random(seed)
        self._scripted: defaultdict[str, deque[str]] = defaultdict(deque)
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._cache: dict[tuple[str, str, str], float] = {}
        self._not_before: dict[str, float] = {}
        self._ids = 0
        self._lock = threading.RLock()
        self._started = threading.Event()
        self.url = ""

    # Life

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def serve(self, port: int = 0) -> None:
        """Serves until stopped."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", port, limit=1 << 26, backlog=2048)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stop.wait()
        server.close()

    # What tests say and see

    def next(self, route: str, *faults: str) -> None:
        """Faults of the next calls of a route, before any are drawn; `ok` is none."""
        self._scripted[route].extend(faults)

    @property
    def bill_usd(self) -> float:
        """All that was charged."""
        self._end_due_batches()
        return sum(each.cost for each in self.bills) / 1e12

    @property
    def delivered_usd(self) -> float:
        """What was charged for messages whose reply was sent whole (or can still be read, in a batch)."""
        self._end_due_batches()
        return sum(each.cost for each in self.bills if each.delivered) / 1e12

    def state(self) -> Body:
        """For other processes."""
        return {
            "bill_usd": self.bill_usd, "calls": dict(self.calls), "statuses": dict(self.statuses),
            "early_retries": self.early_retries, "usage": dict(self.usage), "most_in_flight": self.most_in_flight,
        }  # fmt: skip

    # HTTP

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                content = await reader.readexactly(int(headers.get("content-length", "0")))
                method, target, _ = head[0].split(" ")
                try:
                    reply = await self._reply(method, target, headers, content)
                except Hangup as hangup:
                    writer.write(hangup.sent)
                    await writer.drain()
                    break
                writer.write(_wire(reply))
                await writer.drain()
                self.statuses[reply.status] += 1
        writer.close()

    async def _reply(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> Reply:
        url = urlsplit(target)
        parts = url.path.strip("/").split("/")
        if parts == ["_state"]:
            return _json(200, self.state())
        key = headers.get("authorization", "").removeprefix("Bearer ")
        self.calls_by_key[key] += 1
        place = self.keys.get(key)
        if place is None:
            return _refusal("revoked", {})
        body = json.loads(content) if content else {}
        match [method, *parts]:
            case ["POST", "v1", "messages"]:
                return await self._message(body, place)
            case ["POST", "v1", "messages", "count_tokens"]:
                return _json(200, {"input_tokens": tokens(_prefix(body)) + tokens(body["messages"][0]["content"])})
            case ["POST", "v1", "messages", "batches"]:
                return self._create(body, place)
            case ["GET", "v1", "messages", "batches"]:
                return self._list({name: values[0] for name, values in parse_qs(url.query).items()}, place)
            case ["GET", "v1", "messages", "batches", batch_id, *rest]:
                return self._results(batch_id, place) if rest else _json(200, self._shown(self._batch(batch_id), place))
            case ["POST", "v1", "messages", "batches", batch_id, "cancel"]:
                self._batch(batch_id).cancelled = True
                return _json(200, self._shown(self._batch(batch_id), place))
        return _json(404, {"type": "error", "error": {"type": "not_found_error", "message": f"no {target}"}})

    def _fault(self, route: str, rates: Mapping[str, float]) -> str:
        self.calls[route] += 1
        if self._scripted[route]:
            return self._scripted[route].popleft()
        draw = self._random.random()
        for name, rate in rates.items():
            if draw < rate:
                return name
            draw -= rate
        return "ok"

    # Messages

    async def _message(self, body: Body, place: Place) -> Reply:
        fault = self._fault("messages", self.faults)
        words = body["messages"][0]["content"]
        self.calls_of[words] += 1
        now = time.monotonic()
        if self._not_before.pop(words, 0.0) > now:
            self.early_retries += 1
        if fault == "drop":
            raise Hangup
        if fault in REFUSED:
            return _refusal(fault, _place_headers(place))
        if wrong := _wrong(body):
            return _json(400, _error("invalid_request_error", wrong), _place_headers(place))
        usage = self._read_cache(body, place)
        uncached = usage["input_tokens"] + usage["cache_creation_input_tokens"]
        if seconds := self._limited(body["model"], place, uncached):
            self._not_before[words] = now + seconds
            headers = {**self._limit_headers(body["model"], place), "retry-after": str(math.ceil(seconds))}
            return _json(429, _error("rate_limit_error", "limit"), {**headers, **_place_headers(place)})
        self._write_cache(body, place)
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        await asyncio.sleep(max(0.0, now + self.latency - time.monotonic()))
        self.in_flight -= 1
        message = self._spoken(body, fault, usage)
        if bucket := self._bucket("output", body["model"], place):
            bucket.level -= message["usage"]["output_tokens"]
        lost = fault in {"lost", "cut", "garbled"}
        self.bills.append(Billed(message["id"], words, _cost(message["usage"]), batch=False, delivered=not lost))
        reply = _json(200, message, {**self._limit_headers(body["model"], place), **_place_headers(place)})
        if fault == "lost":
            raise Hangup
        if fault == "cut":
            raise Hangup(_wire(reply)[: -len(reply.body) // 2])
        return reply._replace(body=reply.body[: len(reply.body) // 2]) if fault == "garbled" else reply

    def _read_cache(self, body: Body, place: Place) -> dict[str, int]:
        """Input usage; an entry can be read once the answer that wrote it has begun."""
        prefix = _prefix(body)
        usage = {"input_tokens": tokens(body["messages"][0]["content"]), "output_tokens": 0}
        usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        if (
            not isinstance(body.get("system"), list)
            or "cache_control" not in body["system"][-1]
            or tokens(prefix) < 512
        ):
            usage["input_tokens"] += tokens(prefix)
            return usage
        readable = self._cache.get((place.workspace, body["model"], prefix))
        if readable is not None and readable <= time.monotonic():
            usage["cache_read_input_tokens"] = tokens(prefix)
        else:
            usage["cache_creation_input_tokens"] = tokens(prefix)
        return usage

    def _write_cache(self, body: Body, place: Place) -> None:
        self._cache.setdefault((place.workspace, body["model"], _prefix(body)), time.monotonic() + self.latency)

    def _spoken(self, body: Body, fault: str, usage: dict[str, int]) -> Body:
        """The message; what it used is added to the totals."""
        text, stop, details = self.answer(body), "end_turn", None
        if fault.startswith("refusal"):
            category = fault.partition(":")[2] or "general_harms"
            text, stop, details = "", "refusal", {"type": "refusal", "category": category, "explanation": None}
        elif fault == "max_tokens" or tokens(text) > body["max_tokens"]:
            text, stop = text[: min(len(text) // 2, body["max_tokens"] * 4)], "max_tokens"
        usage["output_tokens"] = tokens(text)
        self.usage.update(usage)
        return {
            "id": self._new_id("msg"), "type": "message", "role": "assistant", "model": body["model"],
            "content": [{"type": "text", "text": text}] if text else [], "stop_reason": stop, "stop_sequence": None,
            "stop_details": details, "usage": usage,
        }  # fmt: skip

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._ids:08d}"

    # Limits

    def _bucket(self, name: str, model: str, place: Place) -> Bucket | None:
        if name not in self.limits:
            return None
        key, limit = (place.organisation, model, name), self.limits[name]
        if key not in self._buckets:
            self._buckets[key] = Bucket(limit, limit * self.burst_seconds / 60)
        return self._buckets[key]

    def _limited(self, model: str, place: Place, uncached: int) -> float:
        """Seconds to wait, or 0 after drawing."""
        needs = {"requests": 1.0, "input": float(uncached), "output": 1.0}
        buckets = {name: bucket for name in needs if (bucket := self._bucket(name, model, place))}
        if seconds := max((bucket.missing(needs[name]) for name, bucket in buckets.items()), default=0.0):
            return seconds
        for name in buckets.keys() - {"output"}:
            buckets[name].level -= needs[name]
        return 0.0

    def _limit_headers(self, model: str, place: Place) -> dict[str, str]:
        headers = {}
        for name, middle in (("requests", "requests"), ("input", "input-tokens"), ("output", "output-tokens")):
            if bucket := self._bucket(name, model, place):
                bucket.missing(0)
                headers[f"anthropic-ratelimit-{middle}-limit"] = str(int(bucket.limit))
                headers[f"anthropic-ratelimit-{middle}-remaining"] = str(max(0, int(bucket.level)))
        return headers

    # Batches

    def _create(self, body: Body, place: Place) -> Reply:
        fault = self._fault("create", {})
        if fault in REFUSED:
            return _refusal(fault, _place_headers(place))
        if fault == "drop":
            raise Hangup
        ids = [each["custom_id"] for each in body["requests"]]
        if len(set(ids)) < len(ids):
            return _json(400, _error("invalid_request_error", "custom_id is not unique"))
        batch = Batch(self._new_id("msgbatch"), time.time(), place.workspace, body["requests"])
        self.batches.append(batch)
        if fault == "lost":
            raise Hangup
        return _json(200, self._shown(batch, place), _place_headers(place))

    def _list(self, query: Mapping[str, str], place: Place) -> Reply:
        self.calls["list"] += 1
        newest = [each for each in reversed(self.batches) if each.workspace == place.workspace]
        if after := query.get("after_id"):
            newest = newest[[each.batch_id for each in newest].index(after) + 1 :]
        page = newest[: int(query.get("limit", "20"))]
        data = [self._shown(each, place) for each in page]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        listed = {"data": data, "has_more": len(newest) > len(page), "first_id": first, "last_id": last}
        return _json(200, listed, _place_headers(place))

    def _results(self, batch_id: str, place: Place) -> Reply:
        fault = self._fault("results", {})
        if fault in REFUSED:
            return _refusal(fault, _place_headers(place))
        batch = self._batch(batch_id)
        self._end(batch)
        lines = "".join(json.dumps(each) + "\n" for each in batch.results or []).encode()
        reply = Reply(200, lines, {"content-type": "application/x-jsonl"})
        if fault == "cut":
            raise Hangup(_wire(reply)[: -(len(lines) // 2)])
        return reply

    def _batch(self, batch_id: str) -> Batch:
        return next(each for each in self.batches if each.batch_id == batch_id)

    def _end_due_batches(self) -> None:
        for each in self.batches:
            self._end(each)

    def _end(self, batch: Batch) -> None:
        """Answers all items, in any order, once their time has come."""
        with self._lock:
            due = batch.cancelled or time.time() >= batch.created + self.batch_seconds
            if batch.results is not None or not due:
                return
            results = [self._item(each, batch) for each in batch.requests]
            self._random.shuffle(results)
            batch.results = results

    def _item(self, request: Body, batch: Batch) -> Body:
        body, fault = request["params"], self._fault("items", self.item_faults)
        result: Body
        if batch.cancelled:
            result = {"type": "canceled"}
        elif fault == "expired":
            result = {"type": "expired"}
        elif fault in {"errored", "invalid"} or _wrong(body):
            kind = "api_error" if fault == "errored" else "invalid_request_error"
            result = {"type": "errored", "error": {**_error(kind, _wrong(body) or fault), "request_id": "req_1"}}
        else:
            place = Place("", batch.workspace)
            message = self._spoken(body, fault, self._read_cache(body, place))
            self._write_cache(body, place)
            self.bills.append(
                Billed(message["id"], body["messages"][0]["content"], _cost(message["usage"]) // 2, batch=True)
            )
            result = {"type": "succeeded", "message": message}
        return {"custom_id": request["custom_id"], "result": result}

    def _shown(self, batch: Batch, place: Place) -> Body:
        if batch.workspace != place.workspace:
            raise Hangup
        self._end(batch)
        counts = Counter(each["result"]["type"] for each in batch.results or [])
        ended = batch.results is not None
        when = datetime.fromtimestamp(batch.created, UTC).isoformat()
        return {
            "id": batch.batch_id, "type": "message_batch", "created_at": when, "expires_at": when, "archived_at": None,
            "cancel_initiated_at": None, "ended_at": when if ended else None,
            "processing_status": "ended" if ended else "in_progress",
            "results_url": f"{self.url}/v1/messages/batches/{batch.batch_id}/results" if ended else None,
            "request_counts": {
                "processing": 0 if ended else len(batch.requests),
                **{kind: counts[kind] for kind in ("succeeded", "errored", "canceled", "expired")},
            },
        }  # fmt: skip


def _prefix(body: Body) -> str:
    system = body.get("system", "")
    text = system if isinstance(system, str) else "".join(block["text"] for block in system)
    return json.dumps(body.get("output_config", {}).get("format", {}), sort_keys=True) + text


def _wrong(body: Body) -> str:
    """What the API would refuse a body for."""
    if unknown := body.keys() - TOP_LEVEL:
        return f"{min(unknown)}: Extra inputs are not permitted"
    return "" if body.get("max_tokens", 0) >= 1 and body.get("messages") else "max_tokens, messages: Field required"


def _cost(usage: Mapping[str, int]) -> int:
    """In 1e-12 USD."""
    parts = {"input": "input_tokens", "write": "cache_creation_input_tokens", "read": "cache_read_input_tokens"}
    factor = LONG_FACTOR if sum(usage[name] for name in parts.values()) > LONG_PROMPT else 1
    prompt = sum(RATES[kind] * usage[name] for kind, name in parts.items())
    return factor * (prompt + RATES["output"] * usage["output_tokens"])


def _error(kind: str, message: str, code: str = "") -> Body:
    details = {"details": {"error_code": code}} if code else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}}


def _refusal(fault: str, headers: Mapping[str, str]) -> Reply:
    status, kind, code, more = REFUSED[fault]
    return _json(status, _error(kind, SAYS.get(fault, fault), code), {**headers, **more})


def _place_headers(place: Place) -> dict[str, str]:
    return {"anthropic-organization-id": place.organisation, "anthropic-workspace-id": place.workspace}


def _json(status: int, body: Body, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


def _wire(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Status", f"content-length: {len(reply.body)}", "request-id: req_1"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body


def main() -> None:
    """Serves until the process is ended; the first line printed is the address."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument(
        "--limits", type=json.loads, default={}, help='{"requests": 1200, "input": …, "output": …} per minute'
    )
    parser.add_argument("--burst-seconds", type=float, default=60)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    server = ClaudeServer(latency=arguments.latency, limits=arguments.limits, burst_seconds=arguments.burst_seconds)

    async def serve() -> None:
        serving = asyncio.create_task(server.serve(arguments.port))
        await asyncio.to_thread(server._started.wait)
        print(server.url, flush=True)  # noqa: T201
        await serving

    asyncio.run(serve())


if __name__ == "__main__":
    main()
