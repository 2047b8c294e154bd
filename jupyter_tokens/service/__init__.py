"""A hub's service: it keeps the long-lived secrets, and gives users' servers tokens of what they are granted."""
