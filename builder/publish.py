"""Publishes a staged release as one commit and one tag of a dataset repository.

Every step looks at the repository before it acts. So a step can be repeated when its HTTP response was lost, and the
same command can be run again after any interruption: it finds and keeps what was done before.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import DeviceCodeError, HfHubHTTPError, OIDCError, RepositoryNotFoundError

from builder.release import is_released, tag_of
from gatling_sid.errors import PublishError

PAUSES = (1.0, 4.0, 16.0)
"""Seconds to wait before each retry; long enough for a short failure of the Hub."""

_RETRIED_ERRORS = (HfHubHTTPError, httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)
# After a conflict (409, 412), the repeated step sees who changed the repository: this process, or somebody else.
_RETRIED_STATUS = frozenset({408, 409, 412, 429})
_KEPT_FILE = ".gitattributes"  # the Hub writes it, and needs it to store Parquet outside of git
_RUN_AGAIN = "run the same command again; it continues where it stopped"

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Publication:
    """Where a release can be read from now on: `load_dataset(repo_id, revision=tag)`."""

    repo_id: str
    tag: str
    commit: str
    url: str


def publish(
    tree: Path,
    repo_id: str,
    version: str,
    *,
    endpoint: str | None = None,
    token: str | None = None,
    private: bool = False,
) -> Publication:
    """Makes `tree` the whole content of the repository, in one commit that is tagged with the version.

    Succeeds if the version is already there with this content; tags never move.

    Raises:
        PublishError: the version is already published with other content, or the Hub refuses; says what to do.

    """
    tag, secret = tag_of(version), _clean_token(token)
    _check_staged(tree, repo_id)
    target = _Target(HfApi(endpoint=endpoint and endpoint.rstrip("/"), token=secret), repo_id, tree)
    with _explain_errors(target, secret):
        refs = _retry(target.open, private=private)
        commit = refs.tags.get(tag)
        if commit is None:
            commit = _retry(target.commit, f"Release {tag}", refs.main)
            _retry(target.tag, tag, commit)
        _retry(target.verify, tag, commit)
    return Publication(repo_id, tag, commit, f"{target.api.endpoint}/datasets/{repo_id}/tree/{tag}")


class _Refs(NamedTuple):
    main: str
    tags: dict[str, str]


class _Difference(NamedTuple):
    """The files to upload and the files to remove so that a revision equals the tree."""

    upload: list[str]
    remove: list[str]

    def __str__(self) -> str:
        paths = sorted([*self.upload, *self.remove])
        return ", ".join(paths[:3]) + (f" and {len(paths[3:])} more" if paths[3:] else "")


@dataclass(frozen=True)
class _Target:
    """A staged tree and the repository that it goes to."""

    api: HfApi
    repo_id: str
    tree: Path

    def open(self, *, private: bool) -> _Refs:
        """Creates the repository if it is missing; returns its branches and tags."""
        try:
            info = self.api.dataset_info(self.repo_id)
        except RepositoryNotFoundError:
            self.api.create_repo(self.repo_id, repo_type="dataset", private=private)
        else:
            if private and not info.private:
                raise PublishError(
                    f"{self.repo_id} is public, but the release is private; make the repository private on the Hub first"
                )
        return self.refs()

    def refs(self) -> _Refs:
        refs = self.api.list_repo_refs(self.repo_id, repo_type="dataset")
        main = next((each.target_commit for each in refs.branches if each.name == "main"), None)
        if main is None:
            raise PublishError(f"{self.repo_id} has no branch named main; create it on the Hub first")
        return _Refs(main, {each.name: each.target_commit for each in refs.tags})

    def difference(self, revision: str) -> _Difference:
        comparison = self.api.verify_repo_checksums(
            self.repo_id, repo_type="dataset", revision=revision, local_dir=self.tree
        )
        upload = [*filter(is_released, comparison.extra_paths), *(each["path"] for each in comparison.mismatches)]
        return _Difference(sorted(upload), [path for path in comparison.missing_paths if path != _KEPT_FILE])

    def commit(self, message: str, parent: str) -> str:
        """Commits the tree to `main`, on top of `parent` only, unless it is there already; returns the commit's id."""
        head = self.refs().main
        difference = self.difference(head)
        if not any(difference):
            return head  # an earlier response was lost, or an earlier run stopped before the tag
        if head != parent:
            raise PublishError(_race_error(self.repo_id))
        # Built again for every attempt, because the client changes the operations that it is given.
        upload = [CommitOperationAdd(path, self.tree / path) for path in difference.upload]
        remove = [CommitOperationDelete(path, is_folder=False) for path in difference.remove]
        commit = self.api.create_commit(
            self.repo_id, [*upload, *remove], commit_message=message, repo_type="dataset", parent_commit=parent
        )
        return commit.oid

    def tag(self, tag: str, commit: str) -> None:
        if tag not in self.refs().tags:
            self.api.create_tag(self.repo_id, tag=tag, revision=commit, repo_type="dataset")

    def verify(self, tag: str, commit: str) -> None:
        """Compares what readers of the tag get with what was staged, by checksums. Raises PublishError."""
        tagged, difference = self.refs().tags.get(tag), self.difference(tag)
        if tagged != commit or any(difference):
            differs = f"other content ({difference})" if any(difference) else f"commit {tagged}, not {commit}"
            raise PublishError(f"{tag} is already published with {differs}; publish under a new version")


def _clean_token(token: str | None) -> str | None:
    """Strips the newline that a token from a file ends with; None means the token of the environment or the login."""
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable()):
        raise PublishError("the token contains characters that no token has; copy it again")
    return token or None


def _check_staged(tree: Path, repo_id: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", repo_id):
        raise PublishError(f"{repo_id!r} is not a repository; write 'owner/name'")
    if not (tree / "README.md").is_file() or not any(tree.glob("data/*/*.parquet")):
        raise PublishError(
            f"{tree} is not a staged release: README.md or data/<slug>/*.parquet is missing; stage it first"
        )
    script = tree / f"{repo_id.partition('/')[2]}.py"
    if script.exists():
        raise PublishError(f"remove {script}: readers would take it for a loading script and refuse the dataset")


def _retry(step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Runs a step, and repeats it after errors that may be temporary. That is safe: each step looks before it acts."""
    for pause in PAUSES:
        try:
            return step(*args, **kwargs)
        except _RETRIED_ERRORS as error:
            status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
            if status and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _RETRIED_STATUS:
                raise
            _log.warning("%s %s from the Hub; retrying in %g s", type(error).__name__, status or "", pause)
            time.sleep(pause)
    return step(*args, **kwargs)


@contextmanager
def _explain_errors(target: _Target, secret: str | None) -> Iterator[None]:
    """Turns whatever the clients raise into a PublishError that says what to do and does not show the token."""
    try:
        yield
    except HfHubHTTPError as error:
        problem = _explain_status(target, error)
    except (httpx2.HTTPError, httpx2.InvalidURL, ConnectionError, TimeoutError) as error:
        problem = f"{target.api.endpoint} could not be reached, or broke the connection ({error}); {_RUN_AGAIN}"
    except (OSError, ValueError, RuntimeError, OIDCError, DeviceCodeError) as error:
        # A failed upload, a README that the Hub does not accept, a login that has expired.
        problem = f"the release was not accepted: {error} {error.__cause__ or ''}".strip()
    else:
        return
    problem = problem.replace(secret, "…") if secret else problem
    raise PublishError(without_secrets(problem)) from None  # the original error may quote them


def without_secrets(text: str) -> str:
    """A client's error text without tokens, and without the signature in the address of a transfer."""
    return re.sub(r"\bhf_\w+|(?<=\?)\S+=\S+", "…", text)


def _explain_status(target: _Target, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    texts = {
        401: f"the token is not valid for {target.repo_id}; set another in HF_TOKEN, or run `hf auth login`",
        403: f"the token may not write to {target.repo_id}; use one with write access",
        409: _race_error(target.repo_id),
        412: _race_error(target.repo_id),
    }
    message = error.server_message or str(error).splitlines()[0]
    return f"{target.api.endpoint} returned status {status} ({message}): {texts.get(status, _RUN_AGAIN)}"


def _race_error(repo_id: str) -> str:
    return f"somebody else changed {repo_id} at the same time; readers still get the previous version; run the command again"
