"""The two agents of ``tracectrl-logs demo``, and what runs them."""
