"""The pausable text engine: many conversations in one llama.cpp context, stepped together, each held at a token."""
