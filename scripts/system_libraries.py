"""Which of the system libraries that WeasyPrint needs are missing here. Prints package names, one a line; needs no venv.

Only the standard library: set-up runs this with whatever Python it found, before anything is installed.
"""

import ctypes
import sys
from pathlib import Path

DEBIAN_PACKAGES = {
    "libpango-1.0-0": "libpango-1.0.so.0",
    "libpangoft2-1.0-0": "libpangoft2-1.0.so.0",
    "libharfbuzz-subset0": "libharfbuzz-subset.so.0",
}
"""Debian and Ubuntu package to the shared object in it."""

DEBIAN_FONT_PACKAGE = "fonts-dejavu-core"
"""Any system font will do: without one, rendering ends in a segmentation fault."""

FONT_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".fonts",
    Path.home() / ".local/share/fonts",
)
FONT_SUFFIXES = {".ttf", ".otf", ".ttc", ".pfb"}

MAC_LIBRARY_FOLDERS = (Path("/opt/homebrew/lib"), Path("/usr/local/lib"))
MAC_LIBRARIES = ("libpango-1.0.dylib", "libpangoft2-1.0.dylib", "libharfbuzz-subset.dylib")


def is_loadable(shared_object: str) -> bool:
    """True when the dynamic linker finds and opens the library."""
    try:
        ctypes.CDLL(shared_object)
    except OSError:
        return False
    return True


def has_font(folders: tuple[Path, ...] = FONT_FOLDERS) -> bool:
    """True when any font file stands in the usual folders."""
    return any(file.suffix.lower() in FONT_SUFFIXES for folder in folders if folder.is_dir() for file in folder.rglob("*"))


def missing_packages(platform: str = sys.platform) -> list[str]:
    """Packages to install: Debian names on Linux, ``pango`` for Homebrew on macOS."""
    if platform == "darwin":
        found = all(
            any((folder / name).exists() for folder in MAC_LIBRARY_FOLDERS) or is_loadable(name) for name in MAC_LIBRARIES
        )
        return [] if found else ["pango"]
    missing = [package for package, shared_object in DEBIAN_PACKAGES.items() if not is_loadable(shared_object)]
    return missing if has_font() else [*missing, DEBIAN_FONT_PACKAGE]


if __name__ == "__main__":
    print("\n".join(missing_packages()))
