"""The session: one ID that follows a piece of work, and the per-session files of its spans.

Import from the modules: :mod:`tracectrl.session`, :mod:`tracectrl.context`,
:mod:`tracectrl.processor`, :mod:`tracectrl.exporter`, :mod:`tracectrl.files`.
"""
