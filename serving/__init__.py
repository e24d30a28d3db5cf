"""The use cases without a framework: what a process knows (snapshot), deciding, feedback, tokens, verdicts."""
