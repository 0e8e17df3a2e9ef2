"""Files that a body saves or deletes through Django's storages: a shadow keeps them in memory."""

from __future__ import annotations

import re
from typing import Any

from ..shadows import told_parent
from .effect_log import note

# What Django appends to a name that is taken.
_RANDOM = re.compile(r"_[A-Za-z0-9]{7}(?=\.|$)")


def install() -> None:
    """Note what is saved and deleted in this process from now on."""
    from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage

    save, delete = Storage.save, InMemoryStorage.delete

    def shadow_save(storage: Any, name: Any, content: Any, max_length: Any = None) -> Any:
        if isinstance(storage, FileSystemStorage):
            saved = _in_memory(storage, name, content, max_length)
        elif isinstance(storage, InMemoryStorage):
            saved = save(storage, name, content, max_length)
        else:
            told_parent.refuse(f"it saves a file through {type(storage).__name__}")
        note("file", f"save the file {_RANDOM.sub('', str(saved))}", of=type(storage).__name__)
        return saved

    def shadow_delete(storage: Any, name: str) -> None:
        delete(storage, name)
        note("file", f"delete the file {name}", of=type(storage).__name__)

    Storage.save = shadow_save
    InMemoryStorage.delete = shadow_delete
    _overlay(FileSystemStorage)


class _Overlay:
    """What this shadow has saved and deleted of one folder."""

    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}
        self.gone: set[str] = set()


_overlays: dict[str, _Overlay] = {}


def _of(storage: Any) -> _Overlay:
    return _overlays.setdefault(str(storage.location), _Overlay())


def _in_memory(storage: Any, name: Any, content: Any, max_length: Any) -> str:
    from django.core.files import File

    wanted = content.name if name is None else name
    content = content if hasattr(content, "chunks") else File(content, wanted)
    free = storage.get_available_name(wanted, max_length=max_length)
    overlay = _of(storage)
    overlay.saved[free] = b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in content.chunks())
    overlay.gone.discard(free)
    return str(free)


def _overlay(owner: Any) -> None:
    """Reads of a storage of files see first what the shadow has done."""
    from django.core.files.base import ContentFile

    exists, opens, size = owner.exists, owner._open, owner.size

    def shadow_exists(storage: Any, name: str) -> bool:
        here = _of(storage)
        return name in here.saved or (name not in here.gone and exists(storage, name))

    def shadow_open(storage: Any, name: str, mode: str = "rb") -> Any:
        here = _of(storage)
        if name in here.saved:
            return ContentFile(here.saved[name], name)
        if name in here.gone:
            raise FileNotFoundError(name)
        return opens(storage, name, mode)

    def shadow_size(storage: Any, name: str) -> int:
        here = _of(storage)
        return len(here.saved[name]) if name in here.saved else size(storage, name)

    def shadow_delete(storage: Any, name: str) -> None:
        here = _of(storage)
        if shadow_exists(storage, name):
            here.saved.pop(name, None)
            here.gone.add(name)
            note("file", f"delete the file {name}", of=type(storage).__name__)

    owner.exists, owner._open, owner.size, owner.delete = shadow_exists, shadow_open, shadow_size, shadow_delete
