"""A batch of more models than are stored with it: each request goes where its own leads, by the name it has there."""

import json
import random

import pytest

from batchyard.dispatch.lanes import Place
from batchyard.domain.outcome import Failed
from batchyard.domain.request import MAX_MODELS
from batchyard.domain.result import RequestError
from batchyard.domain.routes import Names, Route, Target
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.test_lanes import Yard

ROUTES = [Route(("a-*",), (Target("one"),)), Route(("b-*",), (Target("two"),))]


def upstream(seed: int = 0) -> ScriptedUpstream:
    dice = random.Random(seed)
    return ScriptedUpstream(lambda _number, _call: (dice.uniform(0.1, 0.5), answered()))


def names(upstream: ScriptedUpstream) -> list[str]:
    return [json.loads(seen.call.params)["model"] for seen in upstream.calls]


@pytest.mark.parametrize("seed", range(3))
def test_each_goes_its_own_way_and_no_limit_is_passed(seed: int) -> None:
    async def main() -> None:
        one, two = upstream(seed), upstream(seed + 9)
        here = Yard([Place("one", one, 4), Place("two", two, 4, Names(instead={"b-3*": "third"}))], ROUTES)
        models = [f"{'ab'[number % 2]}-{number}" for number in range(MAX_MODELS + 144)] + ["c-1"]
        random.Random(seed).shuffle(models)
        await here.start()
        batch = await here.create(len(models), models=models, named=True)
        await here.ended(batch)

        kinds = await here.kinds(batch)
        assert [kind for kind, model in zip(kinds, models, strict=True) if model == "c-1"] == ["errored"]
        assert kinds.count("succeeded") == len(models) - 1
        assert sorted(names(one)) == sorted(model for model in models if model.startswith("a-"))
        asked = ["third" if model.startswith("b-3") else model for model in models if model.startswith("b-")]
        assert sorted(names(two)) == sorted(asked)
        assert one.most_in_flight == two.most_in_flight == 4
        rows = await here.kept.views.batch_usage("w", [batch.id])
        assert {row.model: row.requests for row in rows} == {model: 1 for model in models if model != "c-1"}
        await here.kill()

    run_virtual(main(), limit=1000)


def test_those_of_a_lane_that_is_away_wait_for_it_and_keep_no_other() -> None:
    async def main() -> None:
        one, two = upstream(), upstream()
        here = Yard([Place("one", one, 4), Place("two", two, 4)], ROUTES)
        models = [f"a-{number}" for number in range(MAX_MODELS)] + ["a-x", "b-x"] * 50
        await here.start()
        assert here.dispatcher is not None
        await here.dispatcher.board.pause("one", None, paused=True)
        batch = await here.create(len(models), models=models, named=True)
        await here.asleep(120.0)

        assert one.calls == []
        assert len(two.calls) == 50
        await here.dispatcher.board.pause("one", None, paused=False)
        await here.ended(batch)
        assert await here.kinds(batch) == ["succeeded"] * len(models)
        await here.kill()

    run_virtual(main(), limit=2000)


def test_a_lane_that_fails_learns_from_them() -> None:
    async def main() -> None:
        broken = ScriptedUpstream(always(Failed(RequestError("api_error", "down")), seconds=0.1))
        here = Yard([Place("one", broken, 4), Place("two", upstream(), 4)], ROUTES)
        models = [f"b-{number}" for number in range(MAX_MODELS)] + ["a-x"] * 300
        await here.start()
        await here.create(len(models), models=models, named=True)
        await here.asleep(60.0)

        assert here.dispatcher is not None
        [lane] = [one for one in here.dispatcher.board.board().lanes if one.lane == "one/a-x"]
        assert lane.state in ("held", "probing")
        assert len(broken.calls) <= 40
        await here.kill()

    run_virtual(main(), limit=2000)
