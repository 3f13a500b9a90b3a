"""The faces for structlog: processor, renderer, logger factory, and the chain that hands events over."""
