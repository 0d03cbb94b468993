# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

import pytest
from unit.results.store.contract import StoreContract
from unit.results.store.replacing import ReplacingContract

from bsdgate.results.store.database import Store


class TestStoreInMemory(StoreContract, ReplacingContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with Store() as store:
            yield store
