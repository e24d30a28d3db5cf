"""Kafka: the clickstream on its way from the journals of many hosts to where it is counted."""
