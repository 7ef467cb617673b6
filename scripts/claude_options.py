"""The options of every command that asks Claude, and the answers they open."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gatling_sid.oracle.claude.messages.api_format import DEFAULT_MODEL
from gatling_sid.oracle.claude.transport.blocking import BlockingClient
from gatling_sid.oracle.claude.transport.connect import connect, keys_of

BASE_URL = "ANTHROPIC_BASE_URL"


def add_options(parser: argparse.ArgumentParser, ledger: Path) -> None:
    """What to ask, what it may cost, where it is booked; `ledger` is the default file."""
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"default {DEFAULT_MODEL}")
    parser.add_argument("--estimate", action="store_true", help="print calls, tokens and dollars, send nothing")
    parser.add_argument("--max-cost-usd", type=float, help="stop before more than this can have been spent")
    parser.add_argument("--batch", action="store_true", help="message batches: half the price, up to a day")
    parser.add_argument("--ledger", type=Path, default=ledger, help=f"what was asked and paid (default {ledger})")


def connect_from_options(args: argparse.Namespace) -> BlockingClient:
    """Answers by these options, with the keys of the environment; an estimate needs none.

    Raises:
        OracleError: there is no key.

    """
    return connect(
        [] if args.estimate else keys_of(None),
        args.ledger,
        model=args.model,
        max_cost_usd=args.max_cost_usd,
        batch=args.batch,
        base_url=os.environ.get(BASE_URL),
    )
