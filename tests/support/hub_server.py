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
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.support.hub_messages import HttpResponse, HubError, HubRequest, json_reply
from tests.support.hub_repository import (
    Blob,
    Commit,
    Repo,
    chunks_of_xorb,
    files_of_shard,
    is_large,
)

FIRST_FILE = {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}
XET_TOKEN = "xet_token"  # noqa: S105  (opens nothing but this server)
DATE = "2026-01-01T00:00:00.000Z"


class Fault(NamedTuple):
    """How a request goes wrong; without a status the connection is closed without a reply."""

    status: int | None
    landed: bool
    message: str


class HubServer:
    """A Hub with one user, whose token may write everywhere; anybody may read what is public."""

    def __init__(self, token: str = "hf_test") -> None:  # noqa: S107  (opens nothing but this server)
        self.token = token
        self.repos: dict[str, Repo] = {}
        self.requests: list[HubRequest] = []
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

    # What tests call.

    def snapshot(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """Every file of a revision."""
        return {path: blob.content for path, blob in self.repos[repo].at(revision).files.items()}

    def history(self, repo: str) -> list[str]:
        """Commit ids of `main`, newest first."""
        return [commit.oid for commit in self.repos[repo].history()]

    def tags(self, repo: str) -> dict[str, str]:
        """The commit id of each tag."""
        return {name: commit.oid for name, commit in self.repos[repo].tags.items()}

    def calls(self, route: str) -> int:
        """How many requests came for a route."""
        return sum(request.route == route for request in self.requests)

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

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> HttpResponse | None:
        """The reply to a request; None closes the connection."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        for route, methods, pattern, handler, needs in ROUTES:
            if method in methods.split() and (match := pattern.fullmatch(path)):
                part = {name: unquote(text) for name, text in match.groupdict(default="").items()}
                request = HubRequest(route, method, target, part, query, headers, body)
                return self._guarded(request, handler, needs)
        self.requests.append(HubRequest("unknown", method, target))
        return self._refusal(HubError(404, "Not found"), method)

    def _guarded(
        self, request: HubRequest, handler: Callable[[HubServer, HubRequest], HttpResponse], needs: str
    ) -> HttpResponse | None:
        with self._lock:
            self.requests.append(request)
            while self._before[request.route]:
                self._before[request.route].popleft()()
            fault = self._faults[request.route].popleft() if self._faults[request.route] else None
            try:
                self._authorise(request, needs)
                if fault is None or fault.landed:
                    reply = handler(self, request)
                if fault and fault.status:
                    raise HubError(fault.status, fault.message)
            except HubError as error:
                return self._refusal(error, request.method)
            return None if fault else reply

    def _refusal(self, error: HubError, method: str) -> HttpResponse:
        headers = {"X-Error-Message": str(error)} | ({"X-Error-Code": error.code} if error.code else {})
        body = b"" if method == "HEAD" else json.dumps({"error": str(error)}).encode()
        return HttpResponse(error.status, body, {"Content-Type": "application/json", **headers})

    def _authorise(self, request: HubRequest, needs: str) -> None:
        held = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if needs == "xet":
            if held != XET_TOKEN:
                raise HubError(401, "not a xet token")
            return
        if held and held != self.token:
            raise HubError(401, "Invalid credentials in Authorization header")
        if needs == "write" and not held:
            raise HubError(401, "Invalid username or password.")
        repo = self.repos.get(request.part.get("repo", ""))
        if repo and repo.private and not held:
            raise HubError(401, "Repository not found", "RepoNotFound")

    def _repo(self, request: HubRequest) -> Repo:
        if request.part["repo"] not in self.repos:
            raise HubError(404, "Repository not found", "RepoNotFound")
        return self.repos[request.part["repo"]]

    def _advance(self, repo: Repo, title: str, files: Mapping[str, Blob]) -> Commit:
        repo.head = Commit(title, repo.head, dict(sorted(files.items())))
        return repo.head

    def create_repo(self, request: HubRequest) -> HttpResponse:
        """POST /api/repos/create."""
        body = request.json()
        name = f"{body['organization']}/{body['name']}"
        url = {"url": f"{self.url}/datasets/{name}"}
        if name in self.repos:
            return json_reply(url | {"error": "You already created this dataset repo"}, 409)
        self.create(name, private=body.get("visibility") == "private" or body.get("private", False))
        return json_reply(url)

    def validate_yaml(self, request: HubRequest) -> HttpResponse:
        """POST /api/validate-yaml: the head of the README must be a mapping."""
        head = re.match(r"---\n(.*?)\n---", request.json()["content"], re.DOTALL)
        try:
            valid = isinstance(yaml.safe_load(head[1]) if head else {}, dict)
        except yaml.YAMLError:
            valid = False
        errors = [] if valid else [{"message": "YAML is not a mapping"}]
        return json_reply({"errors": errors, "warnings": []}, 200 if valid else 400)

    def who(self, _: HubRequest) -> HttpResponse:
        """GET /api/whoami-v2."""
        return json_reply({"type": "user", "name": "tester", "fullname": "Tester", "orgs": []})

    def info(self, request: HubRequest) -> HttpResponse:
        """GET /api/datasets/{repo}, perhaps at a revision."""
        repo = self._repo(request)
        commit = repo.at(request.part["revision"] or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        body = {
            "id": request.part["repo"],
            "sha": commit.oid,
            "private": repo.private,
            "siblings": siblings,
            "tags": [],
        }
        return json_reply(body | {"lastModified": DATE, "createdAt": DATE, "gated": False, "disabled": False})

    def refs(self, request: HubRequest) -> HttpResponse:
        """GET …/refs."""
        repo = self._repo(request)
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.oid}]
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": commit.oid} for n, commit in repo.tags.items()]
        return json_reply({"branches": branches, "tags": tags, "converts": []})

    def commits(self, request: HubRequest) -> HttpResponse:
        """GET …/commits/{revision}."""
        commit: Commit | None = self._repo(request).at(request.part["revision"])
        body = []
        while commit:
            body.append({"id": commit.oid, "title": commit.title, "message": "", "date": DATE, "authors": []})
            commit = commit.parent
        return json_reply(body)

    def tree(self, request: HubRequest) -> HttpResponse:
        """GET …/tree/{revision}/{path}: files and folders, of one level or of all below."""
        files = self._repo(request).at(request.part["revision"]).files
        top = request.part["path"].strip("/")
        below = {path: blob for path, blob in files.items() if path.startswith(f"{top}/" if top else "")}
        if top and not below:
            raise HubError(404, f"{top} does not exist", "EntryNotFound")
        folders = {"/".join(path.split("/")[:n]) for path in below for n in range(1, path.count("/") + 1)}
        entries = [self._folder(path) for path in sorted(folders) if len(path) > len(top)]
        entries += [blob.described(path) for path, blob in below.items()]
        deep = request.query.get("recursive", [""])[0].lower() in {"true", "1"}
        level = top.count("/") + 1 if top else 0
        return json_reply([entry for entry in entries if deep or entry["path"].count("/") == level])

    @staticmethod
    def _folder(path: str) -> dict[str, Any]:
        return {"type": "directory", "path": path, "oid": Blob(path.encode(), lfs=False).oid, "size": 0}

    def paths_info(self, request: HubRequest) -> HttpResponse:
        """POST …/paths-info/{revision}: those of the paths that exist."""
        files = self._repo(request).at(request.part["revision"]).files
        asked = [path.strip("/") for path in parse_qs(request.body.decode()).get("paths", [])]
        known = [files[path].described(path) for path in asked if path in files]
        return json_reply(known + [self._folder(p) for p in asked if any(f.startswith(f"{p}/") for f in files)])

    def preupload(self, request: HubRequest) -> HttpResponse:
        """POST …/preupload/{revision}: which files go where, and what is there already."""
        files = self._repo(request).at(request.part["revision"]).files
        modes = []
        for each in request.json()["files"]:
            path = each["path"]
            mode = {"path": path, "uploadMode": "lfs" if is_large(path) else "regular", "shouldIgnore": False}
            modes.append(mode | ({"oid": files[path].etag} if path in files else {}))
        return json_reply({"files": modes})

    def commit(self, request: HubRequest) -> HttpResponse:
        """POST …/commit/main: all of it or nothing, on the parent that the client saw."""
        repo = self._repo(request)
        lines = [json.loads(line) for line in request.body.splitlines()]
        head = lines[0]["value"]
        if head.get("parentCommit", repo.head.oid) != repo.head.oid:
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repo.head.files)
        for line in lines[1:]:
            self._apply(line["key"], line["value"], files)
        commit = self._advance(repo, head["summary"], files)
        url = f"{self.url}/datasets/{request.part['repo']}/commit/{commit.oid}"
        return json_reply({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    def _apply(self, kind: str, value: Mapping[str, str], files: dict[str, Blob]) -> None:
        path = value["path"]
        if kind == "file":
            files[path] = Blob(base64.b64decode(value["content"]), lfs=False)
        elif kind == "lfsFile":
            if value["oid"] not in self._objects:
                raise HubError(400, f"{path}: no such object was uploaded")
            files[path] = Blob(self._objects[value["oid"]], lfs=True)
        elif path in files and kind == "deletedFile":
            del files[path]
        else:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")

    def tag(self, request: HubRequest) -> HttpResponse:
        """POST …/tag/{revision}: a tag never moves."""
        repo, name = self._repo(request), request.json()["tag"]
        if name in repo.tags:
            raise HubError(409, f"Tag reference exists already: {name}")
        repo.tags[name] = repo.at(request.part["revision"])
        return json_reply({"name": name})

    def lfs_batch(self, request: HubRequest) -> HttpResponse:
        """POST …/info/lfs/objects/batch: where to put what is not stored yet."""
        objects = [self._wanted(each) for each in request.json()["objects"]]
        return json_reply({"transfer": "basic", "objects": objects})

    def _wanted(self, each: dict[str, Any]) -> dict[str, Any]:
        if each["oid"] in self._objects:
            return each
        put = {"href": f"{self.url}/lfs/{each['oid']}"}
        return each | {"actions": {"upload": put, "verify": {"href": f"{put['href']}/verify"}}}

    def lfs_put(self, request: HubRequest) -> HttpResponse:
        """PUT /lfs/{sha256}."""
        return self._store(request.part["sha256"], request.body)

    def _store(self, sha256: str, content: bytes) -> HttpResponse:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise HubError(400, "the content does not have this SHA-256")
        self._objects[sha256] = content
        return json_reply({})

    def lfs_verify(self, request: HubRequest) -> HttpResponse:
        """POST /lfs/{sha256}/verify."""
        return json_reply(
            {}, 200 if len(self._objects.get(request.part["sha256"], b"")) == request.json()["size"] else 404
        )

    def xet_token(self, request: HubRequest) -> HttpResponse:
        """GET …/xet-write-token/{revision}: hf_xet reads the body, huggingface_hub the headers."""
        self._repo(request)
        url, expires = f"{self.url}/{self._cas}", int(time.time()) + 3600
        body = {"X-Xet-Cas-Url": url, "X-Xet-Token-Expiration": str(expires), "X-Xet-Access-Token": XET_TOKEN}
        return json_reply({"casUrl": url, "exp": expires, "accessToken": XET_TOKEN}, 200, **body)

    def xorb(self, request: HubRequest) -> HttpResponse:
        """POST /cas-…/v1/xorbs/default/{hash}: a pack of chunks."""
        new = request.part["hash"] not in self._xorbs
        self._xorbs[request.part["hash"]] = list(chunks_of_xorb(request.body))
        return json_reply({"was_inserted": new})

    def shard(self, request: HubRequest) -> HttpResponse:
        """POST /cas-…/v1/shards: which chunks make which file; the files are there from now on."""
        for sha256, terms in files_of_shard(request.body):
            self._store(sha256, b"".join(b"".join(self._xorbs[xorb][start:end]) for xorb, start, end in terms))
        return json_reply({"result": 1})

    def resolve(self, request: HubRequest) -> HttpResponse:
        """GET or HEAD …/resolve/{revision}/{path}, perhaps a range of it."""
        commit = self._repo(request).at(request.part["revision"])
        headers = {"X-Repo-Commit": commit.oid}
        if request.part["path"] not in commit.files:
            refusal = self._refusal(HubError(404, "Entry not found", "EntryNotFound"), request.method)
            return refusal._replace(headers={**refusal.headers, **headers})
        blob = commit.files[request.part["path"]]
        headers |= {"ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if blob.lfs:
            headers |= {"X-Linked-Size": str(len(blob.content)), "X-Linked-ETag": f'"{blob.etag}"'}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
        if not wanted:
            return HttpResponse(200, blob.content, headers)
        return self._ranged(blob.content, wanted[1], wanted[2], headers)

    @staticmethod
    def _ranged(content: bytes, first: str, last: str, headers: Mapping[str, str]) -> HttpResponse:
        size = len(content)
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if start > end:
            return HttpResponse(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
        return HttpResponse(206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{size}"})


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
ROUTES: list[tuple[str, str, re.Pattern[str], Callable[[HubServer, HubRequest], HttpResponse], str]] = [
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
