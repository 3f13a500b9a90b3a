"""tracectrl.errors: what is missing, and how to mend it."""

from __future__ import annotations

from tracectrl.errors import MissingExtraError


def test_a_missing_extra_is_an_import_error_with_the_line_that_mends_it() -> None:
    """Whoever catches ImportError catches it; the message can be pasted."""
    error = MissingExtraError("format='otlp'", "some-package", "otlp")

    expected = (
        "format='otlp' needs the package 'some-package', which is not installed;"
        " run: pip install 'tracectrl-logging[otlp]'"
    )
    assert expected == str(error)
    assert isinstance(error, ImportError)
