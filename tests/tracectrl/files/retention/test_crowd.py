"""Which sessions go where there are too many, whoever has opened them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.listing import StoredSession
from tracectrl.files.retention.crowd import order

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW_NS = 1_800_000_000 * 10**9


def sessions(stem: str, ages_s: Iterable[float]) -> list[StoredSession]:
    """Return sessions of these ages, named after their place."""
    return [
        StoredSession(
            "traces", f"{stem}{number}", (".logs.jsonl",), NOW_NS - int(age_s * 1e9), 10, 10
        )
        for number, age_s in enumerate(ages_s)
    ]


def left(given: list[StoredSession], keep: int) -> set[str]:
    """Return the stems of those that are left of *given*, in whatever order they are listed."""
    mixed = random.Random(keep).sample(given, len(given))  # noqa: S311 - no secret
    going, spared = order(mixed, keep, NOW_NS)
    gone = going[: max(0, len(given) - spared - keep)]
    return {session.stem for session in given} - {session.stem for session in gone}


def stems(given: list[StoredSession]) -> set[str]:
    """Return the stems of *given*."""
    return {session.stem for session in given}


@pytest.mark.parametrize("per_hour", [1, 10])
def test_the_oldest_go(per_hour: int) -> None:
    """Where no hour is crowded the oldest go, whatever the hour."""
    given = sessions("s", (n * 3600 / per_hour + 1 for n in range(150)))
    assert stems(given[:100]) == left(given, 100)


@pytest.mark.parametrize("flood_age_s", [5, 5_000, 500_000])
@pytest.mark.parametrize("honest_age_s", [1, 4_000, 100_000, 900_000])
def test_a_flood_throws_out_nobody(honest_age_s: float, flood_age_s: float) -> None:
    """1,500 made-up sessions of a minute, however long ago, and older or newer honest ones stay."""
    flood = sessions("made-up", (flood_age_s + n / 30 for n in range(1_500)))
    honest = sessions("honest", (honest_age_s + n * 100 for n in range(150)))
    assert stems(honest) <= left(flood + honest, 1_000)


def test_a_flood_at_the_same_time() -> None:
    """Of a crowded hour the fullest minute's go first: honest ones beside it stay."""
    flood = sessions("made-up", (5_000 + n / 30 for n in range(1_500)))
    honest = sessions("honest", (3_700 + n * 30 for n in range(110)))
    inside = {it.stem for it in honest if 4_980 <= it.age_s(NOW_NS) < 5_100}
    assert stems(honest) - inside <= left(flood + honest, 1_000)


def test_a_flood_takes_a_share_of_an_hour() -> None:
    """Where all other places are taken, it has a tenth of them, and no more."""
    flood = sessions("made-up", (4_000 + n / 30 for n in range(1_500)))
    honest = sessions("honest", (8_000 + n * 60 for n in range(1_000)))
    found = left(flood + honest, 1_000)
    assert (1_000, 100) == (len(found), len(found & stems(flood)))


def test_the_last_hour() -> None:
    """A crowd of the last hour stays, and counts as its share: it takes nobody's place."""
    fresh = sessions("fresh", (n for n in range(500)))
    older = sessions("older", (4_000 + n * 500 for n in range(950)))
    found = left(fresh + older, 1_000)
    assert stems(fresh) <= found
    assert 900 == len(found & stems(older))


def test_none_are_to_be_kept() -> None:
    """With 0 all go, the fresh ones too."""
    assert set() == left(sessions("s", range(500)), 0)


def test_few() -> None:
    """Ten of an hour are no crowd, however few are to be kept."""
    given = sessions("s", (10.0 * n for n in range(10)))
    assert stems(given[:3]) == left(given, 3)
