"""Configuration: files, profiles, secret references and the secret store."""
