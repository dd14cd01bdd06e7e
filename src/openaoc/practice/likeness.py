"""Practice: how alike two scripts are, by their wording and by what they speak of. Pure.

Wording: shared runs of characters, weighted by how rare they are; works within a language. Meaning:
shared ideas from a small list of words (ideas.toml), the only thing that reaches across languages.
No model: each answer shows what was shared.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
import zlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput

PACKAGE: Final = "openaoc.practice.rules"
FILE: Final = "ideas.toml"
RUNS: Final = (3, 4, 5)
"""Characters in a run, where words have spaces or letters."""
RUNS_DENSE: Final = (1, 2, 3)
"""Characters in a run of Chinese: each is a word or half of one."""
HUNDRED: Final = 100
SCRIPTS_MAX: Final = 20_000
_PLACE: Final = re.compile(r"\[[a-z-]{2,20}\]")
_DENSE: Final = re.compile(r"[\u3400-\u9fff]")

Idea = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=60)], ...], Meta(max_length=60)]
Runs = NDArray[np.uint32]
Weights = NDArray[np.float64]


class Ideas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What scammers speak of, and the words for each idea, by language."""

    idea: dict[str, dict[str, Idea]]


def read_ideas(text: str) -> Ideas:
    """The list in a file. Raises BadInput."""
    try:
        return msgspec.convert(tomllib.loads(text), Ideas)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=FILE) from error


@cache
def ideas() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each idea with all its words, folded as texts are."""
    found = read_ideas(resources.files(PACKAGE).joinpath(FILE).read_text("utf-8"))
    return tuple(
        (name, tuple(sorted({folded(word) for words in by.values() for word in words})))
        for name, by in sorted(found.idea.items())
    )


class Features(NamedTuple):
    """What is compared: hashed runs of characters, each once, in order, and ideas by name."""

    runs: Runs
    ideas: frozenset[str]


class Like(NamedTuple):
    """How alike, in percent, and the ideas both speak of."""

    place: int
    wording: int
    meaning: int
    shared: tuple[str, ...]


def folded(text: str) -> str:
    """Lower case, compatibility form, without tone marks of Latin letters, single spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("đ", "d"))
    kept = "".join(one for one in plain if not "\u0300" <= one <= "\u036f")
    return " ".join(unicodedata.normalize("NFC", kept).split())


def features(text: str) -> Features:
    """A text's features. Places such as `[phone]` say nothing of the wording."""
    whole = unicodedata.normalize("NFKC", _PLACE.sub(" ", text)).casefold()
    plain = folded(whole)
    found = {name for name, words in ideas() if any(_speaks(word, plain) for word in words)}
    runs: set[int] = set()
    # Marks stay: without them Thai falls apart.
    letters = "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in whole)
    for part in letters.split():
        sizes = RUNS_DENSE if _DENSE.search(part) else RUNS
        padded = part if _DENSE.search(part) else f" {part} "
        for size in sizes:
            runs.update(
                zlib.crc32(padded[at : at + size].encode()) for at in range(len(padded) - size + 1)
            )
    return Features(np.array(sorted(runs), dtype=np.uint32), frozenset(found))


def _speaks(word: str, plain: str) -> bool:
    """Whether the text has the word; a Latin one as a whole."""
    at = plain.find(word)
    while at >= 0:
        before, after = plain[at - 1 : at] if at else "", plain[at + len(word) :][:1]
        latin = word[0].isascii()
        if not latin or (not (before.isalpha() and before.isascii()) and not after.isalpha()):
            return True
        at = plain.find(word, at + 1)
    return False


class Shelf:
    """Scripts that are compared with: built once, asked many times."""

    def __init__(self, texts: Sequence[str]) -> None:
        assert len(texts) <= SCRIPTS_MAX, "the caller keeps to the limit"
        self._all = [features(text) for text in texts]
        runs = [one.runs for one in self._all]
        owners = np.repeat(
            np.arange(len(runs), dtype=np.int32), [len(one) for one in runs] if runs else []
        )
        every = np.concatenate(runs) if runs else np.zeros(0, np.uint32)
        order = np.argsort(every, kind="stable")
        self._runs, self._owners = every[order], owners[order]
        self._norms = np.sqrt([self._weight(one.runs).sum() for one in self._all])
        count: dict[str, int] = {}
        for one in self._all:
            for idea in one.ideas:
                count[idea] = count.get(idea, 0) + 1
        self._idea_weights = {name: self._rarity(count.get(name, 0)) ** 2 for name, _ in ideas()}

    def like(self, text: str, *, wording_min: int, meaning_min: int, limit: int) -> list[Like]:
        """Those that are alike enough in either way, the most alike first."""
        asked = features(text)
        wording = self._wording(asked)
        found = []
        for place, one in enumerate(self._all):
            meaning = self._meaning(asked.ideas, one.ideas)
            if wording[place] >= wording_min or meaning >= meaning_min:
                shared = tuple(sorted(asked.ideas & one.ideas))
                found.append(Like(place, int(wording[place]), meaning, shared))
        return sorted(found, key=lambda one: (-max(one.wording, one.meaning), one.place))[:limit]

    def _wording(self, asked: Features) -> NDArray[np.int64]:
        low = np.searchsorted(self._runs, asked.runs, side="left")
        high = np.searchsorted(self._runs, asked.runs, side="right")
        weights = self._weight(asked.runs)
        total = np.zeros(len(self._all))
        for start, end, weight in zip(low.tolist(), high.tolist(), weights.tolist(), strict=True):
            total[self._owners[start:end]] += weight
        norms = self._norms * np.sqrt(weights.sum())
        share = np.divide(total, norms, out=np.zeros_like(total), where=norms > 0)
        percent: NDArray[np.int64] = np.rint(HUNDRED * share).astype(np.int64)
        return percent

    def _weight(self, runs: Runs) -> Weights:
        """Squared rarity of each run among the scripts."""
        low = np.searchsorted(self._runs, runs, side="left")
        high = np.searchsorted(self._runs, runs, side="right")
        found: Weights = np.log1p((len(self._all) + 1) / (high - low + 1.0)) ** 2
        return found

    def _rarity(self, count: int) -> float:
        return float(np.log1p((len(self._all) + 1) / (count + 1)))

    def _meaning(self, one: frozenset[str], other: frozenset[str]) -> int:
        """Percent; a single shared idea is none: nearly every scam speaks of money."""
        shared = one & other
        if len(shared) < 2:  # noqa: PLR2004 - two make a coincidence less likely
            return 0
        size = self._sum(one) * self._sum(other)
        return round(HUNDRED * self._sum(shared) / size**0.5) if size else 0

    def _sum(self, names: frozenset[str]) -> float:
        return sum(self._idea_weights[name] for name in names)
