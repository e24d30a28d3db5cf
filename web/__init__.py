"""HTTP: the door for the hot calls, Flask for administration and reports."""
