"""Practice: the verbs of packages: make, share, receive, take on, stop, take back.

Works in the caller's transaction. Nothing acts before two persons took it on, and nothing that was
not tried enough; a typology that acts proposes indicators, and never holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from openaoc.channels.keys import CentreKeys
from openaoc.channels.signing import PublicJwk
from openaoc.exchange.objects import ObjectKind, check_object_id, new_object_id
from openaoc.holds.comparing import Sender, SentRules
from openaoc.holds.legal import Rulebook, rulebook
from openaoc.kernel.errors import BadInput
from openaoc.kernel.markings import Marking
from openaoc.kernel.paging import FIRST, Asked
from openaoc.parties.permissions import Permission, require
from openaoc.practice import store
from openaoc.practice.model import (
    BadPackage,
    Bundle,
    Figures,
    Measured,
    NeverActs,
    NewPackage,
    NoSuchPackage,
    NotMeasured,
    NotTriedEnough,
    ObservationList,
    Package,
    PackageKind,
    PackageList,
    PackageMark,
    PackageView,
    SamePerson,
    Standing,
    Step,
    Voice,
    after_step,
)
from openaoc.practice.sealing import bundle_bytes, digest_of, opened, sign_bundle
from openaoc.practice.trial import PracticeRules, lacking, practice_rules
from openaoc.practice.workflow import check_playbook
from openaoc.storage.unit_of_work import Transaction

LOCK: Final = "practice.changes"

OWN_TRIAL: Final = "accounts that traces of cases reached at {author}, in shadow and live"


class Packages:
    """The verbs. One instance per centre."""

    def __init__(self, *, name: str, rules: PracticeRules | None = None) -> None:
        """`name`: the code under which partners know this centre."""
        self.name = name
        self.rules = rules or practice_rules()
        self._keys: CentreKeys | None = None

    def sign_with(self, keys: CentreKeys) -> None:
        """The centre's own keys, which are built after the stages."""
        self._keys = keys

    # Looking.

    def show(self, tx: Transaction, package_id: str) -> PackageView:
        """One. Raises NoSuchPackage."""
        require(tx.actor, Permission.PRACTICE_READ)
        (view,) = self._views(tx, [self._found(tx, package_id)])
        return view

    def listed(
        self,
        tx: Transaction,
        asked: Asked = FIRST,
        *,
        kind: PackageKind | None = None,
        standing: Standing | None = None,
    ) -> PackageList:
        """A page, the last changed first. Raises NotPermitted, BadInput."""
        require(tx.actor, Permission.PRACTICE_READ)
        rows = store.page(tx.connection, asked, kind=kind, standing=standing)
        shown, more = asked.cut(rows, lambda one: str(one.change))
        return PackageList(packages=self._views(tx, shown), cursor=more)

    def observed(self, tx: Transaction, package_id: str) -> ObservationList:
        """The accounts it names or would have named. For who works with it; accounts are shown."""
        require(tx.actor, Permission.PRACTICE_WORK)
        one = self._found(tx, package_id)
        return ObservationList(observations=store.named(tx.connection, one.id))

    def sent_rules(self, tx: Transaction, *, partners: Collection[str]) -> list[SentRules]:
        """The newest legal rules each of these partners sent of each jurisdiction, by name.

        `partners`: those whose agreement is in force.
        """
        require(tx.actor, Permission.PRACTICE_READ)
        newest: dict[str, SentRules] = {}
        for one in store.rules_in_shadow(tx.connection):
            if one.partner is None or one.partner not in partners:
                continue
            book = one.bundle.rules
            assert isinstance(book, Rulebook), "a checked bundle has what its kind says"
            sender = Sender(
                partner=one.partner,
                package=one.id,
                version=one.bundle.version,
                made_at=one.bundle.made_at,
            )
            sent = SentRules(sender=sender, book=book)
            there = newest.get(sent.column)
            if there is None or there.sender.made_at < sender.made_at:
                newest[sent.column] = sent
        return [newest[column] for column in sorted(newest)]

    def _views(self, tx: Transaction, found: Sequence[Package]) -> list[PackageView]:
        figures = store.figures_of(tx.connection, [one.id for one in found])
        return [
            PackageView(
                package=one,
                figures=(mine := figures.get(one.id, Figures())),
                lacking=lacking(one, mine, rules=self.rules.trial, now=tx.now)
                if one.standing is Standing.SHADOW
                else (),
            )
            for one in found
        ]

    # Our own.

    def make(self, tx: Transaction, new: NewPackage) -> PackageView:
        """Our own package, signed, in shadow.

        Raises BadPackage, BadPlaybook, NoSuchPackage, NoSuchRule.
        """
        require(tx.actor, Permission.PRACTICE_WORK)
        kind = PackageKind.TYPOLOGY
        if new.playbook is not None:
            kind = PackageKind.PLAYBOOK
            check_playbook(new.playbook)
        elif new.rules is not None:
            kind = PackageKind.RULES
        before = None if new.replaces is None else self._own(tx, new.replaces)
        bundle = Bundle(
            format="openaoc-package-1",
            id=new_object_id(ObjectKind.PACKAGE),
            kind=kind,
            name=new.name,
            summary=new.summary,
            author=self.name,
            version=1 if before is None else before.bundle.version + 1,
            licence=new.licence,
            offences=new.offences,
            made_at=tx.now,
            error=self._error(tx, new, before=before),
            replaces=new.replaces,
            playbook=new.playbook,
            typology=new.typology,
            rules=msgspec.UNSET if new.rules is None else rulebook(new.rules),
        )
        data = bundle_bytes(bundle)
        if before is not None and before.bundle.kind is not kind:
            raise BadPackage("another kind than what it replaces", where="replaces")
        one = Package(
            bundle=bundle,
            marking=new.marking,
            standing=Standing.SHADOW,
            since=tx.now,
            signature=self._signature(tx, bundle),
            digest=digest_of(data),
            changed_at=tx.now,
        )
        return self._added(tx, one, data=data, action="made")

    def _error(
        self, tx: Transaction, new: NewPackage, *, before: Package | None
    ) -> Measured | NotMeasured:
        if not isinstance(new.error, str):
            return new.error
        if before is None:
            raise BadPackage("only what replaces another has a trial behind it", where="error")
        figures = store.figures_of(tx.connection, [before.id]).get(before.id)
        if figures is None:
            raise BadPackage("it was not tried here", where="error")
        return Measured(
            on=OWN_TRIAL.format(author=self.name),
            at=tx.now.date(),
            looked=figures.looked,
            right=figures.right,
            wrong=figures.wrong,
            missed=figures.missed,
        )

    def share(self, tx: Transaction, package_id: str) -> PackageView:
        """Our own may go to every partner whose agreement lets it; signed with the present key."""
        require(tx.actor, Permission.PRACTICE_DECIDE)
        one = self._own(tx, package_id, lock=True)
        if one.standing is Standing.WITHDRAWN:
            after_step(one.standing, Step.TAKE_ON)
        shared = msgspec.structs.replace(
            one, shared=True, signature=self._signature(tx, one.bundle)
        )
        return self._saved(tx, one, shared, action="shared")

    def withdraw(self, tx: Transaction, package_id: str, *, reason: str) -> PackageView:
        """Our own was wrong: it stops here, and at everybody who received it."""
        require(tx.actor, Permission.PRACTICE_DECIDE)
        one = self._own(tx, package_id, lock=True)
        return self._moved(tx, one, Step.WITHDRAW, reason=reason)

    def _own(self, tx: Transaction, package_id: str, *, lock: bool = False) -> Package:
        one = self._found(tx, package_id, lock=lock)
        if one.partner is not None:
            raise BadInput(f"{one.partner} made it", where="package")
        return one

    def _signature(self, tx: Transaction, bundle: Bundle) -> str:
        assert self._keys is not None, "the centre has its keys before anybody asks"
        return sign_bundle(bundle, key=self._keys.current(), now=tx.now)

    # Partners'.

    def take(
        self,
        tx: Transaction,
        partner: str,
        *,
        data: bytes,
        signature: str,
        marking: Marking,
        keys: Mapping[str, PublicJwk],
    ) -> PackageView:
        """A partner's package, in shadow; the same again changes nothing.

        The caller has looked at the agreement. Raises BadPackage, NotSignedByPartner.
        """
        require(tx.actor, Permission.PRACTICE_WORK)
        bundle = opened(data, signature=signature, author=partner, keys=keys, now=tx.now)
        digest = digest_of(data)
        tx.lock(LOCK)
        for there in store.by_ids(tx.connection, [bundle.id], lock=True):
            if there.partner != partner or there.digest != digest:
                raise BadPackage("another package has this id", where="id")
            if there.standing is Standing.WITHDRAWN:
                raise BadPackage("it was taken back; a new version is a new package", where="id")
            return self._views(tx, [there])[0]
        self._check_line(tx, bundle, partner=partner)
        one = Package(
            bundle=bundle,
            marking=marking,
            standing=Standing.SHADOW,
            since=tx.now,
            signature=signature,
            digest=digest,
            partner=partner,
            changed_at=tx.now,
        )
        return self._added(tx, one, data=data, action="received")

    @staticmethod
    def _check_line(tx: Transaction, bundle: Bundle, *, partner: str) -> None:
        """What it replaces, where that is here, is the same partner's and of the same kind."""
        if bundle.replaces is None:
            return
        for before in store.by_ids(tx.connection, [bundle.replaces]):
            fits = before.partner == partner and before.bundle.kind is bundle.kind
            if not fits or before.bundle.version >= bundle.version:
                raise BadPackage("does not follow what it says it replaces", where="replaces")

    def taken_back(self, tx: Transaction, partner: str, package_id: str, *, reason: str) -> bool:
        """The partner takes its package back: it stops at once; whether it was here."""
        require(tx.actor, Permission.PRACTICE_WORK)
        tx.lock(LOCK)
        for one in store.by_ids(tx.connection, [package_id], lock=True):
            if one.partner == partner and one.standing is not Standing.WITHDRAWN:
                self._moved(tx, one, Step.WITHDRAW, reason=reason)
                return True
        return False

    # What persons decide.

    def take_on(self, tx: Transaction, package_id: str, *, reason: str) -> PackageView:
        """One person's word that it goes live; with a second person's it does.

        Raises NotTriedEnough, with all it lacks, NeverActs, SamePerson, WrongPackageStep.
        """
        require(tx.actor, Permission.PRACTICE_DECIDE)
        tx.lock(LOCK)
        one = self._found(tx, package_id, lock=True)
        after_step(one.standing, Step.TAKE_ON)
        if one.bundle.kind is PackageKind.RULES:
            raise NeverActs(one.id)
        figures = store.figures_of(tx.connection, [one.id]).get(one.id, Figures())
        missing = lacking(one, figures, rules=self.rules.trial, now=tx.now)
        if missing:
            raise NotTriedEnough("; ".join(missing))
        if one.voice is None:
            voice = Voice(by=tx.actor.id, at=tx.now, reason=_reason(reason))
            said = msgspec.structs.replace(one, voice=voice)
            return self._saved(tx, one, said, action="proposed", reason=reason)
        if one.voice.by == tx.actor.id:
            raise SamePerson("you have said so already; it takes another person")
        self._replace(tx, one)
        return self._moved(tx, one, Step.TAKE_ON, reason=reason, voices=(one.voice.by, tx.actor.id))

    def _replace(self, tx: Transaction, one: Package) -> None:
        """The version before is live no more when this one is."""
        for before in store.by_ids(tx.connection, [one.bundle.replaces or ""], lock=True):
            if before.standing is Standing.LIVE:
                self._moved(tx, before, Step.REPLACE, reason=f"version {one.bundle.version}")

    def stop(self, tx: Transaction, package_id: str, *, reason: str) -> PackageView:
        """One person is enough to stop; what it proposed is taken back."""
        require(tx.actor, Permission.PRACTICE_WORK)
        tx.lock(LOCK)
        one = self._found(tx, package_id, lock=True)
        return self._moved(tx, one, Step.STOP, reason=reason)

    def try_again(self, tx: Transaction, package_id: str, *, reason: str) -> PackageView:
        """Back into shadow; its days begin anew, what was seen stays."""
        require(tx.actor, Permission.PRACTICE_DECIDE)
        tx.lock(LOCK)
        one = self._found(tx, package_id, lock=True)
        return self._moved(tx, one, Step.TRY_AGAIN, reason=reason)

    # How a change is written.

    def _found(self, tx: Transaction, package_id: str, *, lock: bool = False) -> Package:
        check_object_id(package_id, kind=ObjectKind.PACKAGE, where="package")
        if lock:
            tx.lock(LOCK)
        found = store.by_ids(tx.connection, [package_id], lock=lock)
        if not found:
            raise NoSuchPackage(package_id)
        return found[0]

    def _moved(
        self,
        tx: Transaction,
        before: Package,
        step: Step,
        *,
        reason: str,
        voices: tuple[str, ...] = (),
    ) -> PackageView:
        after = msgspec.structs.replace(
            before,
            standing=after_step(before.standing, step),
            since=tx.now,
            voice=None,
            reason=_reason(reason),
        )
        action = after.standing.value
        return self._saved(tx, before, after, action=action, reason=after.reason, voices=voices)

    def _added(self, tx: Transaction, one: Package, *, data: bytes, action: str) -> PackageView:
        tx.lock(LOCK)
        kept = store.add(tx.connection, one, data=data)
        tx.journal(
            action=f"practice.package.{action}",
            subject=one.id,
            after=PackageMark.of(one),
            authority=one.partner or "",
        )
        return self._views(tx, [kept])[0]

    def _saved(
        self,
        tx: Transaction,
        before: Package,
        after: Package,
        *,
        action: str,
        reason: str = "",
        voices: tuple[str, ...] = (),
    ) -> PackageView:
        kept = store.save(tx.connection, msgspec.structs.replace(after, changed_at=tx.now))
        (view,) = self._views(tx, [kept])
        tx.journal(
            action=f"practice.package.{action}",
            subject=kept.id,
            before=PackageMark.of(before),
            after=PackageMark.of(kept, voices=voices, figures=view.figures),
            reason=reason,
        )
        return view


def _reason(text: str) -> str:
    kept = text.strip()
    if not 3 <= len(kept) <= 1_000 or "\0" in kept:  # noqa: PLR2004 - the limits of Reason
        raise BadInput("3 to 1000 characters", where="reason")
    return kept
