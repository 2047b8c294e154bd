"""The providers, and the code that they share. A provider's module is imported when the provider is first needed."""
