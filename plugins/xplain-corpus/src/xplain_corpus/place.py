"""Where a run lies: a folder of this machine, or a place of an object store by its URL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from xplain.errors import ArtifactError, XplainError
from xplain.storage import write_bytes

OWN = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
"""What pyarrow reads and writes by itself; anything else takes fsspec."""


@dataclass(frozen=True)
class Place:
    """A folder, by its path or its URL (``s3://bucket/run``)."""

    name: str

    @classmethod
    def of(cls, given: str | Path | Place) -> Place:
        """A folder of this machine with its whole path, or a URL."""
        if isinstance(given, Place):
            return given
        text = str(given)
        return cls(text.rstrip("/") if "://" in text else os.path.abspath(text))

    def __str__(self) -> str:
        """The path or the URL."""
        return self.name

    @property
    def local(self) -> Path | None:
        """The folder, where it is one of this machine's."""
        return None if "://" in self.name else Path(self.name)

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; ArtifactError where that is not possible."""
        if self.local is not None:
            write_bytes(self.local / name, data)
            return
        system, root = self._system
        place = f"{root}/{name}"
        try:
            system.create_dir(place.rpartition("/")[0], recursive=True)
            with system.open_output_stream(place) as stream:
                stream.write(data)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{self}/{name} cannot be written: {error}") from error

    def read(self, name: str) -> bytes:
        """Read a file; OSError where that is not possible."""
        system, root = self._system
        with system.open_input_stream(f"{root}/{name}", compression=None) as stream:
            return bytes(stream.read())

    def remove(self, name: str) -> None:
        """Remove a file; OSError where that is not possible."""
        system, root = self._system
        system.delete_file(f"{root}/{name}")

    def listed(self, folder: str = "") -> dict[str, int | None]:
        """Names in the folder or in one in it, without those that are hidden; bytes of files.

        None is the size of a folder. OSError where it cannot be listed.
        """
        system, root = self._system
        chosen = pafs.FileSelector(f"{root}/{folder}".rstrip("/"), allow_not_found=True)
        found = (each for each in system.get_file_info(chosen) if each.base_name[:1] != ".")
        return {each.base_name: each.size if each.is_file else None for each in found}

    def opened(self) -> tuple[Any, str]:
        """The file system of pyarrow's, and the folder's path in it."""
        return self._system

    @cached_property
    def _system(self) -> tuple[Any, str]:
        if self.local is not None:
            return pafs.LocalFileSystem(), self.name
        scheme = self.name.partition("://")[0]
        try:
            if scheme in OWN:
                system, root = pafs.FileSystem.from_uri(self.name)
                return system, root.rstrip("/")
            import fsspec

            found, root = fsspec.core.url_to_fs(self.name)
        except (ImportError, OSError, ValueError, pa.ArrowException) as error:
            raise XplainError(f"{self} is no place that can be opened: {error}") from error
        return pafs.PyFileSystem(pafs.FSSpecHandler(found)), root.rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        """Its name alone: each process opens it by itself."""
        return {"name": self.name}
