"""The ASGI services. No torch and no audio arithmetic here; importing this package imports nothing heavy."""
