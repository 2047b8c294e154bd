"""What a user gets when a token API fails, for each API and each kind of fault: a table, and what holds it true."""
