"""Bench: objects written, read in full and by the page over TAXII 2.1, beside OpenTAXII.

A real centre process, one client, the same objects in the same envelopes. Measures nothing but this
machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from openaoc.bench.taxii_peers import OpenTaxii
from openaoc.bench.taxii_setup import Written, indicators, prepare
from openaoc.exchange.taxii.model import MEDIA_TYPE
from openaoc.kernel.errors import Unavailable

ENVELOPE_OBJECTS: Final = 1_000
PAGE: Final = 100
PAGES_MEASURED: Final = 60
PAGES_MIN: Final = 3
PAGES_SECONDS_MAX: Final = 45.0
"""Past so many seconds no further page is measured: the peer reads all for each."""
REPLY_SECONDS_MAX: Final = 600.0
_SMALL: Final = "SMALL"
_LARGE: Final = "LARGE"


def run(*, objects: int = 20_000, large: int = 1_000_000, peer: str = "") -> dict[str, Any]:
    """Objects a second written and read in full, and milliseconds for a page of 100.

    `page_large_ms`: the same page of a collection of `large` objects. `peer`: where OpenTAXII is
    installed, or `install` to put it into an environment of its own.
    """
    home = Path(tempfile.mkdtemp(prefix="openaoc-bench-"))
    serve: subprocess.Popen[bytes] | None = None
    other: OpenTaxii | None = None
    try:
        made = prepare(home, partners=(_SMALL, _LARGE), large=large)
        serve, url = _serve(home)
        ours = _measure(_client(url, made[_SMALL]), objects)
        ours["page_large_ms"] = _pages(_client(url, made[_LARGE]), page_from=large // 2)
        ours["page_large_by_page_small"] = round(ours["page_large_ms"] / ours["page_ms"], 2)
        if not peer:
            return {"cpus": os.cpu_count() or 0, "objects": objects, "large": large, **ours}
        _end(serve)
        serve = None
        try:
            other = OpenTaxii(home / "peer", where=peer)
            theirs = _measure(_open(other.start()), objects)
        except (Unavailable, httpx.HTTPError, OSError) as error:
            return {"objects": objects, "large": large, **ours, "without_peer": str(error)[:300]}
        return {
            "cpus": os.cpu_count() or 0,
            "objects": objects,
            "large": large,
            "openaoc": ours,
            "opentaxii": theirs,
            "written_times": round(ours["written_per_s"] / theirs["written_per_s"], 1),
            "read_times": round(ours["read_per_s"] / theirs["read_per_s"], 1),
            "page_times": float(f"{ours['page_ms'] / theirs['page_ms']:.2g}"),
        }
    finally:
        if other is not None:
            other.stop()
        if serve is not None:
            _end(serve)
        shutil.rmtree(home, ignore_errors=True)


def _serve(home: Path) -> tuple[subprocess.Popen[bytes], str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAOC_")}
    environment["OPENAOC_DATA_DIR"] = str(home / "data")
    environment["OPENAOC_LEDGER_ROWS_MAX"] = "1000000"
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "openaoc", "serve", "--port", "0", "--json", "--log-level",
             "error"],
            stdout=subprocess.PIPE, stderr=log, env=environment, cwd=home,
        )  # fmt: skip
    assert process.stdout is not None, "asked for"
    document = b""
    while not document.endswith(b"}\n"):
        line = process.stdout.readline()
        if not line:
            raise Unavailable((home / "serve.log").read_text("utf-8")[-500:])
        document += line
    return process, str(json.loads(document)["url"])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _client(url: str, written: Written) -> httpx.Client:
    place = f"{url}/taxii2/centre/collections/{written.collection}/objects/"
    return _open(place, auth=("analyst", written.key))


def _open(place: str, *, auth: tuple[str, str] | None = None) -> httpx.Client:
    return httpx.Client(
        base_url=place,
        auth=auth,
        headers={"Accept": MEDIA_TYPE},
        timeout=REPLY_SECONDS_MAX,
        trust_env=False,
    )


def _measure(client: httpx.Client, objects: int) -> dict[str, Any]:
    written = _write(client, objects)
    found, read = _read(client)
    return {
        "written_per_s": round(objects / written, 1),
        "read_per_s": round(found / read, 1),
        "read_objects": found,
        "page_ms": _pages(client, page_from=objects // 2),
    }


def _write(client: httpx.Client, objects: int) -> float:
    """Seconds until the last envelope was acknowledged."""
    envelopes = [
        msgspec.json.encode({"objects": indicators(first, ENVELOPE_OBJECTS)})
        for first in range(0, objects, ENVELOPE_OBJECTS)
    ]
    begun = time.perf_counter()
    for envelope in envelopes:
        answer = client.post("", content=envelope, headers={"Content-Type": MEDIA_TYPE})
        answer.raise_for_status()
    return time.perf_counter() - begun


class _Page(msgspec.Struct, frozen=True):
    objects: list[msgspec.Raw] = []
    more: bool = False
    next: str | None = None


def _page(client: httpx.Client, **query: str) -> _Page:
    answer = client.get("", params=query)
    answer.raise_for_status()
    return msgspec.json.decode(answer.content, type=_Page)


def _read(client: httpx.Client) -> tuple[int, float]:
    """How many objects came, and in how many seconds, in the largest pages the server gives."""
    found, query = 0, {"limit": str(10 * ENVELOPE_OBJECTS)}
    begun = time.perf_counter()
    while True:
        page = _page(client, **query)
        found += len(page.objects)
        if not page.more or page.next is None:
            break
        query["next"] = page.next
    return found, time.perf_counter() - begun


def _pages(client: httpx.Client, *, page_from: int) -> float:
    """Milliseconds for a page in the middle: the median of several."""
    query = {"limit": str(PAGE)}
    position, step = 0, 10 * ENVELOPE_OBJECTS
    while position + step <= page_from and position < 2 * step:
        page = _page(client, **{**query, "limit": str(step)})
        position += step
        query["next"] = page.next or ""
    times: list[float] = []
    for _ in range(PAGES_MEASURED):
        if len(times) >= PAGES_MIN and sum(times) > PAGES_SECONDS_MAX * 1000:
            break
        begun = time.perf_counter()
        page = _page(client, **query)
        times.append((time.perf_counter() - begun) * 1000)
        if len(page.objects) != PAGE or page.next is None:
            break
        query["next"] = page.next
    if len(times) < PAGES_MIN:
        raise Unavailable(f"only {len(times)} whole pages to measure")
    return round(statistics.median(times), 2)
