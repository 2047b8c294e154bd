"""Finds tokens and keys in notebooks: held values and the five APIs' shapes; knows neither server nor command line."""
