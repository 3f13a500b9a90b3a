"""What bash makes of a command line that is being typed, and of what is put there."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracectrl_logging.cli.typed_line import TypedLine, can_be_typed, quoted

CHARACTERS = st.sampled_from("ab1 ;'\"\\$`!*?[]{}()<>|&#~^=:@%-/é漢\u0301")
VALUES = st.lists(st.text(CHARACTERS, min_size=1), min_size=1, max_size=20)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@given(VALUES, st.sampled_from(["", "'", '"']))
def test_quoted(values: list[str], quote: str) -> None:
    """bash takes the text for the value, whatever quote was open before it."""
    words = " ".join(quote + quoted(value, quote) for value in values)
    done = subprocess.run(
        ["bash", "--norc", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True
    )
    assert values == done.stdout.decode().split("\0")[:-1]


@given(st.text(CHARACTERS), st.text(CHARACTERS), st.text(CHARACTERS))
def test_same_start(start: str, one: str, other: str) -> None:
    """What two values have in common at their start, their texts have in common, too."""
    texts = [quoted(f"{start}x{value}") for value in (one, other)]
    assert texts[0][: len(start)] == texts[1][: len(start)]
    assert all(text.startswith(quoted(f"{start}x").rstrip("'")) for text in texts)


@pytest.mark.parametrize(
    ("line", "words", "incomplete"),
    [
        ("tl", [], "tl"),
        ("tl ", ["tl"], ""),
        ("tl  show 'a b", ["tl", "show"], "a b"),
        ("tl 'it'\\''s'  x", ["tl", "it's"], "x"),
        ('tl "a \\" \\x \\$" b\\ c', ["tl", 'a " \\x $'], "b c"),
        ("tl $'it\\'s' x", ["tl", "it's"], "x"),
        ("tl a\\\nb c\\", ["tl", "ab"], "c"),
        ("tl '' ", ["tl", ""], ""),
    ],
)
def test_words(line: str, words: list[str], incomplete: str) -> None:
    """The words are those that the shell will see, without quotes and escapes."""
    typed = TypedLine(line)
    assert (words, incomplete) == (typed.words, typed.incomplete)


@pytest.mark.parametrize(
    ("line", "replaced", "value", "expected"),
    [
        ("tl or", "or", "order", "order"),
        ("tl or", "or", "or;x y", "or';x y'"),
        ("tl ", "", "a b", "a' b'"),
        ("tl user:", "", "user:1;x", "1';x'"),
        ("tl user\\:1", "user\\:1", "user:1;", "user\\:1';'"),
        ("tl 'a;", "a;", "a;b'c", "a;b'\\''c'"),
        ('tl "a', "a", 'a"$b', 'a"\'"$b\'""'),
        ('tl "a', "a", "ab", 'ab"'),
        ("tl x:'a b", "a b", "x:a b;", "a b;'"),
        ("tl a$b", "a$b", "a$bc", "a'$bc'"),  # what was typed would be expanded
        ("tl a\\", "a\\", "a;", "a';'"),
        ("tl '~'x", "'~'x", "~x y", "'~'x' y'"),
    ],
)
def test_written(line: str, replaced: str, value: str, expected: str) -> None:
    """What is typed stays as it is where it means itself, and the rest is quoted."""
    assert expected == TypedLine(line).written(value, replaced)


@pytest.mark.parametrize(
    ("line", "replaced", "behind"),
    [
        ("tl or", "else", ""),
        ("tl or", "tl or", ""),
        ("tl or", "or", "x"),
        ("tl 'or", "or", "'"),
        ("tl 'or", "r", ""),
        ("tl $'or", "or", ""),
        ("tl $'o\\'r", "$'o\\'r", ""),
        ("tl $'o\\'r' or", "or", ""),
        ("tl $x:or", "or", ""),
        ("tl 'a'or", "or", ""),
    ],
)
def test_not_written(line: str, replaced: str, behind: str) -> None:
    """Nothing is put where shell and line editor may see different quotes, or text follows."""
    typed = TypedLine(line)
    assert typed.written(f"{typed.incomplete};x", replaced, behind) is None


@pytest.mark.parametrize("text", ["a b;'$(x)`", "übung", "漢字", "e\u0301", "\u2026"])
def test_can_be_typed(text: str) -> None:
    """What a terminal shows as it is can be typed, shell syntax and all."""
    assert can_be_typed(text)


@pytest.mark.parametrize(
    "text",
    ["\n", "\t", "\x1b[31m", "\x7f", "\x85", "\u00a0", "\u2028", "\u202e", "\u200b", "\ud800"],
)
def test_cannot_be_typed(text: str) -> None:
    """Control characters, invisible ones and those that turn the writing direction cannot."""
    assert not can_be_typed(f"a{text}b")
