"""Questions as data: which lines, which sessions; nothing here opens a file."""
