"""What a person says about a dataset on its card: license, names, tags, origin, text."""

import re
from dataclasses import dataclass

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """What a dataset card says.

    Raises:
        ConfigurationError: the license or a language is not an identifier that the Hub knows.
    """

    license: str
    """Identifier that the Hub uses, such as `cc-by-4.0`, `mit` or `other`."""
    pretty_name: str = ""
    """Title. Default: the repository's name."""
    tags: tuple[str, ...] = ()
    """Tags by which the Hub finds the dataset."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes such as `en`."""
    source_urls: tuple[str, ...] = ()
    """Pages that the data comes from. Shown without credentials."""
    text: str = ""
    """Markdown below the title."""

    def __post_init__(self) -> None:
        for name in ("tags", "languages", "source_urls"):
            checks.texts(name, getattr(self, name))
        if not _LICENSE.fullmatch(self.license):
            raise ConfigurationError(
                "license: expected an identifier such as 'cc-by-4.0', 'mit' or 'other', "
                f"got {self.license!r}"
            )
        wrong = [language for language in self.languages if not _LANGUAGE.fullmatch(language)]
        if wrong:
            raise ConfigurationError(
                "languages: expected codes of two or three lowercase letters such as 'en', "
                f"got {wrong}"
            )
