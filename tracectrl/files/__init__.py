"""The files of the sessions: what they are called, and how a line gets into one.

The names are the one thing that writers and readers share beside the shape of a line.
"""

from tracectrl.files.names import log_path, session_id_of, span_path

__all__ = ["log_path", "session_id_of", "span_path"]
