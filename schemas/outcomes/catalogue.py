"""The catalogue that every outcome is entered in."""

from typing import Final

from schemas.message import Catalogue

OUTCOMES: Final = Catalogue()
