# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every SecretStore does, whatever stands behind it. A suite derives from this class and says where the files live."""

from __future__ import annotations

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import SecretStore

SECRET = b"-----BEGIN PRIVATE KEY-----\n\x00\xff"


class SecretStoreContract:
    """Needs the fixtures ``store`` and ``base``, the path of an empty folder that is safe to write in."""

    def test_what_was_written_is_found_with_mode_0600_in_folders_made_on_the_way(self, store: SecretStore, base: str) -> None:
        assert store.find(f"{base}/a/b/key") is None
        store.write(f"{base}/a/b/key", SECRET)
        found = store.find(f"{base}/a/b/key")
        assert found is not None
        assert (found.content, found.mode, found.as_asked) == (SECRET, 0o600, True)
        assert store.read(f"{base}/a/b/key") == SECRET

    def test_a_mode_is_kept_until_another_is_asked_for(self, store: SecretStore, base: str) -> None:
        modes = []
        for asked in (0o640, None, 0o400):
            store.write(f"{base}/key", SECRET, mode=asked)
            found = store.find(f"{base}/key")
            assert found is not None
            modes.append(found.mode)
        assert modes == [0o640, 0o640, 0o400]

    def test_a_later_write_replaces_the_whole_content(self, store: SecretStore, base: str) -> None:
        store.write(f"{base}/key", b"long" * 100)
        store.write(f"{base}/key", b"s")
        assert store.read(f"{base}/key") == b"s"

    def test_removing_says_whether_there_was_one(self, store: SecretStore, base: str) -> None:
        store.write(f"{base}/key", SECRET)
        assert [store.remove(f"{base}/key"), store.remove(f"{base}/key"), store.remove(f"{base}/no/key")] == [
            True,
            False,
            False,
        ]
        assert store.find(f"{base}/key") is None

    def test_what_is_not_there_is_none(self, store: SecretStore, base: str) -> None:
        assert store.read(f"{base}/none") is None
        assert store.read(f"{base}/no/none") is None
        assert store.find(f"{base}/no/none") is None

    def test_a_file_is_no_folder(self, store: SecretStore, base: str) -> None:
        store.write(f"{base}/key", SECRET)
        with pytest.raises(CollError, match="key/below"):
            store.write(f"{base}/key/below", SECRET)

    def test_a_folder_is_no_file(self, store: SecretStore, base: str) -> None:
        store.write(f"{base}/a/key", SECRET)
        with pytest.raises(Refused, match="not a regular file"):
            store.write(f"{base}/a", SECRET)
        with pytest.raises(Refused, match="not a regular file"):
            store.find(f"{base}/a")

    def test_no_secret_shows_in_what_was_found(self, store: SecretStore, base: str) -> None:
        store.write(f"{base}/key", b"hunter2")
        assert "hunter2" not in repr(store.find(f"{base}/key"))
