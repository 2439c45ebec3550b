"""When to try again, when to go elsewhere and when to hold off: pure, on a clock that is given."""
