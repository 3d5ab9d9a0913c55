"""The strict judgement of params, for lanes that want what the dialect itself would refuse refused before a call."""

from batchyard.domain.params import check_params
from batchyard.domain.result import RequestError


def refuse(raw: bytes, *, version: str, betas: tuple[str, ...]) -> RequestError | None:
    """Return why the dialect refuses these params of a batch, None if it does not.

    Which models there are is the model server's to say: what the rules ask of a model is asked of known ones alone.
    """
    judged = check_params(raw, version=version, betas=betas, batched=True)
    return judged if isinstance(judged, RequestError) and judged.type != "not_found_error" else None
