"""An out location for the tests of delivery that records, checks and fails as told."""

from usage_etl.errors import LakeError


class StoreFailedError(Exception):
    """The store went away."""


class RecordingStore:
    """Objects in memory; records each change, calls ``check`` after it, and fails at a chosen change."""

    def __init__(self, *, check=lambda objects: None):
        self.objects = {}
        self.changes = []
        self.check = check
        self.fail_at, self.fail_after = None, False

    def head(self, key):
        """Whether the object exists."""
        return key if key in self.objects else None

    def read(self, key):
        """The bytes."""
        if key not in self.objects:
            raise LakeError(f"{key}: no such object")
        return self.objects[key]

    def write(self, key, data, *, only_if_absent=False, content_type=None):
        """One atomic change."""
        assert content_type, f"{key} has no media type"
        if only_if_absent and key in self.objects:
            return self.objects[key] == data
        self._change("write", key, lambda: self.objects.__setitem__(key, data))
        return True

    def delete(self, key):
        """One atomic change."""
        self._change("delete", key, lambda: self.objects.pop(key, None))

    def _change(self, verb, key, apply):
        is_failing = len(self.changes) == self.fail_at
        if is_failing and not self.fail_after:
            raise StoreFailedError(f"before {verb} {key}")
        apply()
        self.changes.append((verb, key))
        self.check(self.objects)
        if is_failing:
            raise StoreFailedError(f"after {verb} {key}")
