"""Downloads a release from the Hub, to judge it."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from builder.publish import without_secrets
from builder.release import DATA
from builder.shards import MANIFEST
from gatling_sid.errors import ShardError


def download(repo_id: str, revision: str) -> Path:
    """Downloads the data and the manifest of a release on the Hub; returns their folder. Raises ShardError."""
    api = HfApi(endpoint=(os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None)
    try:
        folder = api.snapshot_download(
            repo_id, repo_type="dataset", revision=revision, allow_patterns=[MANIFEST, f"{DATA}/*"]
        )
    except (HfHubHTTPError, httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        problem = without_secrets(str(error).strip().partition("\n")[0])
        raise ShardError(f"{repo_id} at {revision} cannot be downloaded from {api.endpoint}: {problem}") from None
    return Path(folder)
