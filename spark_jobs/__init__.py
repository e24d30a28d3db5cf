"""Jobs for what outgrows one machine; each is a module with `main`, and runs with `python -m` or spark-submit."""
