"""Appending lines to the files of sessions: one write a line, whatever happens meanwhile."""
