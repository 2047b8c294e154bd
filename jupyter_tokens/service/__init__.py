"""A hub's token service: keeps the long-lived secrets, and gives the users' servers the tokens of granted profiles."""
