"""Settings: environment over `openaoc.toml` over defaults.

An unknown name in the file is refused and an unknown variable told, so a typing error is found.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import BadInput

DEFAULT_PORT: Final = 8441
PREFIX: Final = "OPENAOC_"
OF_COMMANDS: Final = frozenset(
    {"URL", "API_KEY", "SIGNING_KEY", "KEYS_PASSPHRASE", "CASE_SECRET", "DEBUG"}
)
"""Variables that commands read and no centre does."""
PORT_MAX: Final = 65_535
_NAMED: Final = re.compile(r"^(?P<reason>.*) - at `\$\.(?P<name>\w+)`$")

Port = Annotated[int, Meta(ge=0, le=PORT_MAX)]
Count = Annotated[int, Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may set. Paths are absolute after `load`."""

    data_dir: str = "openaoc-data"
    dsn: str | None = None
    """A PostgreSQL ≥ 16 owner connection string; without one, an embedded server is started
    under data_dir.
    """
    keys_dir: str | None = None
    """Where the master key and the identity keys live; default data_dir/keys.

    Keep it out of every backup of the data.
    """
    host: str = "127.0.0.1"
    port: Port = DEFAULT_PORT
    url: str | None = None
    """How others reach this centre; default http://host:port."""
    jurisdiction: str = "TH"
    centre: str | None = None
    """The code under which partners know this centre; default OPENAOC-<jurisdiction>."""
    contact: str = ""
    """The email address that answers for what this centre sends to others."""
    opencti_surrogates: bool = True
    """Partners of the profile opencti get `TH-<bank>-<number>` for an IBAN where there is none."""
    exercise: bool = False
    """Everything here is made up: what this centre signs says so, and no real centre takes it."""
    rule: str = "fifo"
    ledger_rows_max: Count = 150_000_000
    """Address space reserved for the hot ledger; memory is used only as rows arrive."""
    ledger_accounts_max: Count = 40_000_000
    ledger_hot_days: Count = 0
    """Days of transfers kept in memory; older ones are cold, on disk. 0: as many as fit."""
    ledger_cold_days: Count = 395
    """Days for which transfers are kept after they were booked and told; 0: for good."""
    hop_by_hop: bool = False
    """There is no feed of transfers: the ledger fills from institutions' reports and answers."""
    floor_minor: Count = 0
    """More living money than the jurisdiction's rules say to leave free on a likely innocent
    holder's account, in minor units; less than they say counts as nothing.
    """

    standby_listen: str | None = None
    """`host:port` where this centre's standby connects; without it there is none. Both sides prove
    themselves with the certificate in the keys folder, which they share.
    """
    standby_required: bool = True
    """Whether nothing is acknowledged while the standby is away; else the centre goes on alone
    after some seconds and says so.
    """

    questions_per_hour: Count = 600
    """Questions for a victim's payment that one institution gets in an hour; further ones wait."""
    breaker_orders_per_hour: Count = 300_000
    """More orders an hour than this do not go out by themselves, over all institutions."""
    breaker_institution_orders_per_hour: Count = 100_000
    breaker_source_orders_per_hour: Count = 50_000
    """From one sender's reports, and from the accounts they lead to."""
    breaker_upheld_min: Count = 10
    """So many contests upheld within a day, and so many of a hundred decided, stop automatic
    orders of that institution or source.
    """
    breaker_upheld_percent: Count = 30

    @property
    def data_path(self) -> Path:
        """The data folder."""
        return Path(self.data_dir)

    @property
    def keys_path(self) -> Path:
        """The folder of keys."""
        return Path(self.keys_dir) if self.keys_dir else self.data_path / "keys"

    @property
    def centre_code(self) -> str:
        """The code under which partners know this centre."""
        return self.centre or f"OPENAOC-{self.jurisdiction}"

    @property
    def base_url(self) -> str:
        """How others reach this centre."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url or f"http://{host}:{self.port}"


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Each OPENAOC_… variable that nothing reads, with what may have been meant."""
    import difflib

    known = OF_COMMANDS | {name.upper() for name in Settings.__struct_fields__}
    given = sorted(name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    told = []
    for name in given:
        if name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            hint = f"; {PREFIX}{meant[0]} is one" if meant else ""
            told.append(f"{PREFIX}{name} is no setting{hint}")
    return told


def load_settings(environ: dict[str, str] | None = None, *, folder: Path | None = None) -> Settings:
    """OPENAOC_… variables over `openaoc.toml` in `folder` (default: the working folder).

    An empty variable is as none. Raises BadInput for an unknown name or a value of the wrong kind,
    naming the file or the variable.
    """
    env = dict(os.environ) if environ is None else environ
    base = folder or Path.cwd()
    path = base / "openaoc.toml"
    values: dict[str, object] = {}
    if path.is_file():
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(str(error), where=str(path)) from error
    variables = {name: f"OPENAOC_{name.upper()}" for name in Settings.__struct_fields__}
    told = {n: env[v] for n, v in variables.items() if env.get(v) and n != "url"}
    try:
        settings = msgspec.convert(values | told, Settings, strict=False)
    except msgspec.ValidationError as error:
        wrong = _NAMED.match(str(error))
        if wrong is not None and wrong["name"] in told:
            raise BadInput(wrong["reason"], where=variables[wrong["name"]]) from error
        raise BadInput(str(error), where=str(path)) from error
    absolute = str((base / settings.data_dir).resolve())
    return msgspec.structs.replace(settings, data_dir=absolute)
