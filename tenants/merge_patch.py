"""JSON merge patch (RFC 7396), pure."""

from __future__ import annotations


def merge_patch(target: object, patch: object) -> object:
    """Return `target` with `patch` merged into it (RFC 7396 section 2); neither argument is changed.

    A null removes the member, an object is merged member by member, anything else replaces what was there.
    The caller bounds the depth of `patch`: the merge goes as deep as it does.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
