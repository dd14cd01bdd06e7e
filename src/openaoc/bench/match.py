"""Bench: how long it takes two centres to find what both know, without showing the rest.

Both sides' work in one run on this machine, beside openmined.psi with the same identifiers. The
network between the centres is not in it.
"""

from __future__ import annotations

import importlib.util
import os
import random
import time
from collections.abc import Callable
from typing import Any, Final

from openaoc.exchange.matching.answering import MatchKeys
from openaoc.exchange.matching.model import QUESTIONS_PER_BATCH_MAX
from openaoc.exchange.matching.pool import Pool
from openaoc.exchange.matching.sets import TAG_BYTES, Identifier, TagSet, build, tag_of

PEER: Final = "private_set_intersection"
PEER_FALSE_POSITIVES: Final = 1e-9
SEED: Final = 1


def run(
    *, ours: int = 100_000, theirs: int = 1_000_000, shared: int = 1_000, peers: bool = True
) -> dict[str, object]:
    """Match `ours` against `theirs`, of which `shared` are the same; seconds by step."""
    mine, other = _identifiers(ours, theirs, shared)
    pool = Pool(nice=0)
    try:
        result: dict[str, object] = {"ours": ours, "theirs": theirs, "shared": shared}
        result["openaoc"] = _openaoc(pool, mine, other)
        result["single"] = _single(pool)
    finally:
        pool.close()
    if peers and importlib.util.find_spec(PEER) is not None:
        result[PEER] = _openmined(mine, other)
    return result


def _identifiers(ours: int, theirs: int, shared: int) -> tuple[list[Identifier], list[Identifier]]:
    """Telephone numbers; the first `shared` of both are the same."""
    draw = random.Random(SEED)  # noqa: S311 - a measure
    drawn = draw.sample(range(10**9), ours + theirs - shared)
    every = [Identifier(kind="phone", value=f"+66{number:09}") for number in drawn]
    return every[:ours], every[:shared] + every[ours:]


def _timed(steps: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    begun, used = time.perf_counter(), _processor_seconds()
    found = call()
    steps[name] = round(time.perf_counter() - begun, 3)
    spent = _processor_seconds() - used
    steps["processors_s"] = round(steps.get("processors_s", 0.0) + spent, 3)
    return found


def _processor_seconds() -> float:
    """What this process and those it waited for have used of all processors."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _wall(steps: dict[str, float]) -> float:
    return round(sum(value for name, value in steps.items() if name != "processors_s"), 3)


def _openaoc(pool: Pool, mine: list[Identifier], other: list[Identifier]) -> dict[str, object]:
    steps: dict[str, float] = {}
    key = MatchKeys(b"bench").key("BENCH", 1)
    published = _timed(
        steps, "publish_s", lambda: build(other, key=key, evaluate_all=pool.evaluate)
    )
    tags = _timed(steps, "receive_s", lambda: TagSet(bytes(published.tags.blob)))
    items = [one.encoded() for one in mine]
    blinded = _timed(steps, "blind_s", lambda: pool.blind(items))

    def answer() -> list[bytes]:
        found: list[bytes] = []
        for start in range(0, len(blinded), QUESTIONS_PER_BATCH_MAX):
            batch = [one.element for one in blinded[start : start + QUESTIONS_PER_BATCH_MAX]]
            found += pool.evaluate_blinded(key, batch)
        return found

    answers = _timed(steps, "answer_s", answer)
    asked = list(zip(items, blinded, answers, strict=True))
    outputs = _timed(steps, "finish_s", lambda: pool.finalize(asked))
    hits = _timed(steps, "compare_s", lambda: sum(tag_of(output) in tags for output in outputs))
    return {
        **steps,
        "total_s": _wall(steps),
        "after_publishing_s": round(_wall(steps) - steps["publish_s"], 3),
        "hits": hits,
        "set_bytes": len(tags) * TAG_BYTES,
    }


def _single(pool: Pool) -> dict[str, float]:
    """One question, both sides, without the network."""
    key = MatchKeys(b"bench").key("BENCH", 1)
    item = Identifier(kind="phone", value="+66812345678").encoded()
    begun = time.perf_counter()
    blinded = pool.blind([item])
    answers = pool.evaluate_blinded(key, [blinded[0].element])
    pool.finalize([(item, blinded[0], answers[0])])
    return {"single_ms": round(1_000 * (time.perf_counter() - begun), 3)}


def _openmined(mine: list[Identifier], other: list[Identifier]) -> dict[str, object]:
    psi = importlib.import_module(f"{PEER}.python")
    steps: dict[str, float] = {}
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    ours, theirs = [one.value for one in mine], [one.value for one in other]
    setup = _timed(
        steps,
        "publish_s",
        lambda: server.CreateSetupMessage(
            PEER_FALSE_POSITIVES, len(ours), theirs, psi.DataStructure.GCS
        ),
    )
    request = _timed(steps, "blind_s", lambda: client.CreateRequest(ours))
    response = _timed(steps, "answer_s", lambda: server.ProcessRequest(request))
    found = _timed(steps, "compare_s", lambda: client.GetIntersection(setup, response))
    return {**steps, "total_s": _wall(steps), "hits": len(found)}
