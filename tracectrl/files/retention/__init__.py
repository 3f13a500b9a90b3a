"""Sessions that are over: exclusive access to their files, removing them, compressing them.

``tracectrl.files.retention.prune.prune`` and ``tracectrl.files.retention.compress.compress`` are
what programs call.
"""
