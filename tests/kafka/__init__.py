"""Tests of everything that speaks to Kafka or about it."""
