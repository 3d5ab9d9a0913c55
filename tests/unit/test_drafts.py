"""Drafts: what is packed comes back, one by one or many at once."""

from batchyard.domain.request import MAX_MODELS, Drafts

CUSTOM_IDS = [f"r{number}" for number in range(300)]
LENGTHS = [2 + number % 7 for number in range(300)]
CRCS = [number * 7_919 % 2**32 for number in range(300)]
MODELS = [f"m{number // 2}" if number % 3 else "" for number in range(300)]


def packed(step: int) -> Drafts:
    drafts = Drafts()
    offset = 0
    for start in range(0, 300, step):
        end = start + step
        lengths = LENGTHS[start:end]
        drafts.extend(CUSTOM_IDS[start:end], lengths, CRCS[start:end], MODELS[start:end], first=offset)
        offset += sum(lengths)
    return drafts


def test_many_at_once_are_what_they_are_one_by_one() -> None:
    one_by_one = Drafts()
    offset = 0
    for custom_id, length, crc, model in zip(CUSTOM_IDS, LENGTHS, CRCS, MODELS, strict=True):
        one_by_one.add(custom_id, offset, length, crc, model=model)
        offset += length

    for step in (1, 7, 300):
        assert list(packed(step).rows()) == list(one_by_one.rows())
        assert packed(step).model_names == one_by_one.model_names


def test_models_beyond_the_most_share_no_name() -> None:
    drafts = Drafts()
    models = [f"m{number}" for number in range(MAX_MODELS + 50)]

    drafts.extend([f"r{model}" for model in models], [1] * len(models), [0] * len(models), models, first=0)

    assert len(drafts.model_names) == MAX_MODELS
    assert list(drafts.models) == [*range(1, MAX_MODELS), *[0] * 51]
