"""CLI: how a command reaches the running centre: over HTTP, with a key, problems as errors.

The administrator's key file is used only for a centre on this machine.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from openaoc.channels.signer import Signer, read_signing_key
from openaoc.kernel.clock import SystemClock
from openaoc.kernel.errors import BadInput, NotSignedIn, OpenAOCError, Unavailable
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.settings import DEFAULT_PORT, load_settings

URL_VARIABLE: Final = "OPENAOC_URL"
KEY_VARIABLE: Final = "OPENAOC_API_KEY"
SIGNING_VARIABLE: Final = "OPENAOC_SIGNING_KEY"
KEY_FILE: Final = "administrator.key"
CONNECT_SECONDS_MAX: Final = 5.0
ANSWER_SECONDS_MAX: Final = 120.0
ATTEMPTS_MAX: Final = 4
PAGES_MAX: Final = 500


class FromCentre(OpenAOCError):
    """The centre refused."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        title = str(problem.get("title") or f"HTTP {status}")
        detail = str(problem.get("detail") or title)
        faults, self.rows = problem.get("errors") or [], problem.get("rows") or []
        if faults and not problem.get("detail"):
            detail = "; ".join(f"{f.get('path')}: {f.get('reason')}" for f in faults)
        elif not faults and not self.rows and detail != title:
            # A place says what is wrong by itself; anything else may be a mere number.
            detail = f"{title}: {detail}"
        super().__init__(detail)
        self.status = status
        self.problem_code = str(problem.get("code") or "")

    @property
    def code(self) -> str:
        """The centre's own name for the error."""
        return self.problem_code or super().code


def centre_url() -> str:
    """Where the centre is: OPENAOC_URL or this folder's settings."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        if urlsplit(url).scheme not in ("http", "https"):
            raise BadInput("must begin with http:// or https://", where=URL_VARIABLE)
        return url.rstrip("/")
    try:
        return load_settings().base_url
    except OpenAOCError:
        return f"http://127.0.0.1:{DEFAULT_PORT}"


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def api_key(url: str) -> str:
    """OPENAOC_API_KEY, else the key file of the centre on this machine. Raises NotSignedIn."""
    key = os.environ.get(KEY_VARIABLE)
    if key:
        return key.strip()
    if _is_here(url):
        path = Path(load_settings().data_dir) / KEY_FILE
        try:
            return path.read_text("ascii").strip()
        except FileNotFoundError:
            raise NotSignedIn(f"set {KEY_VARIABLE}; there is no {path}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise NotSignedIn(f"set {KEY_VARIABLE}; cannot read {path}") from error
    raise NotSignedIn(f"set {KEY_VARIABLE}")


def signer() -> Signer | None:
    """What signs as an institution: the key pair in the file of OPENAOC_SIGNING_KEY, if any."""
    path = os.environ.get(SIGNING_VARIABLE)
    return Signer(read_signing_key(Path(path)), clock=SystemClock()) if path else None


class CentreClient:
    """Requests to one centre. Creating requests carry one Idempotency-Key over all attempts."""

    def __init__(self, url: str | None = None, key: str | None = None) -> None:
        self.url = url or centre_url()
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key or api_key(self.url)}"},
            timeout=httpx.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            trust_env=not _is_here(self.url),
        )
        self._signer = signer()

    def get(self, path: str, **query: str | int | list[str] | None) -> Any:
        """The decoded answer."""
        params = {name: value for name, value in query.items() if value is not None}
        return self._send("GET", path, params=params)

    def download(self, path: str, **query: str | None) -> bytes:
        """The answer's bytes as they are."""
        params = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path, params=params).content

    def download_with_headers(
        self, path: str, **query: str | None
    ) -> tuple[bytes, Mapping[str, str]]:
        """As `download`, with the answer's headers."""
        params = {name: value for name, value in query.items() if value is not None}
        answer = self._ask("GET", path, params=params)
        return answer.content, answer.headers

    def post(
        self,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The decoded answer to a POST; `body` is a struct or plain values, `content` raw bytes."""
        data = content if content is not None else msgspec.json.encode(body or {})
        named = {"Content-Type": content_type, "Idempotency-Key": secrets.token_hex(16)}
        named |= headers or {}
        return self._send("POST", path, content=data, headers=named, params=query or {})

    def put(self, path: str, body: object) -> Any:
        """The decoded answer to a PUT."""
        headers = {"Content-Type": "application/json"}
        return self._send("PUT", path, content=msgspec.json.encode(body), headers=headers)

    def delete(self, path: str) -> Any:
        """The decoded answer to a DELETE."""
        return self._send("DELETE", path)

    def pages(self, path: str, field: str, *, limit: int, **query: str | None) -> list[Any]:
        """The items under `field` of as many pages as give `limit` items."""
        items: list[Any] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = self.get(path, cursor=cursor, limit=str(min(limit, PAGE_MAX)), **query)
            items += page[field]
            cursor = page.get("cursor")
            if cursor is None or len(items) >= limit:
                break
        return items[:limit]

    def _send(self, method: str, path: str, **parts: Any) -> Any:
        """The decoded answer."""
        response = self._ask(method, path, **parts)
        return msgspec.json.decode(response.content) if response.content else None

    def _ask(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """Try again when the centre is busy or was restarted: every request may be repeated."""
        if path.endswith("/") or "//" in path:
            raise BadInput("a number or name is empty")  # else it would be another route
        for attempt in range(1, ATTEMPTS_MAX + 1):
            request = self._client.build_request(method, path, **parts)
            if self._signer is not None:
                target = request.url.raw_path.decode("ascii")
                signed = self._signer.headers(request.content, path=target, method=method)
                request.headers.update(signed)
            try:
                response = self._client.send(request)
            except httpx.TransportError as error:
                failure: OpenAOCError = Unavailable(
                    f"no centre answers ({type(error).__name__})", where=self.url
                )
                if isinstance(error, httpx.ConnectError):
                    raise failure from error
            else:
                if response.is_success:
                    return response
                failure = _failure(response)
                if response.status_code not in (429, 503):
                    raise failure
            if attempt < ATTEMPTS_MAX:
                time.sleep(0.2 * 2**attempt)
        raise failure


def _failure(response: httpx.Response) -> FromCentre:
    try:
        problem = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        problem = {"title": f"HTTP {response.status_code}"}
    return FromCentre(response.status_code, problem)
