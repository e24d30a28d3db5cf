"""Command-line tools that are neither the service nor part of the store."""
