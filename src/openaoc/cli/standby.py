"""CLI: `openaoc standby`: make one, run it, see how it stands, take over with it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json

LOOK_S: Final = 0.2
"""How often it is looked whether the standby was promoted."""
PROMOTE_SECONDS_MAX: Final = 300.0
"""A promotion under way is not cut off by an end: its person waits for the answer."""

data_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="The data folder, else OPENAOC_DATA_DIR."
)


@click.group(help="Keep a warm standby, and take over with it.")
def command() -> None:
    """A standby."""


def _settings(data_dir: Path | None) -> Any:
    from openaoc.kernel.settings import load_settings

    environ = dict(os.environ)
    if data_dir is not None:
        environ["OPENAOC_DATA_DIR"] = str(data_dir.absolute())
    return load_settings(environ)


@command.command("make")
@click.argument("primary")
@data_option
@json_option
def make(primary: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Copy the running centre that listens at PRIMARY (host:port) into an empty data folder.

    Its keys must be in the keys folder already (`openaoc restore` knows how to unseal them).
    """
    from openaoc.bootstrap import data_folder
    from openaoc.cli.logs import configure
    from openaoc.continuity.standby import Standby

    configure(level="warning")
    settings = _settings(data_dir)
    with data_folder(settings):
        Standby(settings, primary=primary).make((lambda _: None) if as_json else note)
    if as_json:
        show_json({"primary": primary, "data_dir": str(settings.data_path)})
    else:
        say(f"a standby of {primary} in {settings.data_path}; now: openaoc standby serve")


@command.command("keys")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@data_option
@json_option
def keys(file: Path, data_dir: Path | None, *, as_json: bool) -> None:
    """Put the sealed keys of FILE (`openaoc backup --keys`) into the empty keys folder."""
    from openaoc.cli.passphrase import keys_passphrase
    from openaoc.continuity.keys_backup import open_keys

    settings = _settings(data_dir)
    receipt = open_keys(file, settings.keys_path, passphrase=keys_passphrase(fresh=False))
    if as_json:
        show_json(receipt)
    else:
        say(f"{receipt.keys} keys in {settings.keys_path}")


@command.command("serve")
@data_option
@json_option
def serve(data_dir: Path | None, *, as_json: bool) -> None:
    """Follow the primary until Ctrl-C; once promoted, go on as the centre."""
    from openaoc.bootstrap import data_folder
    from openaoc.cli.logs import configure
    from openaoc.continuity.standby import read_following
    from openaoc.kernel.errors import Unavailable

    configure(level="info")
    settings = _settings(data_dir)
    following = read_following(settings.data_path)
    if following is None:
        raise Unavailable("this data folder is no standby's", where=str(settings.data_path))
    with data_folder(settings):
        promoted = _follow(settings, following, as_json=as_json)
    if promoted:
        os.environ["OPENAOC_DATA_DIR"] = str(settings.data_path)
        sys.stdout.flush()
        words = [sys.executable, "-m", "openaoc", "serve"]
        os.execv(words[0], words)  # noqa: S606 - becomes the centre


def _follow(settings: Any, following: Any, *, as_json: bool) -> bool:
    """Whether it was promoted, in the end, and not told to end."""
    import msgspec

    from openaoc.cli.ending import told_to_end
    from openaoc.continuity.control import ControlServer
    from openaoc.continuity.fencing import Promoted, check_promotable, take_over
    from openaoc.continuity.standby import Standby
    from openaoc.kernel.clock import SystemClock

    one_at_a_time = threading.Lock()
    done: list[Promoted] = []
    standby = Standby(settings, primary=following.primary)

    def status(_: msgspec.Raw, __: object) -> object:
        return standby.status()

    def promote(raw: msgspec.Raw, tell: Any) -> object:
        force = bool(msgspec.json.decode(raw, type=dict[str, bool]).get("force"))
        with one_at_a_time:
            now = standby.status()
            check_promotable(now, force=force)
            tell("stopping to follow")
            standby.stop()
            tell("beginning a new epoch")
            known = msgspec.structs.replace(following, epoch=now.epoch)
            clock = SystemClock()
            done.append(take_over(settings, following=known, position=now.position, clock=clock))
            return done[-1]

    control = ControlServer(
        settings.data_path, {"standby-status": status, "standby-promote": promote}
    )
    with told_to_end() as ended:
        try:
            standby.start()
            control.start()
            if as_json:
                show_json({"standby_of": following.primary, "pid": os.getpid()})
            else:
                say(f"standby of {following.primary}, data in {settings.data_path}")
            while not done and not ended.wait(LOOK_S):
                continue
        finally:
            control.stop()
            control.finish(PROMOTE_SECONDS_MAX)
            standby.stop()
    return bool(done) and not ended.is_set()


@command.command("status")
@data_option
@json_option
def status(data_dir: Path | None, *, as_json: bool) -> None:
    """Show how this machine's centre or standby stands to the other side."""
    _ask("standby-status", {}, data_dir, as_json=as_json)


@command.command("forget")
@data_option
@json_option
def forget(data_dir: Path | None, *, as_json: bool) -> None:
    """On the centre: the standby is gone for good; go on without one."""
    _ask("standby-forget", {}, data_dir, as_json=as_json)


@command.command("promote")
@click.option("--force", is_flag=True, help="The primary is off for sure, and a loss is accepted.")
@data_option
@json_option
def promote(data_dir: Path | None, *, force: bool, as_json: bool) -> None:
    """On the standby: take over from the primary, in a new epoch."""
    _ask("standby-promote", {"force": force}, data_dir, as_json=as_json)


def _ask(verb: str, arguments: object, data_dir: Path | None, *, as_json: bool) -> None:
    import msgspec

    from openaoc.continuity.control import call

    settings = _settings(data_dir)
    progress = (lambda _: None) if as_json else note
    raw = call(settings.data_path, verb, arguments, progress=progress)
    document = msgspec.json.decode(raw, type=dict[str, Any])
    if as_json:
        show_json(document)
    else:
        for name, value in document.items():
            say(f"{name:<14} {value}")
