"""The tables of a ledger file, and how a file of an older version is converted to the present one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gatling_sid.errors import OracleError

VERSION = 1
"""The version of the tables, kept in `PRAGMA user_version`; it is 0 in older files, which had no version."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS requests (
        work_id TEXT PRIMARY KEY, digest TEXT NOT NULL, phase TEXT NOT NULL, domain TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS attempts (
        id TEXT PRIMARY KEY, work_id TEXT NOT NULL, started_at REAL NOT NULL, worst_usd REAL NOT NULL,
        status TEXT, request_id TEXT)""",
    "CREATE INDEX IF NOT EXISTS attempts_by_work_id ON attempts (work_id)",
    """CREATE TABLE IF NOT EXISTS payments (
        message_id TEXT PRIMARY KEY, work_id TEXT NOT NULL, batch_id TEXT, booked_at REAL NOT NULL,
        input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_creation_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS responses (
        work_id TEXT PRIMARY KEY, message_id TEXT NOT NULL, text TEXT, problem TEXT) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS submissions (
        id TEXT PRIMARY KEY, registered_at REAL NOT NULL, size INTEGER NOT NULL, worst_usd REAL NOT NULL,
        state TEXT NOT NULL, batch_id TEXT)""",
    """CREATE TABLE IF NOT EXISTS submission_items (
        submission_id TEXT NOT NULL, work_id TEXT NOT NULL, status TEXT,
        PRIMARY KEY (submission_id, work_id)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS workspaces (workspace TEXT PRIMARY KEY, recorded_at REAL NOT NULL)",
)

_FROM_VERSION_0 = (
    # The first ledgers had no such table.
    "CREATE TABLE IF NOT EXISTS places (workspace TEXT PRIMARY KEY, since REAL NOT NULL)",
    "ALTER TABLE asks RENAME TO requests",
    "ALTER TABLE attempts RENAME COLUMN started TO started_at",
    "ALTER TABLE attempts RENAME COLUMN outcome TO status",
    "DROP INDEX IF EXISTS attempts_of",
    "ALTER TABLE payments RENAME COLUMN booked TO booked_at",
    "ALTER TABLE answers RENAME TO responses",
    'ALTER TABLE "groups" RENAME TO submissions',
    "ALTER TABLE submissions RENAME COLUMN intended TO registered_at",
    "UPDATE submissions SET state = 'registered' WHERE state = 'intended'",
    "ALTER TABLE group_items RENAME TO submission_items",
    "ALTER TABLE submission_items RENAME COLUMN group_id TO submission_id",
    "ALTER TABLE submission_items RENAME COLUMN outcome TO status",
    "ALTER TABLE places RENAME TO workspaces",
    "ALTER TABLE workspaces RENAME COLUMN since TO recorded_at",
)


def open_database(path: Path) -> sqlite3.Connection:
    """Opens a ledger file for this process alone, with the tables of the present version.

    Raises:
        OracleError: a later version of the package wrote the file.
        sqlite3.Error: another process uses the file, or it cannot be read or written.

    """
    db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _create_or_migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _create_or_migrate(db: sqlite3.Connection, path: Path) -> None:
    """Changes the file in one transaction, so that a killed process leaves it as it was before."""
    db.execute("BEGIN IMMEDIATE")
    with db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise OracleError(
                f"ledger {path.name} was written by a later version of this package (tables of version {version}, "
                f"known up to {VERSION}); update the package, or use a new ledger"
            )
        if version == 0 and db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'asks'").fetchone():
            for statement in _FROM_VERSION_0:
                db.execute(statement)
        for statement in _TABLES:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
