"""A server on 127.0.0.1 that behaves like the Claude API: Messages, count_tokens and Batches, with a bill.

A test provides the model's answers and the faults:

    with ClaudeServer(answer=lambda body: '{"text": "…"}', faults={"lost": 0.02}) as server:
        server.next("messages", "500", "drop")        # the next two API calls, in this order
        client = MessagesClient(["key"], ledger, base_url=server.url)

Faults of `messages`: 500, 529, 429, drop (connection closed, nothing billed), lost (billed, then closed), cut (billed,
closed in the middle of the body), garbled (billed, JSON that ends too soon), refusal, refusal:<category>, max_tokens,
invalid, spend_429, spend_400, ramp, tier, revoked, on_hold, unpaid, forbidden, unknown, model, credit. Of `items` of a
batch: expired, errored, invalid, refusal, max_tokens. Of `create`: lost, drop, 500. Of `results`: cut, 500.

Run as a module, it serves until the process is ended; its counts are at `/_state`.
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
from datetime import UTC, datetime
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.support.claude_api import (
    ERRORS,
    Account,
    Batch,
    BilledMessage,
    Body,
    Bucket,
    Hangup,
    HttpResponse,
    account_headers,
    bytes_of,
    cost_of,
    error_body,
    error_response,
    json_response,
    prefix_of_body,
    reason_to_refuse,
    tokens,
)


def echo_question(body: Body) -> str:
    """The default model: returns the end of the prompt as JSON."""
    return json.dumps({"text": body["messages"][0]["content"][-200:]})


class ClaudeServer:
    """The server, in a thread of its own; its public attributes may be changed while it runs."""

    def __init__(
        self,
        *,
        answer: Callable[[Body], str] = echo_question,
        latency: float = 0.0,
        limits: Mapping[str, float] | None = None,
        burst_seconds: float = 60,
        keys: Mapping[str, Account] | None = None,
        faults: Mapping[str, float] | None = None,
        item_faults: Mapping[str, float] | None = None,
        batch_seconds: float = 0.05,
        seed: int = 1,
    ) -> None:
        self.answer = answer
        self.latency = latency
        self.limits = dict(limits or {})
        self.burst_seconds = burst_seconds
        self.keys = dict(keys or {"key": Account()})
        self.faults = dict(faults or {})
        self.item_faults = dict(item_faults or {})
        self.batch_seconds = batch_seconds
        self.bills: list[BilledMessage] = []
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.calls_of: Counter[str] = Counter()
        self.calls_by_key: Counter[str] = Counter()
        self.usage: Counter[str] = Counter()
        self.batches: list[Batch] = []
        self.early_retries = 0
        self.in_flight = self.most_in_flight = 0
        self._random = random.Random(seed)
        self._next_faults: defaultdict[str, deque[str]] = defaultdict(deque)
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._cache: dict[tuple[str, str, str], float] = {}
        self._not_before: dict[str, float] = {}
        self._ids = 0
        self._lock = threading.RLock()
        self._started = threading.Event()
        self.url = ""

    # Start and stop

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def serve(self, port: int = 0) -> None:
        """Serves until the server is stopped."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", port, limit=1 << 26, backlog=2048)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stop.wait()
        server.close()

    # For tests

    def next(self, route: str, *faults: str) -> None:
        """Sets the faults of the next calls of a route, before random ones; `ok` means no fault."""
        self._next_faults[route].extend(faults)

    @property
    def bill_usd(self) -> float:
        """The USD of all messages on the bill."""
        self._end_due_batches()
        return sum(each.cost for each in self.bills) / 1e12

    @property
    def delivered_usd(self) -> float:
        """The USD of messages that were sent completely or can still be read in the results of a batch."""
        self._end_due_batches()
        return sum(each.cost for each in self.bills if each.delivered) / 1e12

    def state(self) -> Body:
        """The counts, for other processes."""
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
                    response = await self._respond(method, target, headers, content)
                except Hangup as hangup:
                    writer.write(hangup.sent)
                    await writer.drain()
                    break
                writer.write(bytes_of(response))
                await writer.drain()
                self.statuses[response.status] += 1
        writer.close()

    async def _respond(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> HttpResponse:
        url = urlsplit(target)
        parts = url.path.strip("/").split("/")
        if parts == ["_state"]:
            return json_response(200, self.state())
        key = headers.get("authorization", "").removeprefix("Bearer ")
        self.calls_by_key[key] += 1
        account = self.keys.get(key)
        if account is None:
            return error_response("revoked", {})
        body = json.loads(content) if content else {}
        match [method, *parts]:
            case ["POST", "v1", "messages"]:
                return await self._message(body, account)
            case ["POST", "v1", "messages", "count_tokens"]:
                return json_response(
                    200, {"input_tokens": tokens(prefix_of_body(body)) + tokens(body["messages"][0]["content"])}
                )
            case ["POST", "v1", "messages", "batches"]:
                return self._create(body, account)
            case ["GET", "v1", "messages", "batches"]:
                return self._list({name: values[0] for name, values in parse_qs(url.query).items()}, account)
            case ["GET", "v1", "messages", "batches", batch_id, *rest]:
                return (
                    self._results(batch_id, account)
                    if rest
                    else json_response(200, self._batch_body(self._batch(batch_id), account))
                )
            case ["POST", "v1", "messages", "batches", batch_id, "cancel"]:
                self._batch(batch_id).cancelled = True
                return json_response(200, self._batch_body(self._batch(batch_id), account))
        return json_response(404, {"type": "error", "error": {"type": "not_found_error", "message": f"no {target}"}})

    def _fault(self, route: str, rates: Mapping[str, float]) -> str:
        self.calls[route] += 1
        if self._next_faults[route]:
            return self._next_faults[route].popleft()
        chance = self._random.random()
        for name, rate in rates.items():
            if chance < rate:
                return name
            chance -= rate
        return "ok"

    # Messages

    async def _message(self, body: Body, account: Account) -> HttpResponse:
        fault = self._fault("messages", self.faults)
        user_text = body["messages"][0]["content"]
        self.calls_of[user_text] += 1
        now = time.monotonic()
        if self._not_before.pop(user_text, 0.0) > now:
            self.early_retries += 1
        if fault == "drop":
            raise Hangup
        if fault in ERRORS:
            return error_response(fault, account_headers(account))
        if reason := reason_to_refuse(body):
            return json_response(400, error_body("invalid_request_error", reason), account_headers(account))
        usage = self._read_cache(body, account)
        uncached = usage["input_tokens"] + usage["cache_creation_input_tokens"]
        if seconds := self._take_from_limits(body["model"], account, uncached):
            self._not_before[user_text] = now + seconds
            headers = {**self._limit_headers(body["model"], account), "retry-after": str(math.ceil(seconds))}
            return json_response(429, error_body("rate_limit_error", "limit"), {**headers, **account_headers(account)})
        self._write_cache(body, account)
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        await asyncio.sleep(max(0.0, now + self.latency - time.monotonic()))
        self.in_flight -= 1
        message = self._write_message(body, fault, usage)
        if bucket := self._bucket("output", body["model"], account):
            bucket.level -= message["usage"]["output_tokens"]
        lost = fault in {"lost", "cut", "garbled"}
        self.bills.append(
            BilledMessage(message["id"], user_text, cost_of(message["usage"]), batch=False, delivered=not lost)
        )
        response = json_response(
            200, message, {**self._limit_headers(body["model"], account), **account_headers(account)}
        )
        if fault == "lost":
            raise Hangup
        if fault == "cut":
            raise Hangup(bytes_of(response)[: -len(response.body) // 2])
        return response._replace(body=response.body[: len(response.body) // 2]) if fault == "garbled" else response

    def _read_cache(self, body: Body, account: Account) -> dict[str, int]:
        """Input usage; a cache entry can be read once the response that wrote it has begun."""
        prefix = prefix_of_body(body)
        usage = {"input_tokens": tokens(body["messages"][0]["content"]), "output_tokens": 0}
        usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        if (
            not isinstance(body.get("system"), list)
            or "cache_control" not in body["system"][-1]
            or tokens(prefix) < 512
        ):
            usage["input_tokens"] += tokens(prefix)
            return usage
        readable = self._cache.get((account.workspace, body["model"], prefix))
        if readable is not None and readable <= time.monotonic():
            usage["cache_read_input_tokens"] = tokens(prefix)
        else:
            usage["cache_creation_input_tokens"] = tokens(prefix)
        return usage

    def _write_cache(self, body: Body, account: Account) -> None:
        self._cache.setdefault(
            (account.workspace, body["model"], prefix_of_body(body)), time.monotonic() + self.latency
        )

    def _write_message(self, body: Body, fault: str, usage: dict[str, int]) -> Body:
        """The message that the model writes; its usage is added to the totals."""
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

    def _bucket(self, name: str, model: str, account: Account) -> Bucket | None:
        if name not in self.limits:
            return None
        key, limit = (account.organisation, model, name), self.limits[name]
        if key not in self._buckets:
            self._buckets[key] = Bucket(limit, limit * self.burst_seconds / 60)
        return self._buckets[key]

    def _take_from_limits(self, model: str, account: Account, uncached: int) -> float:
        """Seconds to wait; 0 if the limits allow the call, which then is counted."""
        needs = {"requests": 1.0, "input": float(uncached), "output": 1.0}
        buckets = {name: bucket for name in needs if (bucket := self._bucket(name, model, account))}
        if seconds := max((bucket.missing(needs[name]) for name, bucket in buckets.items()), default=0.0):
            return seconds
        for name in buckets.keys() - {"output"}:
            buckets[name].level -= needs[name]
        return 0.0

    def _limit_headers(self, model: str, account: Account) -> dict[str, str]:
        headers = {}
        for name, middle in (("requests", "requests"), ("input", "input-tokens"), ("output", "output-tokens")):
            if bucket := self._bucket(name, model, account):
                bucket.missing(0)
                headers[f"anthropic-ratelimit-{middle}-limit"] = str(int(bucket.limit))
                headers[f"anthropic-ratelimit-{middle}-remaining"] = str(max(0, int(bucket.level)))
        return headers

    # Batches

    def _create(self, body: Body, account: Account) -> HttpResponse:
        fault = self._fault("create", {})
        if fault in ERRORS:
            return error_response(fault, account_headers(account))
        if fault == "drop":
            raise Hangup
        ids = [each["custom_id"] for each in body["requests"]]
        if len(set(ids)) < len(ids):
            return json_response(400, error_body("invalid_request_error", "custom_id is not unique"))
        batch = Batch(self._new_id("msgbatch"), time.time(), account.workspace, body["requests"])
        self.batches.append(batch)
        if fault == "lost":
            raise Hangup
        return json_response(200, self._batch_body(batch, account), account_headers(account))

    def _list(self, query: Mapping[str, str], account: Account) -> HttpResponse:
        self.calls["list"] += 1
        batches = [each for each in reversed(self.batches) if each.workspace == account.workspace]
        if after := query.get("after_id"):
            batches = batches[[each.batch_id for each in batches].index(after) + 1 :]
        page = batches[: int(query.get("limit", "20"))]
        data = [self._batch_body(each, account) for each in page]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        listing = {"data": data, "has_more": len(batches) > len(page), "first_id": first, "last_id": last}
        return json_response(200, listing, account_headers(account))

    def _results(self, batch_id: str, account: Account) -> HttpResponse:
        fault = self._fault("results", {})
        if fault in ERRORS:
            return error_response(fault, account_headers(account))
        batch = self._batch(batch_id)
        self._end(batch)
        lines = "".join(json.dumps(each) + "\n" for each in batch.results or []).encode()
        response = HttpResponse(200, lines, {"content-type": "application/x-jsonl"})
        if fault == "cut":
            raise Hangup(bytes_of(response)[: -(len(lines) // 2)])
        return response

    def _batch(self, batch_id: str) -> Batch:
        return next(each for each in self.batches if each.batch_id == batch_id)

    def _end_due_batches(self) -> None:
        for each in self.batches:
            self._end(each)

    def _end(self, batch: Batch) -> None:
        """Makes the results of a batch, in random order, if it is due."""
        with self._lock:
            due = batch.cancelled or time.time() >= batch.created + self.batch_seconds
            if batch.results is not None or not due:
                return
            results = [self._batch_item(each, batch) for each in batch.requests]
            self._random.shuffle(results)
            batch.results = results

    def _batch_item(self, request: Body, batch: Batch) -> Body:
        body, fault = request["params"], self._fault("items", self.item_faults)
        result: Body
        if batch.cancelled:
            result = {"type": "canceled"}
        elif fault == "expired":
            result = {"type": "expired"}
        elif fault in {"errored", "invalid"} or reason_to_refuse(body):
            kind = "api_error" if fault == "errored" else "invalid_request_error"
            result = {
                "type": "errored",
                "error": {**error_body(kind, reason_to_refuse(body) or fault), "request_id": "req_1"},
            }
        else:
            account = Account("", batch.workspace)
            message = self._write_message(body, fault, self._read_cache(body, account))
            self._write_cache(body, account)
            self.bills.append(
                BilledMessage(message["id"], body["messages"][0]["content"], cost_of(message["usage"]) // 2, batch=True)
            )
            result = {"type": "succeeded", "message": message}
        return {"custom_id": request["custom_id"], "result": result}

    def _batch_body(self, batch: Batch, account: Account) -> Body:
        if batch.workspace != account.workspace:
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


def main() -> None:
    """Prints the address and serves until the process is ended."""
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
        task = asyncio.create_task(server.serve(arguments.port))
        await asyncio.to_thread(server._started.wait)
        print(server.url, flush=True)  # noqa: T201
        await task

    asyncio.run(serve())


if __name__ == "__main__":
    main()
