"""Access keys and logins of the vendors, from a profile's resolved settings."""
