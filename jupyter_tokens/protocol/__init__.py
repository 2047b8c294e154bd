"""How two processes of jupyter_tokens talk to each other."""
