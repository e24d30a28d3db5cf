"""Real Cassandra, Kafka and schema registry on this machine, for tests and for a first look; not for production.

They are Java programs, fetched as Maven artifacts. `python -m services --help` starts them by hand.
"""


class Missing(Exception):
    """Something that has to be installed first; the message says what."""
