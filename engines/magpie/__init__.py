"""Magpie on our own decoder: NeMo reads the checkpoint and tokenises, everything that runs in a stream is in here."""
