"""How a plan follows from a request, a configuration and the processors: pure, the same each time.

Reading order: plan, config, split, candidates, builder; then comparison and replay, which tell what
another configuration would make of requests that were carried out.
"""
