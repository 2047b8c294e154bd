"""The token APIs, one module each. A module is imported when a profile first names its provider."""
