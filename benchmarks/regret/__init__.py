"""The simulator: how many clicks each way of choosing loses while it learns, in worlds where the truth is known."""
