"""API: the description is true: schemathesis sends what it allows and what it forbids."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.cli.server import running
from tests.cli.world import World

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@schemathesis.serializer(XLSX)
def _spreadsheet(ctx: Any, value: Any) -> bytes:
    """What is generated for a file goes out as it is."""
    del ctx
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PEOPLE = ("administrator", "investigator", "supervisor", "KBANK-machine", "nobody")
KEPT_FROM_ADMINISTRATOR = ("/v1/live/shadow", "/v1/keys/signing/rotate")
"""What would change the world under the examples that follow."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A centre of its own: a thousand strangers use up the rates of other tests' server."""
    with running(tmp_path_factory.mktemp("schema")) as server:
        filled = World(server).fill()
        yield filled
        filled.close()


def _told(error: BaseException) -> str:
    parts = error.exceptions if isinstance(error, FailureGroup) else [error]
    return "; ".join(f"{type(part).__name__}: {part}"[:900] for part in parts)


def _try(operation: Any, world: World, *, mode: GenerationMode, examples: int) -> None:
    """Send generated requests as each of the people; every answer must be as described."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        for who in PEOPLE:
            headers = {"Idempotency-Key": secrets.token_hex(8)}
            if who in world.keys:
                headers["Authorization"] = f"Bearer {world.keys[who]}"
            if who != "nobody" and operation.path in KEPT_FROM_ADMINISTRATOR:
                continue
            case.call_and_validate(headers=headers, checks=CHECKS)

    send()


def test_every_answer_is_as_described(world: World) -> None:
    described = f"{world.server.url}/schema/openapi.json"
    schema = schemathesis.openapi.from_url(described, timeout=60)
    problems: list[str] = []
    seen = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        seen += 1
        for mode, examples in ((GenerationMode.POSITIVE, 5), (GenerationMode.NEGATIVE, 5)):
            # Without parameters there is nothing to send wrongly: hypothesis then says so.
            try:
                _try(operation, world, mode=mode, examples=examples)
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label
            except (Exception, FailureGroup) as error:  # noqa: BLE001 - all are told at once
                problems.append(f"{operation.label} {mode.name}: {_told(error)}")
    assert seen > 20
    assert not problems, "\n\n".join(problems)
