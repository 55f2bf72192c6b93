"""What makes speech: models, the engine that steps them, and the pure functions around them. No HTTP word appears
here.
"""
