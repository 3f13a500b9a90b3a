"""Why a session failed, and what differs between two: over iterators of lines, without I/O."""
