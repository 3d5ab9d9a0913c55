"""Who asks: Google's and Azure's object stores take nobody else's word, and a server that may not ask says so."""

import pytest

from batchyard.blobs.bucket import Bucket
from batchyard.domain.errors import DataRefused
from tests.object_stores import STORES

OTHERS = [
    pytest.param("gs", "GOOGLE_BEARER_TOKEN", "another token", id="gs"),
    pytest.param("az", "AZURE_STORAGE_ACCOUNT_KEY", "bm90IHRoaXMga2V5", id="az", marks=pytest.mark.accept),
]


@pytest.mark.parametrize(("kind", "variable", "wrong"), OTHERS)
def test_credentials_that_are_not_right_are_refused_in_words(
    kind: str, variable: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = STORES[kind]().url("refused")
    monkeypatch.setenv(variable, wrong)

    with pytest.raises(DataRefused, match=r"batchyard\.json cannot be written|its owner cannot be read") as refused:
        Bucket.open(url, "db")
    assert "\n" not in str(refused.value)
    assert wrong not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        pytest.param("gs", "gs://there-is-none/p", id="gs"),
        pytest.param("az", "az://there-is-none/p", id="az", marks=pytest.mark.accept),
    ],
)
def test_a_bucket_that_is_not_there_is_refused_in_words(kind: str, url: str) -> None:
    STORES[kind]()

    with pytest.raises(DataRefused, match="there is no such bucket"):
        Bucket.open(url, "db")
