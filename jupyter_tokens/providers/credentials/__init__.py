"""Long-lived credentials of the vendors: access keys and logins, made from a profile's resolved settings."""
