"""A hub's token service: keeps the long-lived secrets, and gives users' servers the tokens they are granted."""
