"""The vendors' token APIs, one module each; nothing of caching or notebooks. Modules load when they are asked for."""
