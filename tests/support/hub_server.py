"""A dataset Hub on 127.0.0.1, spoken to by the real clients: `huggingface_hub`, `hf_xet` and `datasets`.

Commits are full, immutable snapshots in memory. A test declares what goes wrong next:

    with HubServer(token="hf_secret") as hub:
        hub.fail_next("commit", status=503)                          # refused before it is done
        hub.fail_next("commit", landed=True)                         # done, but the reply is lost
        hub.before_next("commit", lambda: hub.push("gatling/sid", {"README.md": b"other"}))    # a race

The names of faults are the names in `ROUTES`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import yaml

LFS_SUFFIXES = (".parquet", ".arrow", ".png")
FIRST_FILE = {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}
XET_TOKEN = "xet_token"  # noqa: S105  (opens nothing but this server)
DATE = "2026-01-01T00:00:00.000Z"


class Refused(Exception):  # noqa: N818  (a reply, not a defect)
    """The reply is an error; `code` is what the clients tell apart."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Reply(NamedTuple):
    """What goes back over the wire."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Ask(NamedTuple):
    """One request, as the routes see it: the named parts of its path, unquoted, and the rest."""

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


class Fault(NamedTuple):
    """How a request goes wrong; without a status the connection is closed without a reply."""

    status: int | None
    landed: bool
    message: str


@dataclass(frozen=True)
class Blob:
    """The content of one file, and whether git holds it or only a pointer to it."""

    content: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        """The name under which large files are stored."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """The git object id: of the content, or of the pointer that stands for it."""
        held = self.content
        if self.lfs:
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(held)}\n"
            held = pointer.encode()
        return hashlib.sha1(b"blob %d\0" % len(held) + held, usedforsecurity=False).hexdigest()

    @property
    def etag(self) -> str:
        """What a download is recognised by."""
        return self.sha256 if self.lfs else self.oid

    def described(self, path: str) -> dict[str, Any]:
        """The entry of this file in a tree listing."""
        entry: dict[str, Any] = {"type": "file", "path": path, "oid": self.oid, "size": len(self.content)}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 130}
        return entry


@dataclass(frozen=True)
class Commit:
    """One immutable snapshot of a repository."""

    title: str
    parent: Commit | None
    files: Mapping[str, Blob]

    @property
    def oid(self) -> str:
        """The id, made from everything the commit says."""
        said = [self.title, self.parent.oid if self.parent else "", *(f"{k} {v.oid}" for k, v in self.files.items())]
        return hashlib.sha1("\n".join(said).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Repo:
    """The branch `main`, and the tags."""

    private: bool
    head: Commit
    tags: dict[str, Commit] = field(default_factory=dict)

    def history(self) -> Iterator[Commit]:
        """From the newest commit of `main` to the first."""
        commit: Commit | None = self.head
        while commit:
            yield commit
            commit = commit.parent

    def at(self, revision: str) -> Commit:
        """The commit that a branch, a tag or an id stands for."""
        if revision == "main":
            return self.head
        known = {commit.oid: commit for commit in self.history()} | self.tags
        if revision not in known:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return known[revision]


def is_large(path: str) -> bool:
    """Whether the Hub would store the file outside of git."""
    return path.endswith(LFS_SUFFIXES)


def _json(value: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


def _hash_text(raw: bytes) -> str:
    """A hash in the spelling of the xet protocol: four little-endian 64-bit numbers."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def _ungrouped(data: bytes) -> bytes:
    """Undo the byte grouping of xet: first all bytes at position 0 of 4, then those at 1, 2, 3."""
    out = bytearray(len(data))
    at = 0
    for place in range(4):
        size = len(range(place, len(data), 4))
        out[place::4] = data[at : at + size]
        at += size
    return bytes(out)


def _chunks_of_xorb(xorb: bytes) -> Iterator[bytes]:
    """The chunks of an uploaded xorb, unpacked: each has 8 bytes of header; a footer may follow."""
    at = 0
    while at + 8 <= len(xorb) and xorb[at] == 0:
        packed, scheme = int.from_bytes(xorb[at + 1 : at + 4], "little"), xorb[at + 4]
        size = int.from_bytes(xorb[at + 5 : at + 8], "little")
        data = xorb[at + 8 : at + 8 + packed]
        if scheme:
            data = pa.Codec("lz4").decompress(data, decompressed_size=size).to_pybytes()
        yield _ungrouped(data) if scheme == 2 else data
        at += 8 + packed


def _files_of_shard(shard: bytes) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """SHA-256 of each file in an uploaded shard, with its terms: xorb, first chunk, chunk after the last."""
    at = 48
    while shard[at : at + 32] != b"\xff" * 32:
        flags, count = struct.unpack_from("<II", shard, at + 32)
        entries = range(at + 48, at + 48 * (1 + count), 48)
        terms = [(_hash_text(shard[at : at + 32]), *struct.unpack_from("<II", shard, at + 40)) for at in entries]
        at += 48 * (1 + count + (count if flags & 1 << 31 else 0))
        yield _hash_text(shard[at : at + 32]), terms
        at += 48


class HubServer:
    """A Hub with one user, whose token may write everywhere; anybody may read what is public."""

    def __init__(self, token: str = "hf_test") -> None:  # noqa: S107  (opens nothing but this server)
        self.token = token
        self.repos: dict[str, Repo] = {}
        self.requests: list[Ask] = []
        self._objects: dict[str, bytes] = {}
        # hf_xet remembers, by address, what it has stored where; and a later server may get the same port.
        self._cas = f"cas-{secrets.token_hex(8)}"
        self._xorbs: dict[str, list[bytes]] = {}
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._before: dict[str, deque[Callable[[], object]]] = defaultdict(deque)
        self.connections: set[socket.socket] = set()
        self._lock = threading.RLock()
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in list(self.connections):  # clients keep them open, and would talk to a server that is gone
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # What a test asks and declares.

    def snapshot(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """Every file of a revision."""
        return {path: blob.content for path, blob in self.repos[repo].at(revision).files.items()}

    def history(self, repo: str) -> list[str]:
        """Commit ids of `main`, newest first."""
        return [commit.oid for commit in self.repos[repo].history()]

    def tags(self, repo: str) -> dict[str, str]:
        """Tags, and the commit ids they stand for."""
        return {name: commit.oid for name, commit in self.repos[repo].tags.items()}

    def calls(self, route: str) -> int:
        """How many requests came for a route."""
        return sum(ask.route == route for ask in self.requests)

    def create(self, repo: str, *, private: bool = False) -> None:
        """A new repository, with the first commit that the Hub makes."""
        first = {path: Blob(content, lfs=False) for path, content in FIRST_FILE.items()}
        self.repos[repo] = Repo(private, Commit("initial commit", None, first))

    def push(self, repo: str, files: Mapping[str, bytes], title: str = "somebody else") -> str:
        """A commit by somebody else, on top of `main`."""
        added = {path: Blob(content, is_large(path)) for path, content in files.items()}
        return self._advance(self.repos[repo], title, {**self.repos[repo].head.files, **added}).oid

    def fail_next(self, route: str, *, status: int | None = None, landed: bool = False, message: str = "no") -> None:
        """The next request for `route` fails: with a status, or by a connection closed without a reply."""
        self._faults[route].append(Fault(status, landed, message))

    def before_next(self, route: str, action: Callable[[], object]) -> None:
        """Something happens on the server just before the next request for `route` is answered."""
        self._before[route].append(action)

    # The protocol.

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """The reply to a request; None closes the connection."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        for route, methods, pattern, handler, needs in ROUTES:
            if method in methods.split() and (match := pattern.fullmatch(path)):
                part = {name: unquote(text) for name, text in match.groupdict(default="").items()}
                ask = Ask(route, method, target, part, query, headers, body)
                return self._guarded(ask, handler, needs)
        self.requests.append(Ask("unknown", method, target))
        return self._refusal(Refused(404, "Not found"), method)

    def _guarded(self, ask: Ask, handler: Callable[[HubServer, Ask], Reply], needs: str) -> Reply | None:
        with self._lock:
            self.requests.append(ask)
            while self._before[ask.route]:
                self._before[ask.route].popleft()()
            fault = self._faults[ask.route].popleft() if self._faults[ask.route] else None
            try:
                self._authorise(ask, needs)
                if fault is None or fault.landed:
                    reply = handler(self, ask)
                if fault and fault.status:
                    raise Refused(fault.status, fault.message)
            except Refused as refused:
                return self._refusal(refused, ask.method)
            return None if fault else reply

    def _refusal(self, refused: Refused, method: str) -> Reply:
        said = {"X-Error-Message": str(refused)} | ({"X-Error-Code": refused.code} if refused.code else {})
        body = b"" if method == "HEAD" else json.dumps({"error": str(refused)}).encode()
        return Reply(refused.status, body, {"Content-Type": "application/json", **said})

    def _authorise(self, ask: Ask, needs: str) -> None:
        held = ask.headers.get("Authorization", "").removeprefix("Bearer ")
        if needs == "xet":
            if held != XET_TOKEN:
                raise Refused(401, "not a xet token")
            return
        if held and held != self.token:
            raise Refused(401, "Invalid credentials in Authorization header")
        if needs == "write" and not held:
            raise Refused(401, "Invalid username or password.")
        repo = self.repos.get(ask.part.get("repo", ""))
        if repo and repo.private and not held:
            raise Refused(401, "Repository not found", "RepoNotFound")

    def _repo(self, ask: Ask) -> Repo:
        if ask.part["repo"] not in self.repos:
            raise Refused(404, "Repository not found", "RepoNotFound")
        return self.repos[ask.part["repo"]]

    def _advance(self, repo: Repo, title: str, files: Mapping[str, Blob]) -> Commit:
        repo.head = Commit(title, repo.head, dict(sorted(files.items())))
        return repo.head

    def create_repo(self, ask: Ask) -> Reply:
        """POST /api/repos/create."""
        said = ask.json()
        name = f"{said['organization']}/{said['name']}"
        url = {"url": f"{self.url}/datasets/{name}"}
        if name in self.repos:
            return _json(url | {"error": "You already created this dataset repo"}, 409)
        self.create(name, private=said.get("visibility") == "private" or said.get("private", False))
        return _json(url)

    def validate_yaml(self, ask: Ask) -> Reply:
        """POST /api/validate-yaml: the head of the README must be a mapping."""
        head = re.match(r"---\n(.*?)\n---", ask.json()["content"], re.DOTALL)
        try:
            valid = isinstance(yaml.safe_load(head[1]) if head else {}, dict)
        except yaml.YAMLError:
            valid = False
        errors = [] if valid else [{"message": "YAML is not a mapping"}]
        return _json({"errors": errors, "warnings": []}, 200 if valid else 400)

    def who(self, _: Ask) -> Reply:
        """GET /api/whoami-v2."""
        return _json({"type": "user", "name": "tester", "fullname": "Tester", "orgs": []})

    def info(self, ask: Ask) -> Reply:
        """GET /api/datasets/{repo}, perhaps at a revision."""
        repo = self._repo(ask)
        commit = repo.at(ask.part["revision"] or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        said = {"id": ask.part["repo"], "sha": commit.oid, "private": repo.private, "siblings": siblings, "tags": []}
        return _json(said | {"lastModified": DATE, "createdAt": DATE, "gated": False, "disabled": False})

    def refs(self, ask: Ask) -> Reply:
        """GET …/refs."""
        repo = self._repo(ask)
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.oid}]
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": commit.oid} for n, commit in repo.tags.items()]
        return _json({"branches": branches, "tags": tags, "converts": []})

    def commits(self, ask: Ask) -> Reply:
        """GET …/commits/{revision}."""
        commit: Commit | None = self._repo(ask).at(ask.part["revision"])
        said = []
        while commit:
            said.append({"id": commit.oid, "title": commit.title, "message": "", "date": DATE, "authors": []})
            commit = commit.parent
        return _json(said)

    def tree(self, ask: Ask) -> Reply:
        """GET …/tree/{revision}/{path}: files and folders, of one level or of all below."""
        files = self._repo(ask).at(ask.part["revision"]).files
        top = ask.part["path"].strip("/")
        below = {path: blob for path, blob in files.items() if path.startswith(f"{top}/" if top else "")}
        if top and not below:
            raise Refused(404, f"{top} does not exist", "EntryNotFound")
        folders = {"/".join(path.split("/")[:n]) for path in below for n in range(1, path.count("/") + 1)}
        entries = [self._folder(path) for path in sorted(folders) if len(path) > len(top)]
        entries += [blob.described(path) for path, blob in below.items()]
        deep = ask.query.get("recursive", [""])[0].lower() in {"true", "1"}
        level = top.count("/") + 1 if top else 0
        return _json([entry for entry in entries if deep or entry["path"].count("/") == level])

    @staticmethod
    def _folder(path: str) -> dict[str, Any]:
        return {"type": "directory", "path": path, "oid": Blob(path.encode(), lfs=False).oid, "size": 0}

    def paths_info(self, ask: Ask) -> Reply:
        """POST …/paths-info/{revision}: those of the paths that exist."""
        files = self._repo(ask).at(ask.part["revision"]).files
        asked = [path.strip("/") for path in parse_qs(ask.body.decode()).get("paths", [])]
        known = [files[path].described(path) for path in asked if path in files]
        return _json(known + [self._folder(p) for p in asked if any(f.startswith(f"{p}/") for f in files)])

    def preupload(self, ask: Ask) -> Reply:
        """POST …/preupload/{revision}: which files go where, and what is there already."""
        files = self._repo(ask).at(ask.part["revision"]).files
        modes = []
        for each in ask.json()["files"]:
            path = each["path"]
            mode = {"path": path, "uploadMode": "lfs" if is_large(path) else "regular", "shouldIgnore": False}
            modes.append(mode | ({"oid": files[path].etag} if path in files else {}))
        return _json({"files": modes})

    def commit(self, ask: Ask) -> Reply:
        """POST …/commit/main: all of it or nothing, on the parent that the client saw."""
        repo = self._repo(ask)
        lines = [json.loads(line) for line in ask.body.splitlines()]
        head = lines[0]["value"]
        if head.get("parentCommit", repo.head.oid) != repo.head.oid:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repo.head.files)
        for line in lines[1:]:
            self._apply(line["key"], line["value"], files)
        made = self._advance(repo, head["summary"], files)
        url = f"{self.url}/datasets/{ask.part['repo']}/commit/{made.oid}"
        return _json({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})

    def _apply(self, kind: str, value: Mapping[str, str], files: dict[str, Blob]) -> None:
        path = value["path"]
        if kind == "file":
            files[path] = Blob(base64.b64decode(value["content"]), lfs=False)
        elif kind == "lfsFile":
            if value["oid"] not in self._objects:
                raise Refused(400, f"{path}: no such object was uploaded")
            files[path] = Blob(self._objects[value["oid"]], lfs=True)
        elif path in files and kind == "deletedFile":
            del files[path]
        else:
            raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")

    def tag(self, ask: Ask) -> Reply:
        """POST …/tag/{revision}: a tag never moves."""
        repo, name = self._repo(ask), ask.json()["tag"]
        if name in repo.tags:
            raise Refused(409, f"Tag reference exists already: {name}")
        repo.tags[name] = repo.at(ask.part["revision"])
        return _json({"name": name})

    def lfs_batch(self, ask: Ask) -> Reply:
        """POST …/info/lfs/objects/batch: where to put what is not stored yet."""
        objects = [self._wanted(each) for each in ask.json()["objects"]]
        return _json({"transfer": "basic", "objects": objects})

    def _wanted(self, each: dict[str, Any]) -> dict[str, Any]:
        if each["oid"] in self._objects:
            return each
        put = {"href": f"{self.url}/lfs/{each['oid']}"}
        return each | {"actions": {"upload": put, "verify": {"href": f"{put['href']}/verify"}}}

    def lfs_put(self, ask: Ask) -> Reply:
        """PUT /lfs/{sha256}."""
        return self._store(ask.part["sha256"], ask.body)

    def _store(self, sha256: str, content: bytes) -> Reply:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Refused(400, "the content does not have this SHA-256")
        self._objects[sha256] = content
        return _json({})

    def lfs_verify(self, ask: Ask) -> Reply:
        """POST /lfs/{sha256}/verify."""
        return _json({}, 200 if len(self._objects.get(ask.part["sha256"], b"")) == ask.json()["size"] else 404)

    def xet_token(self, ask: Ask) -> Reply:
        """GET …/xet-write-token/{revision}: hf_xet reads the body, huggingface_hub the headers."""
        self._repo(ask)
        url, expires = f"{self.url}/{self._cas}", int(time.time()) + 3600
        said = {"X-Xet-Cas-Url": url, "X-Xet-Token-Expiration": str(expires), "X-Xet-Access-Token": XET_TOKEN}
        return _json({"casUrl": url, "exp": expires, "accessToken": XET_TOKEN}, 200, **said)

    def xorb(self, ask: Ask) -> Reply:
        """POST /cas-…/v1/xorbs/default/{hash}: a pack of chunks."""
        new = ask.part["hash"] not in self._xorbs
        self._xorbs[ask.part["hash"]] = list(_chunks_of_xorb(ask.body))
        return _json({"was_inserted": new})

    def shard(self, ask: Ask) -> Reply:
        """POST /cas-…/v1/shards: which chunks make which file; the files are there from now on."""
        for sha256, terms in _files_of_shard(ask.body):
            self._store(sha256, b"".join(b"".join(self._xorbs[xorb][start:end]) for xorb, start, end in terms))
        return _json({"result": 1})

    def resolve(self, ask: Ask) -> Reply:
        """GET or HEAD …/resolve/{revision}/{path}, perhaps a range of it."""
        commit = self._repo(ask).at(ask.part["revision"])
        headers = {"X-Repo-Commit": commit.oid}
        if ask.part["path"] not in commit.files:
            refusal = self._refusal(Refused(404, "Entry not found", "EntryNotFound"), ask.method)
            return refusal._replace(headers={**refusal.headers, **headers})
        blob = commit.files[ask.part["path"]]
        headers |= {"ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if blob.lfs:
            headers |= {"X-Linked-Size": str(len(blob.content)), "X-Linked-ETag": f'"{blob.etag}"'}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", ask.headers.get("Range", ""))
        if not wanted:
            return Reply(200, blob.content, headers)
        return self._ranged(blob.content, wanted[1], wanted[2], headers)

    @staticmethod
    def _ranged(content: bytes, first: str, last: str, headers: Mapping[str, str]) -> Reply:
        size = len(content)
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if start > end:
            return Reply(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
        return Reply(206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{size}"})


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: else every reply waits for a delayed acknowledgement
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server_hub.connections.add(self.connection)

    def finish(self) -> None:
        self.server_hub.connections.discard(self.connection)
        super().finish()

    def _any(self) -> None:
        reply = self.server_hub.answer(self.command, self.path, self.headers, self._body())  # type: ignore[arg-type]
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_HEAD = do_POST = do_PUT = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing: tests read `HubServer.requests`."""


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_API = rf"/api/datasets/{_REPO}"
_AT = r"/(?P<revision>[^/]+)"

# Name, methods, path, handler, and who may: everybody, the owner of the token, or the holder of a xet token.
ROUTES: list[tuple[str, str, re.Pattern[str], Callable[[HubServer, Ask], Reply], str]] = [
    (name, methods, re.compile(path), handler, needs)
    for name, methods, path, handler, needs in (
        ("create", "POST", r"/api/repos/create", HubServer.create_repo, "write"),
        ("validate", "POST", r"/api/validate-yaml", HubServer.validate_yaml, "read"),
        ("whoami", "GET", r"/api/whoami-v2", HubServer.who, "write"),
        ("info", "GET", rf"{_API}(?:/revision{_AT})?", HubServer.info, "read"),
        ("refs", "GET", rf"{_API}/refs", HubServer.refs, "read"),
        ("commits", "GET", rf"{_API}/commits{_AT}", HubServer.commits, "read"),
        ("tree", "GET", rf"{_API}/tree{_AT}(?P<path>/.*)?", HubServer.tree, "read"),
        ("paths", "POST", rf"{_API}/paths-info{_AT}", HubServer.paths_info, "read"),
        ("preupload", "POST", rf"{_API}/preupload{_AT}", HubServer.preupload, "write"),
        ("commit", "POST", rf"{_API}/commit{_AT}", HubServer.commit, "write"),
        ("tag", "POST", rf"{_API}/tag{_AT}", HubServer.tag, "write"),
        ("lfs", "POST", rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", HubServer.lfs_batch, "write"),
        ("put", "PUT", r"/lfs/(?P<sha256>\w+)", HubServer.lfs_put, "read"),
        ("verify", "POST", r"/lfs/(?P<sha256>\w+)/verify", HubServer.lfs_verify, "write"),
        ("xet", "GET", rf"{_API}/xet-write-token{_AT}", HubServer.xet_token, "write"),
        ("xorb", "POST", r"/cas-\w+/v1/xorbs/default/(?P<hash>\w+)", HubServer.xorb, "xet"),
        ("shard", "POST", r"/cas-\w+/v1/shards", HubServer.shard, "xet"),
        ("resolve", "GET HEAD", rf"/datasets/{_REPO}/resolve{_AT}/(?P<path>.+)", HubServer.resolve, "read"),
    )
]
