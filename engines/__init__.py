"""What makes speech: models, the engine that steps them, and the pure functions around them. No HTTP word appears
here.
"""

import os

# onnxruntime, which hibari and NeMo use, gives this machine a number and tells its makers of it, of the program and of
# each session, unless this is there before it is imported. Who serves speech by themselves has not agreed to that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
