"""JSON bodies, taken strictly: a number in quotes is not a number, and no damage in a body is the server's fault."""

import re
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import ClientException, InternalServerException, ValidationException

_PLACE: Final = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING_FIELD: Final = re.compile(r"required field `(.+?)`")


class JsonRequest(Request[Any, Any, Any]):
    """Litestar's request, which by itself takes `"8"` for a number and answers some broken JSON with 500."""

    async def json(self) -> Any:
        """The decoded body, of the type that the handler declares.

        Raises:
            ClientException: it is not JSON, or not whole.
            ValidationException: a field is missing or has the wrong type; `extra` names it.
        """
        declared = self.route_handler.parsed_data_field
        body = await self.body()
        try:
            if body and declared is not None:
                msgspec.json.decode(body, type=declared.annotation)
            return await super().json()
        except msgspec.ValidationError as error:
            raise ValidationException(extra=[{"key": _field(str(error)), "message": str(error)}]) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ClientException(f"malformed JSON: {error}") from None

    async def body(self) -> bytes:
        """The bytes of the body.

        Raises:
            ClientException: fewer have come than were announced.
        """
        try:
            return await super().body()
        except InternalServerException as error:  # as Litestar takes it when less comes than was announced
            raise ClientException(f"the body is not whole: {error.detail}") from None


def _field(message: str) -> str | None:
    """The field that msgspec complains of: "Expected `str`, got `int` - at `$.voice.id`" is about `voice`."""
    place = _PLACE.search(message)
    if place and place.group(1):
        return re.split(r"[.\[]", place.group(1))[0]
    missing = _MISSING_FIELD.search(message)
    return missing.group(1) if missing else None
