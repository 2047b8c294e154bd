"""Tests of the sandbox, which share a client."""
