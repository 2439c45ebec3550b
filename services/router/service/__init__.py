"""The use cases of the router: one order on its way, and the doors to them all."""
