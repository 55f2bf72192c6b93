# What is used here of NeMo 3.0.0, which has no types of its own.
from typing import Any

from nemo.core.connectors.save_restore_connector import SaveRestoreConnector

class MagpieTTSModel:
    @classmethod
    def restore_from(
        cls,
        restore_path: str,
        override_config_path: Any = None,
        map_location: str | None = None,
        strict: bool = True,
        return_config: bool = False,
        trainer: None = None,
        save_restore_connector: SaveRestoreConnector | None = None,
    ) -> Any: ...
