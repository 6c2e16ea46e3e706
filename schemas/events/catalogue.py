"""The catalogue that every event is entered in, and the flag that ties events."""

from typing import Final

from schemas.message import Catalogue

LINKED: Final = 1
EVENTS: Final = Catalogue()
