"""Access keys, logins and clients, from a profile's resolved settings or from the vendors' own configuration."""
