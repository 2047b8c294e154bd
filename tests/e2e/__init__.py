"""Tests with real clients, servers and SDKs."""
