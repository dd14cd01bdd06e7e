"""The house style as a test: one rule each, with a message that says what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.style.sources import ROOT, Source, package_sources, sources, tracked_files

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
LINE_CHARACTERS_MAX = 100
DOCSTRING_LINES_MAX = 12

FORBIDDEN_WORDS = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
GENERATED = re.compile(r"(\.lock|\.min\.js|\.svg|\.png|LICENSE)$|/vendor/")
CODES = r"[A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*"
WAIVER = re.compile(rf"#\s*(noqa: {CODES}|type: ignore\[[a-z, -]+\])[\s\-:—#]+\S")
FIRST_PARTY_TIME = ("datetime.now(", "time.time(", "datetime.utcnow(")
CLOCK_READERS = {
    "src/openaoc/kernel/clock.py",
}


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, methods and inner ones included."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def report(problems: list[str], advice: str) -> None:
    """Fail with every place at once."""
    assert not problems, advice + "\n  " + "\n  ".join(problems)


def test_files_are_short() -> None:
    long = [f"{s.path}: {len(s.lines)} lines" for s in sources() if len(s.lines) > FILE_LINES_MAX]
    report(long, f"Split by role; a file has at most {FILE_LINES_MAX} lines.")


def test_functions_fit_a_screen() -> None:
    long = [
        f"{s.path}:{f.lineno} {f.name}: {(f.end_lineno or 0) - f.lineno + 1} lines"
        for s in sources()
        for f in functions(s)
        if (f.end_lineno or 0) - f.lineno + 1 > FUNCTION_LINES_MAX
    ]
    report(long, f"Name the steps; a function has at most {FUNCTION_LINES_MAX} lines.")


def test_lines_are_short() -> None:
    long = [
        f"{s.path}:{number}"
        for s in sources()
        for number, line in enumerate(s.lines, 1)
        if len(line) > LINE_CHARACTERS_MAX
    ]
    report(long, f"A line has at most {LINE_CHARACTERS_MAX} characters.")


def test_modules_say_what_they_are() -> None:
    silent = [
        s.path
        for s in package_sources()
        if [line for line in s.lines if line.strip()] and not ast.get_docstring(s.tree)
    ]
    report(silent, "Open the module with one to five lines: stage, question, what it never does.")


def test_module_docstrings_are_brief() -> None:
    long = [
        s.path
        for s in package_sources()
        if len((ast.get_docstring(s.tree) or "").splitlines()) > DOCSTRING_LINES_MAX
    ]
    report(long, "A module's opening is a signpost; longer text belongs in docs/.")


def test_annotations_are_lazy() -> None:
    eager = [
        s.path
        for s in sources()
        if any(line.startswith(("import ", "from ")) for line in s.lines)
        and "from __future__ import annotations" not in s.lines
    ]
    report(eager, "Begin the imports with `from __future__ import annotations`.")


def test_nothing_is_swallowed() -> None:
    swallowed = [
        f"{s.path}:{node.lineno}"
        for s in sources()
        for node in ast.walk(s.tree)
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(step, ast.Pass) for step in node.body)
    ]
    report(swallowed, "An exception that may be ignored is named with contextlib.suppress.")


def test_no_bare_or_broad_except_without_reason() -> None:
    broad = []
    for s in package_sources():
        for node in ast.walk(s.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            name = ast.unparse(node.type) if node.type else ""
            raises = any(isinstance(step, ast.Raise) for step in ast.walk(node))
            if name in ("", "BaseException") and not raises:
                line = s.lines[node.lineno - 1]
                if "#" not in line:
                    broad.append(f"{s.path}:{node.lineno}")
    report(broad, "Catch what you can handle; catching everything needs its reason on the line.")


def test_the_clock_is_passed_in() -> None:
    readers = [
        f"{s.path}:{number}"
        for s in package_sources()
        if s.path not in CLOCK_READERS
        for number, line in enumerate(s.lines, 1)
        if any(call in line for call in FIRST_PARTY_TIME)
    ]
    report(readers, "Take a Clock; only kernel/clock.py reads the machine's.")


def test_money_is_never_a_float() -> None:
    floats = [
        f"{s.path}:{node.lineno} {ast.unparse(node.target)}"
        for s in package_sources()
        for node in ast.walk(s.tree)
        if isinstance(node, ast.AnnAssign)
        and ast.unparse(node.target).endswith("_minor")
        and "float" in ast.unparse(node.annotation)
    ]
    report(floats, "Amounts are whole minor units.")


def test_tests_check_something() -> None:
    idle = []
    for s in sources():
        if not s.path.startswith("tests/"):
            continue
        for f in functions(s):
            if not f.name.startswith("test_"):
                continue
            text = ast.unparse(f)
            if not re.search(r"\bassert\b|raises|report\(|check|verify|assert_|expect", text):
                idle.append(f"{s.path}:{f.lineno} {f.name}")
    report(idle, "A test that cannot fail proves nothing.")


@pytest.mark.parametrize("word", FORBIDDEN_WORDS)
def test_nothing_is_left_undone(word: str) -> None:
    found = []
    for name in tracked_files():
        if GENERATED.search(name):
            continue
        try:
            text = (ROOT / name).read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{name}:{number}"
            for number, line in enumerate(text.split("\n"), 1)
            if re.search(rf"\b{word}\b", line)
        ]
    report(found, f"Do it or leave it out; no {word}.")


def test_noqa_gives_its_reason() -> None:
    bare = [
        f"{s.path}:{number}"
        for s in sources()
        for number, line in enumerate(s.lines, 1)
        if re.search(r"#\s*(noqa|type: ignore)", line)
        and not re.search(
            r"#\s*(noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*(#|-|:|—)\s*\S", line
        )
    ]
    report(bare, "`# noqa: CODE - why` and `# type: ignore[code] - why`: the reason stands beside.")


def test_transfers_of_one_type_are_keyword_only() -> None:
    loose = []
    for s in package_sources():
        if "/kernels" in s.path:
            continue  # compiled functions take numbers by place
        for f in functions(s):
            names = [a for a in f.args.args if a.arg not in ("self", "cls")]
            kinds = [ast.unparse(a.annotation) for a in names if a.annotation is not None]
            plain = [k for k in kinds if k in ("int", "str", "datetime", "Path", "bytes")]
            if f.name.startswith("_"):
                continue
            if len(plain) - len(set(plain)) > 1:
                loose.append(f"{s.path}:{f.lineno} {f.name}({', '.join(a.arg for a in names)})")
    report(loose, "Three or more arguments of one type in a row get exchanged: keyword-only.")
