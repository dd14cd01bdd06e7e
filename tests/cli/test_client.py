"""CLI: a number that is empty is refused here, before the centre takes it for another route."""

from __future__ import annotations

import pytest

from openaoc.cli.client import CentreClient
from openaoc.kernel.errors import BadInput


@pytest.mark.parametrize("path", ["/v1/cases/", "/v1/holds//release"])
def test_an_empty_number_is_refused(path: str) -> None:
    client = CentreClient("http://127.0.0.1:1", "key")
    with pytest.raises(BadInput, match="a number or name is empty"):
        client.get(path)
    with pytest.raises(BadInput, match="a number or name is empty"):
        client.post(path, {"reason": "said"})
