"""Publishing: a staged tree becomes one commit and one tag of a dataset repository.

Every step looks at the repository before it acts. So a step can be tried again when its reply was lost, and the same
command can be run again after any interruption: what was done is found and kept.
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

from builder.release import is_released
from gatling_sid.errors import PublishError

PAUSES = (1.0, 4.0, 16.0)
"""Seconds to wait before each further try."""

_PASSING_ERRORS = (HfHubHTTPError, httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)
# After a conflict (409, 412) the next look tells whether it was our own work, whose reply was lost, or somebody else's.
_PASSING_STATUS = frozenset({408, 409, 412, 429})
_KEPT_FILE = ".gitattributes"  # the Hub writes it, and needs it to store Parquet outside of git
_RUN_AGAIN = "run the same command again: it goes on from what is already there"

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Publication:
    """Where a release can be read, for ever: `load_dataset(repo_id, revision=tag)`."""

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
    """Make `tree` the whole content of the repository, in one commit that is tagged with the version.

    A version that is already there with this content is a success, with other content an error: tags never move.
    """
    tag, secret = tag_of(version), _clean_token(token)
    _check_staged(tree, repo_id)
    target = _Target(HfApi(endpoint=endpoint and endpoint.rstrip("/"), token=secret), repo_id, tree)
    with _explain_errors(target, secret):
        refs = _retry_passing(target.open, private=private)
        commit = refs.tags.get(tag)
        if commit is None:
            commit = _retry_passing(target.commit, f"Release {tag}", refs.main)
            _retry_passing(target.tag, tag, commit)
        _retry_passing(target.verify, tag, commit)
    return Publication(repo_id, tag, commit, f"{target.api.endpoint}/datasets/{repo_id}/tree/{tag}")


class _Refs(NamedTuple):
    main: str
    tags: dict[str, str]


class _Difference(NamedTuple):
    """What must be put and what must be removed to make a revision equal to the tree."""

    put: list[str]
    remove: list[str]

    def __str__(self) -> str:
        paths = sorted([*self.put, *self.remove])
        return ", ".join(paths[:3]) + (f" and {len(paths[3:])} more" if paths[3:] else "")


@dataclass(frozen=True)
class _Target:
    """A staged tree and the repository that it goes to."""

    api: HfApi
    repo_id: str
    tree: Path

    def open(self, *, private: bool) -> _Refs:
        """Create the repository if it is missing; what is published there now."""
        try:
            info = self.api.dataset_info(self.repo_id)
        except RepositoryNotFoundError:
            self.api.create_repo(self.repo_id, repo_type="dataset", private=private)
        else:
            if private and not info.private:
                raise PublishError(f"{self.repo_id} is public, the release is not; make it private on the Hub first")
        return self.refs()

    def refs(self) -> _Refs:
        refs = self.api.list_repo_refs(self.repo_id, repo_type="dataset")
        main = next((each.target_commit for each in refs.branches if each.name == "main"), None)
        if main is None:
            raise PublishError(f"{self.repo_id} has no branch named main; create it on the Hub first")
        return _Refs(main, {each.name: each.target_commit for each in refs.tags})

    def difference(self, revision: str) -> _Difference:
        found = self.api.verify_repo_checksums(
            self.repo_id, repo_type="dataset", revision=revision, local_dir=self.tree
        )
        put = [*filter(is_released, found.extra_paths), *(each["path"] for each in found.mismatches)]
        return _Difference(sorted(put), [path for path in found.missing_paths if path != _KEPT_FILE])

    def commit(self, message: str, parent: str) -> str:
        """Put the tree on `main`, on top of `parent` and nothing else, unless it is there already; the commit's id."""
        head = self.refs().main
        wanted = self.difference(head)
        if not any(wanted):
            return head  # an earlier reply was lost, or an earlier run stopped before the tag
        if head != parent:
            raise PublishError(_race_error(self.repo_id))
        # Built anew for every try: the client changes the operations that it is given.
        put = [CommitOperationAdd(path, self.tree / path) for path in wanted.put]
        remove = [CommitOperationDelete(path, is_folder=False) for path in wanted.remove]
        done = self.api.create_commit(
            self.repo_id, [*put, *remove], commit_message=message, repo_type="dataset", parent_commit=parent
        )
        return done.oid

    def tag(self, tag: str, commit: str) -> None:
        if tag not in self.refs().tags:
            self.api.create_tag(self.repo_id, tag=tag, revision=commit, repo_type="dataset")

    def verify(self, tag: str, commit: str) -> None:
        """Compare what readers of the tag get with what was staged, by checksums."""
        found, wanted = self.refs().tags.get(tag), self.difference(tag)
        if found != commit or any(wanted):
            differs = f"other content ({wanted})" if any(wanted) else f"commit {found}, not {commit}"
            raise PublishError(f"{tag} is already published with {differs}; publish under a new version")


def tag_of(version: str) -> str:
    """The tag of a version: `1.2.0` and `v1.2.0` give `v1.2.0`. Raises PublishError for anything else."""
    number = r"(?:0|[1-9][0-9]*)"
    if not re.fullmatch(rf"v?{number}\.{number}\.{number}", version):
        raise PublishError(f"{version!r} is not a version; write three numbers, like 1.2.0")
    return f"v{version.removeprefix('v')}"


def _clean_token(token: str | None) -> str | None:
    """Strip the newline that secrets often end in; None leaves the token to the environment or the login."""
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable()):
        raise PublishError("the token holds characters that no token has; copy it again")
    return token or None


def _check_staged(tree: Path, repo_id: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", repo_id):
        raise PublishError(f"{repo_id!r} is not a repository; write 'owner/name'")
    if not (tree / "README.md").is_file() or not any(tree.glob("data/*/*.parquet")):
        raise PublishError(
            f"{tree} is no staged release: README.md or data/<slug>/*.parquet is missing; stage it first"
        )
    script = tree / f"{repo_id.partition('/')[2]}.py"
    if script.exists():
        raise PublishError(f"{script} must go: readers would take it for a loading script, and refuse the dataset")


def _retry_passing(step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Take a step, again and again after what may pass: each step looks before it acts."""
    for pause in PAUSES:
        try:
            return step(*args, **kwargs)
        except _PASSING_ERRORS as error:
            status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
            if status and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PASSING_STATUS:
                raise
            _log.warning("%s %s from the Hub; trying again in %g s", type(error).__name__, status or "", pause)
            time.sleep(pause)
    return step(*args, **kwargs)


@contextmanager
def _explain_errors(target: _Target, secret: str | None) -> Iterator[None]:
    """Whatever the clients raise becomes one error that says what to do, without the token."""
    try:
        yield
    except HfHubHTTPError as error:
        problem = _refusal(target, error)
    except (httpx2.HTTPError, httpx2.InvalidURL, ConnectionError, TimeoutError) as error:
        problem = f"{target.api.endpoint} could not be reached, or broke off ({error}); {_RUN_AGAIN}"
    except (OSError, ValueError, RuntimeError, OIDCError, DeviceCodeError) as error:
        # An upload given up, a README that the Hub does not accept, a login that has ended.
        problem = f"the release was not accepted: {error} {error.__cause__ or ''}".strip()
    else:
        return
    problem = problem.replace(secret, "…") if secret else problem
    raise PublishError(without_secrets(problem)) from None  # what the clients raised may quote them


def without_secrets(text: str) -> str:
    """What a client said, without a token from the environment and the signature in the address of a transfer."""
    return re.sub(r"\bhf_\w+|(?<=\?)\S+=\S+", "…", text)


def _refusal(target: _Target, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    texts = {
        401: f"the token is not valid for {target.repo_id}; pass one that is, or run `hf auth login`",
        403: f"the token may not write to {target.repo_id}; use one with write access",
        409: _race_error(target.repo_id),
        412: _race_error(target.repo_id),
    }
    said = error.server_message or str(error).splitlines()[0]
    return f"{target.api.endpoint} answered {status} ({said}): {texts.get(status, _RUN_AGAIN)}"


def _race_error(repo_id: str) -> str:
    return f"somebody else changed {repo_id} meanwhile; readers are still on the previous version; run again"
