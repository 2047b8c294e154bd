"""Small pieces that know nothing of tokens."""
