class SaveRestoreConnector:
    model_extracted_dir: str | None
