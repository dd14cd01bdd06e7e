"""Bench: a report received until every hold order is committed and on the wire, at a given rate.

A real centre process, institutions in a process of their own that answer over signed HTTP, reports
sent at fixed moments whether or not earlier ones were answered. Measures nothing but this machine.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from openaoc.bench.http1 import Sender, request
from openaoc.channels.signer import Signer
from openaoc.channels.signing import new_signing_key
from openaoc.kernel.clock import SystemClock, format_time
from openaoc.kernel.errors import Unavailable

BANKS: Final = ("KBANK", "SCB", "BBL", "KTB", "BAY", "TTB")
ORDERS_PER_REPORT: Final = 4
START_SECONDS_MAX: Final = 60.0
DRAIN_SECONDS_MAX: Final = 30.0
CONNECTIONS_MAX: Final = 512
SEND_SECONDS_MAX: Final = 60.0
"""How long the last report may take."""
SATURATED_SHARE: Final = 0.95
"""Below this share of the offered rate the centre does not keep up."""
WIRE_P99_MS_MAX: Final = 2_000.0
"""The goal: past it a rate counts as too high."""


def run(
    *,
    rate: int = 100,
    seconds: int = 20,
    ladder: bool = False,
    singly: bool = False,
    folder: str = "",
) -> dict[str, object]:
    """`rate` reports a second for `seconds`; with `ladder` then twice the rate until it saturates.

    Times in milliseconds from sending the report: `committed` to its 201 (case, trace and orders
    are committed then), `on_wire` to the moment the last of its orders arrived at an institution,
    `held` until the last answer was acknowledged. Institutions answer many orders in one request,
    or with `singly` each order in its own.
    """
    home = Path(tempfile.mkdtemp(prefix="openaoc-bench-", dir=folder or None))
    bench = _Bench(home, singly=singly)
    try:
        bench.start()
        steps = [bench.measure(rate=rate, seconds=seconds)]
        while ladder and _keeps_up(steps[-1]):
            rate *= 2
            steps.append(bench.measure(rate=rate, seconds=seconds))
        kept = [step for step in steps if _keeps_up(step)]
        return {
            "cpus": os.cpu_count() or 0,
            "institutions": len(BANKS),
            **steps[0],
            "highest_rate_kept_per_s": kept[-1]["offered_per_s"] if kept else None,
            "steps": steps[1:],
        }
    finally:
        bench.stop()
        shutil.rmtree(home, ignore_errors=True)


def _keeps_up(step: dict[str, Any]) -> bool:
    enough = step["reports_per_s"] >= SATURATED_SHARE * step["offered_per_s"]
    return bool(enough and step["failed"] == 0 and step["on_wire_p99_ms"] <= WIRE_P99_MS_MAX)


class _Bench:
    """The centre, its institutions and the senders of one measurement."""

    def __init__(self, home: Path, *, singly: bool) -> None:
        self._home = home
        self._singly = singly
        self._clock = SystemClock()
        self._serve: subprocess.Popen[bytes] | None = None
        self._desks: subprocess.Popen[str] | None = None
        self._keys: dict[str, str] = {}
        self._signers: dict[str, Signer] = {}
        self._url = ""
        self._made = 0
        self._expected = 0

    def start(self) -> None:
        """Start both processes, fill in people and institutions, go live."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAOC_")}
        environment["OPENAOC_DATA_DIR"] = str(self._home / "data")
        log = (self._home / "serve.log").open("wb")
        self._serve = subprocess.Popen(
            [sys.executable, "-m", "openaoc", "serve", "--port", "0", "--json", "--log-level",
             "error"],
            stdout=subprocess.PIPE, stderr=log, env=environment, cwd=self._home,
        )  # fmt: skip
        log.close()
        assert self._serve.stdout is not None, "asked for"
        document = b""
        while not document.endswith(b"}\n"):
            line = self._serve.stdout.readline()
            if not line:
                raise Unavailable((self._home / "serve.log").read_text("utf-8")[-500:])
            document += line
        said = json.loads(document)
        self._url = said["url"]
        self._keys["admin"] = Path(said["administrator_key_file"]).read_text("ascii").strip()
        self._people()
        self._institutions()

    def _post(self, who: str, path: str, body: object) -> Any:
        headers = {"Authorization": f"Bearer {self._keys[who]}",
                   "Content-Type": "application/json",
                   "Idempotency-Key": secrets.token_hex(8)}  # fmt: skip
        answer = httpx.post(
            self._url + path, content=msgspec.json.encode(body), headers=headers, timeout=30,
            trust_env=False,
        )  # fmt: skip
        answer.raise_for_status()
        return answer.json()

    def _add_user(self, who: str, role: str, institution: str | None = None) -> None:
        body = {"name": who, "role": role} | ({"institution": institution} if institution else {})
        self._keys[who] = self._post("admin", "/v1/users", body)["api_key"]

    def _people(self) -> None:
        self._add_user("one", "supervisor")
        self._add_user("two", "supervisor")
        for code in BANKS:
            self._post("admin", "/v1/institutions", {"code": code, "name": code})
            self._add_user(code, "machine", code)

    def _institutions(self) -> None:
        desks = {}
        for code in BANKS:
            key = new_signing_key()
            self._post(code, f"/v1/institutions/{code}/keys", key.public())
            self._signers[code] = Signer(key, clock=SystemClock())
            desks[code] = {
                "kid": key.kid, "secret": key.secret_bytes().hex(), "api_key": self._keys[code],
            }  # fmt: skip
        self._desks = subprocess.Popen(
            [sys.executable, "-m", "openaoc.bench.desks"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        ports = self._tell_desks({"centre": self._url, "desks": desks, "singly": self._singly})
        headers = {"Authorization": f"Bearer {self._keys['admin']}"}
        for code, port in ports.items():
            httpx.put(
                f"{self._url}/v1/institutions/{code}/endpoint",
                json={"endpoint": f"http://127.0.0.1:{port}"}, headers=headers, trust_env=False,
            ).raise_for_status()  # fmt: skip
        for scope in ("jurisdiction:TH", *(f"institution:{code}" for code in BANKS)):
            self._post("one", "/v1/live/propose", {"scope": scope})
            self._post("two", "/v1/live/approve", {"scope": scope})

    def _tell_desks(self, document: object) -> Any:
        assert self._desks is not None, "started"
        assert self._desks.stdin is not None, "asked for"
        assert self._desks.stdout is not None, "asked for"
        text = document if isinstance(document, str) else json.dumps(document)
        self._desks.stdin.write(text + "\n")
        self._desks.stdin.flush()
        return json.loads(self._desks.stdout.readline())

    def measure(self, *, rate: int, seconds: int) -> dict[str, Any]:
        """One step of so many reports a second."""
        count = rate * seconds
        prepared = [self._prepared(report) for report in self._ledger(count)]
        host = urlsplit(self._url)
        sender = Sender((host.hostname or "", host.port or 80), connections_max=CONNECTIONS_MAX)
        start = time.monotonic_ns() + 500_000_000
        answers = sender.run(prepared, rate=rate, start_ns=start, wait_seconds=SEND_SECONDS_MAX)
        sent = [start + number * 1_000_000_000 // rate for number in range(count)]
        done = [answers[number][0] if number in answers else 0 for number in range(count)]
        orders: list[list[str]] = [[] for _ in range(count)]
        failures = []
        for number in range(count):
            if number not in answers:
                failures.append("no answer")
            elif answers[number][1].status != HTTPStatus.CREATED:
                failures.append(answers[number][1].body[:200].decode("utf-8", "replace"))
            else:
                receipt = msgspec.json.decode(answers[number][1].body)
                orders[number] = [order["order"] for order in receipt["orders"]]
        times = self._drain(sum(map(len, orders)))
        return _figures(
            rate=rate, sent=sent, done=done, orders=orders, times=times, failures=failures
        )

    def _prepared(self, report: bytes) -> bytes:
        """The signed request, ready to be sent: its signature is good for some minutes."""
        headers = {
            "Authorization": f"Bearer {self._keys['KBANK']}",
            "Content-Type": "application/json",
            "Idempotency-Key": secrets.token_hex(8),
            **self._signers["KBANK"].headers(report, path="/v1/reports"),
        }
        return request("POST", "/v1/reports", report, headers)

    def _drain(self, expected: int) -> dict[str, dict[str, int]]:
        """When each order arrived and was answered, once all were or the time is up."""
        self._expected += expected
        until = time.monotonic() + DRAIN_SECONDS_MAX
        times: dict[str, dict[str, int]] = self._tell_desks("times")
        while time.monotonic() < until and len(times["answered"]) < self._expected:
            time.sleep(0.5)
            times = self._tell_desks("times")
        return times

    def _ledger(self, count: int) -> list[bytes]:
        """Tell the transfers of `count` scams; the reports of their victims."""
        rows: list[dict[str, Any]] = []
        reports: list[bytes] = []
        now = self._clock.now()
        first, then = (
            format_time(now - timedelta(minutes=9)),
            format_time(now - timedelta(minutes=6)),
        )
        for _ in range(count):
            self._made += 1
            number, banks = self._made, BANKS[1:]
            mule = {"bank": banks[number % len(banks)], "account": f"2{number:09}"}
            payment = {
                "transfer_id": f"P{number}", "reported_by": "KBANK", "booked_at": first,
                "debtor_bank": "KBANK", "debtor_account": f"1{number:09}",
                "creditor_bank": mule["bank"], "creditor_account": mule["account"],
                "amount_minor": 4_000_000, "currency": "THB",
            }  # fmt: skip
            rows.append(payment)
            rows += [
                {
                    **payment,
                    "transfer_id": f"P{number}-{step}",
                    "reported_by": mule["bank"],
                    "booked_at": then,
                    "debtor_bank": mule["bank"],
                    "debtor_account": mule["account"],
                    "creditor_bank": BANKS[(number + step) % len(BANKS)],
                    "creditor_account": f"{2 + step}{number:09}",
                    "amount_minor": 1_000_000,
                }
                for step in range(1, ORDERS_PER_REPORT)
            ]
            report = {
                "channel": "institution", "reported_at": format_time(now), "payments": [payment],
                "proof": {"kind": "institution"},
            }  # fmt: skip
            reports.append(msgspec.json.encode(report))
        body = b"\n".join(msgspec.json.encode(row) for row in rows)
        headers = {"Authorization": f"Bearer {self._keys['admin']}",
                   "Content-Type": "application/x-ndjson",
                   "Idempotency-Key": secrets.token_hex(8)}  # fmt: skip
        url = f"{self._url}/v1/ledger/transfers"
        httpx.post(
            url, content=body, headers=headers, timeout=120, trust_env=False
        ).raise_for_status()
        return reports

    def stop(self) -> None:
        """End both processes by their own ids."""
        if self._desks is not None:
            self._desks.kill()
            self._desks.wait()
        if self._serve is not None:
            self._serve.send_signal(signal.SIGTERM)
            try:
                self._serve.wait(60)
            except subprocess.TimeoutExpired:
                self._serve.kill()
                self._serve.wait()


def _figures(
    *,
    rate: int,
    sent: list[int],
    done: list[int],
    orders: list[list[str]],
    times: dict[str, dict[str, int]],
    failures: list[str],
) -> dict[str, Any]:
    good = [n for n, one in enumerate(orders) if one]
    arrived, answered = times["arrived"], times["answered"]
    on_wire = [
        max(*(arrived[o] for o in orders[n]), done[n]) - sent[n]
        for n in good
        if all(o in arrived for o in orders[n])
    ]
    held = [
        max(answered[o] for o in orders[n]) - sent[n]
        for n in good
        if all(o in answered for o in orders[n])
    ]
    committed = [done[n] - sent[n] for n in good]
    span = (max(done) - min(sent)) / 1e9 or 1.0
    total = sum(len(orders[n]) for n in good)
    return {
        "offered_per_s": rate,
        "reports": len(good),
        "failed": len(failures),
        "first_failure": failures[0] if failures else None,
        "reports_per_s": round(len(good) / span, 1),
        "orders": total,
        "orders_never_on_wire": total - sum(o in arrived for n in good for o in orders[n]),
        **_spread("committed", committed),
        **_spread("on_wire", on_wire),
        **_spread("held", held),
    }


def _spread(name: str, nanoseconds: list[int]) -> dict[str, float | None]:
    """p50, p99 and the largest in milliseconds; None where nothing was measured."""
    ordered = sorted(nanoseconds)

    def at(share: float) -> float | None:
        if not ordered:
            return None
        place = min(int(len(ordered) * share), len(ordered) - 1)
        return round(ordered[place] / 1e6, 1)

    return {f"{name}_p50_ms": at(0.5), f"{name}_p99_ms": at(0.99), f"{name}_max_ms": at(1.0)}
