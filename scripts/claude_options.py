"""The options of every command that uses Claude, and the client that they describe."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL
from gatling_sid.oracle.claude.transport.blocking_client import BlockingClient, ReportWaiting
from gatling_sid.oracle.claude.transport.connect import connect, keys_of

BASE_URL_VARIABLE = "ANTHROPIC_BASE_URL"
"""The environment variable that names another endpoint than Anthropic's."""


def add_options(parser: argparse.ArgumentParser, ledger: Path) -> None:
    """Adds the options for model, cost and ledger; `ledger` is the default file."""
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"model of Claude (default {DEFAULT_MODEL})")
    parser.add_argument("--estimate", action="store_true", help="print API calls, tokens and dollars, and send nothing")
    parser.add_argument("--max-cost-usd", type=float, help="stop before the cost can exceed this")
    parser.add_argument(
        "--batch", action="store_true", help="use message batches: cheaper (see --estimate), but slower"
    )
    parser.add_argument(
        "--ledger", type=Path, default=ledger, help=f"file that records requests and costs (default {ledger})"
    )


def connect_from_options(args: argparse.Namespace, report_waiting: ReportWaiting | None = None) -> BlockingClient:
    """A client with these options and the keys of the environment; an estimate needs no key.

    `report_waiting` is called every second during a request with what is being waited for.

    Raises:
        OracleError: no key is set.

    """
    return connect(
        [] if args.estimate else keys_of(None),
        args.ledger,
        model=args.model,
        max_cost_usd=args.max_cost_usd,
        batch=args.batch,
        base_url=os.environ.get(BASE_URL_VARIABLE),
        report_waiting=report_waiting,
    )
