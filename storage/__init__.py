"""Where things are kept: the store contract and its back ends, the journal, and the drain between them."""
