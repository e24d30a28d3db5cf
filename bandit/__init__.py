"""The decision core: pure functions and values; `now` and `rng` are arguments, nothing here does I/O."""
