"""Whatever happens in whatever order, each partner ends with what the rules let it have."""

from __future__ import annotations

import itertools
from datetime import timedelta

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from openaoc.exchange.agreement import AgreementState, Grant
from openaoc.exchange.ledger_model import NewRecall, RecallKind
from openaoc.exchange.objects import ObjectKind, SharedObject
from openaoc.kernel.markings import Marking
from tests.exchange.sharing_site import AS_IS, OFFICER, SUPERVISOR, Site

MINUTE = timedelta(minutes=1)
IDENTIFIERS = ("phone", "domain")
STEPS = ("put", "mark", "revoke", "victim", "publish", "stop", "resume", "version", "recall")
_numbers = itertools.count()

moves = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 5), st.integers(0, 4)),
    min_size=5,
    max_size=20,
)


class Story:
    """Two partners, some objects, and what a person would note of them on paper."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.shelf.items.clear()
        with site.uow.begin(OFFICER) as tx:
            for earlier in site.agreements.all_in_force(tx):
                site.agreements.end(tx, earlier.id, reason="another story begins")
        self.codes = [f"N{next(_numbers)}" for _ in range(2)]
        self.agreed = {code: site.agree(code).id for code in self.codes}
        self.kinds: dict[str, tuple[str, ...]] = dict.fromkeys(self.codes, IDENTIFIERS)
        self.highest = dict.fromkeys(self.codes, Marking.AMBER)
        self.received: dict[str, set[str]] = {code: set() for code in self.codes}
        self.recalled: dict[str, int] = {}
        self.changed: dict[str, int] = {}
        self.step = 0

    def take(self, verb: str, which: int, level: int) -> None:
        """One step; one that is not possible now is nothing."""
        self.step += 1
        self.site.clock.advance(MINUTE)
        code = self.codes[which % 2]
        items = self.site.shelf.items
        one = items[which % len(items)] if items else None
        if verb == "put":
            kind = IDENTIFIERS[level % 2]
            fields = {"identifier_kind": kind, "value": f"{kind}{self.step}"}
            self._put(self.site.indicator(marking=tuple(Marking)[level], fields=fields))
        elif verb in ("mark", "revoke", "victim") and one is not None:
            changes: dict[str, dict[str, object]] = {
                "mark": {"marking": tuple(Marking)[level]},
                "revoke": {"revoked": level % 2 == 0},
                "victim": {"possible_victim": level % 2 == 0},
            }
            now = self.site.clock.now()
            self._put(msgspec.structs.replace(one, modified=now, **changes[verb]))
        elif verb == "publish":
            self.publish()
        elif verb in ("stop", "resume"):
            self._switch(code, verb)
        elif verb == "version":
            self._version(code, level)
        elif verb == "recall" and one is not None:
            self._recall(one)

    def _put(self, one: SharedObject) -> None:
        self.site.shelf.put(one)
        self.changed[one.id] = self.step

    def publish(self) -> None:
        """Everything that is due."""
        while self.site.sharing.publishing.publish_due():
            pass
        for code in self.codes:
            if self._active(code):
                self.received[code] |= {i for i in self.site.has(code) if not i.startswith("-")}

    def _state(self, code: str) -> AgreementState:
        with self.site.uow.read(OFFICER) as tx:
            return self.site.agreements.show(tx, self.agreed[code]).state

    def _active(self, code: str) -> bool:
        return self._state(code) is AgreementState.ACTIVE

    def _switch(self, code: str, verb: str) -> None:
        if verb == "stop" and self._active(code):
            with self.site.uow.begin(OFFICER) as tx:
                self.site.agreements.suspend(tx, self.agreed[code], reason="a doubt")
        elif verb == "resume" and not self._active(code):
            for actor in (OFFICER, SUPERVISOR):
                with self.site.uow.begin(actor) as tx:
                    self.site.agreements.resume(tx, self.agreed[code])

    def _version(self, code: str, level: int) -> None:
        self.kinds[code] = IDENTIFIERS[: 1 + level % 2]
        self.highest[code] = tuple(Marking)[level]
        grant = Grant(
            fields={"identifier_kind": AS_IS, "value": AS_IS}, identifier_kinds=self.kinds[code]
        )
        agreed = self.site.agree(
            code, grants={ObjectKind.INDICATOR: grant}, highest_marking=self.highest[code]
        )
        self.agreed[code] = agreed.id

    def _recall(self, one: SharedObject) -> None:
        with self.site.uow.begin(OFFICER) as tx:
            told = self.site.exchange.recalling.recall(
                tx, NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="a doubt")
            )
        mine = set(told.partners) & set(self.codes)
        assert mine <= {code for code in self.codes if one.id in self.received[code]}
        for code in mine:
            assert (one.id, "withdrawn") in self.site.told(code)
        self.recalled[one.id] = self.step

    def may_have(self, code: str) -> set[str]:
        """The rules in words."""
        return {
            one.id
            for one in self.site.shelf.items
            if self._active(code)
            and one.fields["identifier_kind"] in self.kinds[code]
            and one.marking.rank <= self.highest[code].rank
            and not one.revoked
            and not one.possible_victim
            and self.changed[one.id] > self.recalled.get(one.id, 0)
        }


@settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(moves=moves)
def test_each_partner_ends_with_what_it_may_have(
    site: Site, moves: list[tuple[str, int, int]]
) -> None:
    story = Story(site)
    for verb, which, level in moves:
        story.take(verb, which, level)
    story.publish()
    for code in story.codes:
        shown = {one for one in site.has(code) if not one.startswith("-")}
        assert shown == story.may_have(code)
        if not story.may_have(code) and not site.has(code):
            assert site.has(code, as_user=True) == []
