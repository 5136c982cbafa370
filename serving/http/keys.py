"""Keys of those who may ask, kept only as digests; never writes a key where it could be read.

A key is 32 random bytes, so one round of SHA-256 keeps it: there is nothing to guess that a slow hash would protect.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from contract.errors import ArtefactError, UsageError
from contract.files import atomic_file
from serving.http.messages import Scope

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PREFIX: Final = "cw_"
FORMAT: Final = 1


@dataclass(frozen=True)
class Key:
    """Whom a key belongs to, what it may do, and its SHA-256 in hex."""

    name: str
    scopes: tuple[Scope, ...]
    digest: str

    def may(self, scope: Scope) -> bool:
        """Whether the key's owner may do this."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True)
class Keys:
    """All keys that are let in."""

    keys: tuple[Key, ...] = ()

    def owner(self, presented: str) -> Key | None:
        """Whose key it is; takes the same time whichever key it is like."""
        digest, found = _digest(presented), None
        for key in self.keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def with_new(self, name: str, scopes: Sequence[str]) -> tuple["Keys", str]:
        """These keys and one more, and the key itself: told once, and not kept.

        Raises:
            UsageError: the name is taken, or a scope is none.
        """
        if any(key.name == name for key in self.keys):
            raise UsageError(f"key '{name}': exists; remove it first, or name another")
        known = _scopes(scopes)
        key = PREFIX + secrets.token_urlsafe(32)
        return Keys((*self.keys, Key(name, known, _digest(key)))), key

    def without(self, name: str) -> "Keys":
        """These keys but the one of this name.

        Raises:
            UsageError: there is none.
        """
        left = tuple(key for key in self.keys if key.name != name)
        if len(left) == len(self.keys):
            raise UsageError(f"key '{name}': is not known; known are {', '.join(self.names) or 'none'}")
        return Keys(left)

    @property
    def names(self) -> tuple[str, ...]:
        """Whose keys they are."""
        return tuple(key.name for key in self.keys)

    def save(self, path: Path) -> None:
        """Write them, whole or not at all, for the owner's eyes only."""
        tree = {
            "format": FORMAT,
            "keys": [{"name": k.name, "scopes": list(k.scopes), "sha256": k.digest} for k in self.keys],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            part.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
            part.chmod(0o600)


def load_keys(path: Path) -> Keys:
    """The keys of a file; none where there is no file.

    Raises:
        ArtefactError: the file is damaged.
    """
    if not path.exists():
        return Keys()
    try:
        tree = json.loads(path.read_bytes())
        return Keys(tuple(Key(each["name"], _scopes(each["scopes"]), each["sha256"]) for each in tree["keys"]))
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise ArtefactError(f"{path}: holds no keys that can be read ({error!r}); make new ones") from error


def _scopes(names: Iterable[str]) -> tuple[Scope, ...]:
    given = set(names)
    unknown = sorted(given - set(SCOPES))
    if unknown or not given:
        raise UsageError(
            f"scope: found {', '.join(map(repr, unknown)) or 'none'}; expected one or more of {', '.join(SCOPES)}"
        )
    return tuple(scope for scope in SCOPES if scope in given)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
