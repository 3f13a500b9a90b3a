"""Lines in order, in trees, in numbers: over iterators of lines; nothing here opens a session's file."""
