"""Practice: CACAO 2.0 playbooks: the objects of the standard that we read and write.

OASIS CACAO Security Playbooks 2.0. A property that is not here is refused by name, never dropped:
a playbook is followed whole. Commands are for people: nothing here ever runs one.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import BadInput

STEPS_MAX: Final = 200
COMMANDS_MAX: Final = 50
AGENTS_MAX: Final = 100
VARIABLES_MAX: Final = 100
LIST_MAX: Final = 50
PLAYBOOK_BYTES_MAX: Final = 56_000

_UUID: Final = (
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
_STEP: Final = (
    "start|end|action|playbook-action|parallel|if-condition|while-condition|switch-condition"
)
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Line = Annotated[str, Meta(min_length=1, max_length=500)]
Text = Annotated[str, Meta(max_length=8_000)]
Identifier = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9-]{{0,60}}--{_UUID}\Z")]
StepId = Annotated[str, Meta(pattern=rf"^(?:{_STEP})--{_UUID}\Z")]
PlaybookId = Annotated[str, Meta(pattern=rf"^playbook--{_UUID}\Z")]
IdentityId = Annotated[str, Meta(pattern=rf"^identity--{_UUID}\Z")]
_DAY_AND_TIME: Final = (
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
)
Moment = Annotated[str, Meta(pattern=rf"^{_DAY_AND_TIME}\.[0-9]{{3}}Z\Z")]
"""When a version was made: to the millisecond, as the standard wants it."""
Timestamp = Annotated[str, Meta(pattern=rf"^{_DAY_AND_TIME}(?:\.[0-9]{{1,9}})?Z\Z")]
"""Any other time."""
Score = Annotated[int, Meta(ge=0, le=100)]
Milliseconds = Annotated[int, Meta(ge=0, le=366 * 86_400_000)]
VariableName = Annotated[str, Meta(pattern=r"^__[a-zA-Z][a-zA-Z0-9_-]{0,199}__\Z")]
Words = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=LIST_MAX)]
Names = Annotated[tuple[VariableName, ...], Meta(min_length=1, max_length=LIST_MAX)]


class BadPlaybook(BadInput):
    """Not a CACAO 2.0 playbook that this centre can read."""


class _Object(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A property that is not named is refused; one that is not set is not written."""


class ExternalReference(_Object, frozen=True, kw_only=True):
    """Where more is said."""

    name: Name
    description: Text | None = None
    source: Text | None = None
    url: Annotated[str, Meta(max_length=2_000)] | None = None
    external_id: Name | None = None
    reference_id: Identifier | None = None


References = Annotated[tuple[ExternalReference, ...], Meta(min_length=1, max_length=LIST_MAX)]


class Variable(_Object, frozen=True, kw_only=True):
    """A value that is filled in while the playbook is followed; always text."""

    type: Name
    description: Text | None = None
    value: Text | None = None
    constant: bool | None = None
    external: bool | None = None


Variables = Annotated[dict[VariableName, Variable], Meta(max_length=VARIABLES_MAX)]


class Command(_Object, frozen=True, kw_only=True):
    """What somebody does. Of the standard's types only `manual`: people read it."""

    type: Literal["manual"]
    command: Annotated[str, Meta(min_length=1, max_length=8_000)]
    description: Text | None = None
    version: Name | None = None
    playbook_activity: Name | None = None
    external_references: References | None = None


class Agent(_Object, frozen=True, kw_only=True):
    """Who does it, or whom it is done to: a person, a group, an organisation or a sector.

    `sector`: which one, of a sector alone.
    """

    type: Literal["individual", "group", "organization", "sector"]
    name: Name
    description: Text | None = None
    sector: Name | None = None


class _Step(_Object, frozen=True, kw_only=True):
    """What all steps have."""

    name: Line | None = None
    description: Text | None = None
    external_references: References | None = None
    delay: Milliseconds | None = None
    timeout: Milliseconds | None = None
    step_variables: Variables | None = None
    owner: IdentityId | None = None
    on_completion: StepId | None = None
    on_success: StepId | None = None
    on_failure: StepId | None = None


class Start(_Step, frozen=True, kw_only=True, tag="start", tag_field="type"):
    """Where the playbook begins."""


class End(_Step, frozen=True, kw_only=True, tag="end", tag_field="type"):
    """Where the playbook, or one branch of it, ends."""


class Action(_Step, frozen=True, kw_only=True, tag="action", tag_field="type"):
    """Something somebody does."""

    commands: Annotated[tuple[Command, ...], Meta(min_length=1, max_length=COMMANDS_MAX)]
    agent: Identifier
    targets: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=LIST_MAX)] | None = (
        None
    )
    in_args: Names | None = None
    out_args: Names | None = None


class PlaybookAction(_Step, frozen=True, kw_only=True, tag="playbook-action", tag_field="type"):
    """Another playbook is followed in between."""

    playbook_id: PlaybookId
    playbook_version: Moment | None = None
    in_args: Names | None = None
    out_args: Names | None = None


class Parallel(_Step, frozen=True, kw_only=True, tag="parallel", tag_field="type"):
    """Several branches at the same time; all are waited for."""

    next_steps: Annotated[tuple[StepId, ...], Meta(min_length=2, max_length=LIST_MAX)]


class If(_Step, frozen=True, kw_only=True, tag="if-condition", tag_field="type"):
    """One branch or the other."""

    condition: Annotated[str, Meta(min_length=1, max_length=2_000)]
    on_true: StepId
    on_false: StepId | None = None


class While(_Step, frozen=True, kw_only=True, tag="while-condition", tag_field="type"):
    """A branch again and again, as long as something holds."""

    condition: Annotated[str, Meta(min_length=1, max_length=2_000)]
    on_true: StepId


class Switch(_Step, frozen=True, kw_only=True, tag="switch-condition", tag_field="type"):
    """One branch of several, by a variable's value."""

    switch: Annotated[str, Meta(min_length=1, max_length=300)]
    cases: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,250}\Z")], StepId],
        Meta(min_length=1, max_length=LIST_MAX),
    ]


class Summary(_Object, frozen=True, kw_only=True):
    """What a program must be able to do that follows the playbook, as its author says it."""

    manual_playbook: bool | None = None
    external_playbooks: bool | None = None
    parallel_processing: bool | None = None
    if_logic: bool | None = None
    while_logic: bool | None = None
    switch_logic: bool | None = None
    temporal_logic: bool | None = None
    data_markings: bool | None = None
    digital_signatures: bool | None = None
    countersigned_signatures: bool | None = None
    extensions: bool | None = None


Step = Start | End | Action | PlaybookAction | Parallel | If | While | Switch


class Playbook(_Object, frozen=True, kw_only=True):
    """A playbook of CACAO 2.0, its own properties; `workflow` is checked by workflow.py."""

    type: Literal["playbook"]
    spec_version: Literal["cacao-2.0"]
    id: PlaybookId
    name: Name
    created_by: IdentityId
    created: Moment
    modified: Moment
    workflow_start: StepId
    workflow: Annotated[dict[StepId, Step], Meta(min_length=3, max_length=STEPS_MAX)]
    description: Text | None = None
    playbook_types: Words | None = None
    playbook_activities: Words | None = None
    playbook_processing_summary: Summary | None = None
    revoked: bool | None = None
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    derived_from: Annotated[tuple[PlaybookId, ...], Meta(min_length=1, max_length=20)] | None = None
    related_to: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=20)] | None = None
    priority: Score | None = None
    severity: Score | None = None
    impact: Score | None = None
    industry_sectors: Words | None = None
    labels: Words | None = None
    external_references: References | None = None
    playbook_variables: Variables | None = None
    workflow_exception: StepId | None = None
    agent_definitions: Annotated[dict[Identifier, Agent], Meta(max_length=AGENTS_MAX)] | None = None
    target_definitions: Annotated[dict[Identifier, Agent], Meta(max_length=AGENTS_MAX)] | None = (
        None
    )


_DECODER: Final = msgspec.json.Decoder(Playbook)


def decode_playbook(data: bytes) -> Playbook:
    """The playbook's objects, unchecked among themselves. Raises BadPlaybook with the place."""
    if len(data) > PLAYBOOK_BYTES_MAX:
        raise BadPlaybook(f"more than {PLAYBOOK_BYTES_MAX} bytes")
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadPlaybook(str(error)) from error
