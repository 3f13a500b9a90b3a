"""The exit statuses of the command; nothing is imported for them."""

from __future__ import annotations

NOT_FOUND = 1
"""Nothing matched."""

UNUSABLE = 2
"""Wrong use or unreadable input."""

INTERRUPTED = 130
"""After Ctrl-C, as shells have it."""
