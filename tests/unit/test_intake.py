"""What a create body must look like, what is said of one that does not, and what becomes of one that does."""

import hashlib
import json
import zlib

import pytest

from batchyard.domain.errors import BatchyardError, InvalidRequest, TooLarge
from batchyard.intake.body import Intake, Limits
from batchyard.intake.requests import LARGE_BYTES, Piece

GOOD = b'{"custom_id":"a","params":{}}'


def split(
    body: bytes, limits: Limits | None = None, *, step: int = 1 << 30, window: int = 1 << 18
) -> tuple[Intake, bytes]:
    intake = Intake(limits or Limits(), window_bytes=window)
    pieces: list[Piece] = []
    for start in range(0, len(body), step):
        pieces += intake.feed(body[start : start + step])
    pieces += intake.finish()
    return intake, b"".join(pieces)


def refusal(body: bytes, limits: Limits | None = None) -> str:
    """Return what is said of the body, the same for several chunk and window sizes."""
    said = set()
    for step, window in ((1 << 30, 1 << 18), (1, 1 << 18), (1, 8), (7, 64), (1 << 30, 64)):
        with pytest.raises(BatchyardError) as caught:
            split(body, limits, step=step, window=window)
        said.add(f"{caught.value.type}: {caught.value.message}")
    assert len(said) == 1, said
    return said.pop().removeprefix("invalid_request_error: ")


def requests(*entries: bytes) -> bytes:
    return b'{"requests":[' + b",".join(entries) + b"]}"


def entry(number: int, params: bytes = b"{}") -> bytes:
    return b'{"custom_id":"r%d","params":%s}' % (number, params)


def test_params_keep_every_byte_they_were_sent_with() -> None:
    params = [
        b'{ "z" : 1,\n\t"a":123456789012345678901234567890, "u":"\\u00e9\\/\\ud83d\\ude00", "z":1.50e+3 }',
        '{"ü":"日本語 😀"}'.encode(),
        b"{}",
    ]

    intake, blob = split(b' {"requests" : [ ' + b" ,\n".join(map(entry, range(3), params)) + b" ] } \n")

    assert blob == b"".join(params)
    assert intake.drafts.custom_ids == ["r0", "r1", "r2"]
    assert list(intake.drafts.offsets) == [0, len(params[0]), len(params[0]) + len(params[1])]
    assert list(intake.drafts.lengths) == [len(each) for each in params]
    assert list(intake.drafts.crcs) == [zlib.crc32(each) for each in params]


def test_the_hash_is_that_of_the_whole_body() -> None:
    body = requests(entry(0), entry(1)) + b"\n"

    assert split(body, step=3)[0].body_sha256 == hashlib.sha256(body).hexdigest()


def test_the_model_is_named_where_it_is_a_name() -> None:
    models = [
        b'"m1"',
        b'"m\\u0031"',
        b"5",
        b"null",
        b'["m1"]',
        b"9" * 5000,
        b"1e999",
        b'"' + b"m" * 257 + b'"',
        b'"\\u0000"',
    ]
    bodies = [entry(i, b'{"max_tokens":1,"model":%s,"x":{"model":"no"}}' % model) for i, model in enumerate(models)]

    intake, _ = split(requests(*bodies, entry(98), entry(99, b'{"model":"m1","model":"m2"}')))

    names = list(intake.drafts.model_names)
    named = [names[index] for index in intake.drafts.models]
    assert named == ["m1", "m1", "", "", "", "", "", "", "", "", "m2"]


def test_the_last_of_equal_keys_wins() -> None:
    body = b'{"requests":[%s,%s],"requests" : [%s]}' % (
        entry(1, b'{"first":1}'),
        entry(2),
        b'{"params":[],"custom_id":7,"custom_id":"x","custom_id":"r1","params":{"b":1},"params":{"c":2}}',
    )

    intake, blob = split(body)

    assert intake.drafts.custom_ids == ["r1"]
    assert blob[intake.drafts.offsets[0] :] == b'{"c":2}'


@pytest.mark.parametrize("wrong_first", [b"5", b"[]", b"null", b'"x"', b"{}"])
def test_a_wrong_list_may_be_replaced_by_a_right_one(wrong_first: bytes) -> None:
    intake, _ = split(b'{"requests":%s,"requests":[%s]}' % (wrong_first, GOOD))

    assert intake.drafts.custom_ids == ["a"]


def test_keys_and_custom_ids_may_be_written_with_escapes() -> None:
    body = b'{"reque\\u0073ts":[{"custom\\u005fid":"\\u0061\\u002db","par\\u0061ms":{"k":1}}]}'

    intake, blob = split(body)

    assert (intake.drafts.custom_ids, blob) == (["a-b"], b'{"k":1}')


SHAPES = [
    (b"{}", "requests: Field required"),
    (b'{"foo":{"requests":[]}}', "requests: Field required"),
    (b'{"requests":[]}', "requests: List should have at least 1 item after validation, not 0"),
    (b'{"requests":null}', "requests: Input should be a valid list"),
    (b'{"requests":{"0":1}}', "requests: Input should be a valid list"),
    (b'{"requests":"[]"}', "requests: Input should be a valid list"),
    (b'{"requests":[%s],"requests":[]}' % GOOD, "requests: List should have at least 1 item after validation, not 0"),
    (b'{"requests":[%s],"requests":1}' % GOOD, "requests: Input should be a valid list"),
    (b'{"foo":[1],"requests":[%s]}' % GOOD, "foo: Extra inputs are not permitted"),
    (b'{"requests":[%s],"foo":1}' % GOOD, "foo: Extra inputs are not permitted"),
    (b'{"requests":[%s],"":1}' % GOOD, ": Extra inputs are not permitted"),
    (b"[%s]" % GOOD, "The request body should be a JSON object: Input should be a valid dictionary"),
    (b"5", "The request body should be a JSON object: Input should be a valid dictionary"),
    (b'"x"', "The request body should be a JSON object: Input should be a valid dictionary"),
    (requests(b"5"), "requests.0: Input should be a valid dictionary"),
    (requests(GOOD, b"[]"), "requests.1: Input should be a valid dictionary"),
    (requests(GOOD, b'"x"'), "requests.1: Input should be a valid dictionary"),
    (requests(b"{}"), "requests.0.custom_id: Field required"),
    (requests(b'{"params":{}}'), "requests.0.custom_id: Field required"),
    (requests(GOOD, b'{"custom_id":5,"params":{}}'), "requests.1.custom_id: Input should be a valid string"),
    (requests(b'{"custom_id":null,"params":{}}'), "requests.0.custom_id: Input should be a valid string"),
    (requests(b'{"custom_id":"","params":{}}'), "requests.0.custom_id: String should have at least 1 character"),
    (
        requests(b'{"custom_id":"%s","params":{}}' % (b"a" * 65)),
        "requests.0.custom_id: String should have at most 64 characters",
    ),
    *(
        (
            requests(b'{"custom_id":"%s","params":{}}' % wrong),
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        )
        for wrong in (
            b"a b",
            b"a\\n",
            b"\\r\\na",
            b"../x",
            "é".encode(),
            b"a\\u0000",
            "\N{ARABIC-INDIC DIGIT ONE}".encode(),
        )
    ),
    (requests(b'{"custom_id":"a"}'), "requests.0.params: Field required"),
    (requests(b'{"custom_id":"a","params":null}'), "requests.0.params: Input should be a valid dictionary"),
    (requests(GOOD, b'{"custom_id":"b","params":[]}'), "requests.1.params: Input should be a valid dictionary"),
    (requests(b'{"custom_id":"a","params":"{}"}'), "requests.0.params: Input should be a valid dictionary"),
    (requests(b'{"custom_id":"a","params":{},"foo":1}'), "requests.0.foo: Extra inputs are not permitted"),
    (
        requests(b'{"custom_id":"dup","params":{}}', GOOD, b'{"params":{},"custom_id":"d\\u0075p"}'),
        "requests: custom_id's must be unique within a batch. Duplicate custom_id found: dup",
    ),
    (
        requests(b'{"custom_id":"!","params":1}', b"{"),
        "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
    ),
]


@pytest.mark.parametrize(("body", "message"), SHAPES, ids=[str(number) for number in range(len(SHAPES))])
def test_a_wrong_shape_is_named_with_its_place(body: bytes, message: str) -> None:
    assert refusal(body) == message


NOT_JSON = [
    (b"", "it is empty at byte 0"),
    (b" \r\n\t", "it is empty at byte 4"),
    (b"hello", "invalid character at byte 0"),
    (b"{", "it ends where a key or '}' was expected at byte 1"),
    (b"{'requests':[]}", "expected a key or '}' at byte 1"),
    (b"{,}", "expected a key or '}' at byte 1"),
    (b'{"requests"', "it ends where ':' was expected at byte 11"),
    (b'{"requests",', "expected ':' at byte 11"),
    (b'{"requests":', "it ends where a value was expected at byte 12"),
    (b'{"requests":}', "a value is missing at byte 12"),
    (b'{"requests":nul}', "a value ends too early at byte 15"),
    (b'{"requests":[,]}', "a value is missing at byte 13"),
    (b'{"requests":[', "it ends where a request or ']' was expected at byte 13"),
    (requests(GOOD)[:-2] + b",]}", "a value is missing at byte 43"),
    (requests(GOOD)[:-1] + b",}", "expected a key at byte 44"),
    (requests(GOOD)[:-1], "it ends where ',' or '}' was expected at byte 43"),
    (requests(GOOD)[:-3], "it ends where a request or ']' was expected at byte 41"),
    (requests(GOOD) + b"x", "expected nothing more at byte 44"),
    (requests(GOOD) + b"\x00", "expected nothing more at byte 44"),
    (requests(GOOD) * 2, "expected nothing more at byte 44"),
    (requests(GOOD + b" " + GOOD), "expected ',' or ']' at byte 43"),
    (b'{"requests":[%s],"x":1,,}' % GOOD, None),
    (b"\xef\xbb\xbf" + requests(GOOD), "it begins with a byte order mark; send UTF-8 without one at byte 0"),
    (requests(GOOD).decode().encode("utf-16"), None),
    (requests(GOOD).decode().encode("utf-16-le"), "expected a key or '}' at byte 1"),
    (requests(GOOD).decode().encode("utf-16-be"), "invalid character at byte 0"),
    (b'{"requests":[{"custom_id":"a","params":{]}]}', None),
]


@pytest.mark.parametrize(("body", "reason"), NOT_JSON, ids=[str(number) for number in range(len(NOT_JSON))])
def test_what_is_no_json_is_refused_with_the_place(body: bytes, reason: str | None) -> None:
    said = refusal(body)

    if reason is not None:
        assert said == f"The request body is not valid JSON: {reason}"


HOSTILE_VALUES = [
    b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b".5", b"+1", b"0x1", b"1e", b"tru", b"undefined", b"'a'",
    b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xc0\x80"', b'"\\ud800"', b'"\\udc00"',
    b'"\\ud800\\ud800"', b'"\\udc00\\ud800"', b'"\\\\\\ud800"', b'"\\ud83d\\\\\\ude00"', b'"\\x41"',
    b'"\\u12G4"', b'"\\u12"',
    b'"\x00"', b'"\x1f"', b'"\n"', b"\x00", b"[1,]", b'{"a":1,}', b'{"a" 1}', b"{a:1}", b'{1:1}', b"[1 2]", b"[1]]",
    b"/* */1", b"1//", b'{"\\ud800":1}', b'{"\xff":1}', b"\x0c1", b"\xc2\xa01", b"[" * 501 + b"]" * 501,
    b'{"a":' * 100_000, b"[" * 3_000_000,
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=[str(number) for number in range(len(HOSTILE_VALUES))])
@pytest.mark.parametrize(
    "place", [b'{"custom_id":"b","params":{"k":%s}}', b'{"params":{},"custom_id":"b","foo":%s}', b"%s"]
)
def test_hostile_json_in_a_request_is_an_invalid_request(value: bytes, place: bytes) -> None:
    body = requests(GOOD, place % value, entry(2))

    with pytest.raises(InvalidRequest, match=r"not valid JSON|requests\.1: Input should be a valid dictionary"):
        split(body, step=65_536)


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=[str(number) for number in range(len(HOSTILE_VALUES))])
@pytest.mark.parametrize("place", [b'{"foo":%s,"requests":[]}', b'{"requests":%s}', b"%s"])
def test_hostile_json_around_the_requests_is_an_invalid_request(value: bytes, place: bytes) -> None:
    with pytest.raises(InvalidRequest):
        split(place % value, step=65_536)


ODD_VALUES = [
    b"9" * 10_000, b"-1e-99999", b'"\\u0000"', b'"\\ud83d\\ude00"', b'"\\\\ud800"', b'"\x7f"', b'"\xf4\x8f\xbf\xbf"',
    b'"\xe2\x80\xa8"', b"[" * 499 + b"]" * 499, b'{"a":' * 499 + b"1" + b"}" * 499, b'{"":1,"":2}',
    b'"' + b"[{" * 600 + b'"', b'"}],[{\\"custom_id\\":"', b'[{"custom_id":1},{"custom_id":2},{"params":3}]',
]  # fmt: skip


@pytest.mark.parametrize("value", ODD_VALUES, ids=[str(number) for number in range(len(ODD_VALUES))])
@pytest.mark.parametrize("window", [64, 1 << 18])
def test_odd_but_legal_json_is_kept_as_it_is(value: bytes, window: int) -> None:
    params = b'{"k":%s}' % value

    intake, blob = split(requests(entry(0), entry(1, params), entry(2)), step=100, window=window)

    assert blob == b"{}" + params + b"{}"
    assert len(intake.drafts) == 3


@pytest.mark.parametrize("window", [64, 1 << 18])
@pytest.mark.parametrize("others", [0, 400])
def test_five_hundred_levels_are_allowed_and_one_more_is_not(window: int, others: int) -> None:
    def nested(levels: int) -> bytes:
        busy = [entry(i, b'{"a":[{"b":[]}]}') for i in range(others)]
        return requests(*busy, entry(others, b'{"a":' * levels + b"1" + b"}" * levels))

    split(nested(500), window=window)
    with pytest.raises(InvalidRequest, match="more than 500 levels of nesting"):
        split(nested(501), window=window)


def test_depth_is_judged_even_where_a_later_key_hides_it() -> None:
    deep = b'{"a":' * 600 + b"1" + b"}" * 600

    assert "levels of nesting" in refusal(requests(b'{"custom_id":"a","params":%s,"params":{}}' % deep))


def test_limits_are_exact() -> None:
    limits = Limits(max_requests=3, max_body_bytes=200, max_request_bytes=60)
    fits = entry(0, b'{"a":"%s"}' % (b"x" * (60 - 36)))
    body = requests(fits, entry(1), entry(2))

    assert len(fits) == 60
    split(body + b" " * (200 - len(body)), limits)
    assert refusal(body + b" " * (201 - len(body)), limits) == (
        "request_too_large: Request exceeds the maximum size of 200 bytes"
    )
    assert refusal(requests(entry(1), fits.replace(b"x", b"xx", 1)), limits) == (
        "request_too_large: requests.1: Request exceeds the maximum size of 60 bytes"
    )
    assert refusal(requests(*map(entry, range(4))), limits) == (
        "requests: List should have at most 3 items after validation, not 4 or more"
    )
    assert refusal(requests(*map(entry, range(3))).replace(b"]}", b",5"), limits).startswith(
        "requests: List should have"
    )


def test_a_body_that_is_too_large_is_refused_while_it_streams() -> None:
    intake = Intake(Limits(max_body_bytes=10_000))

    for _ in range(100):
        intake.feed(b" " * 100)

    with pytest.raises(TooLarge):
        intake.feed(b" ")


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b'{"requests":[{"custom_id":"a","params":{"k":"', TooLarge),
        (b'{"requests":[' + GOOD + b",", TooLarge),
        (b'{"foo":"', InvalidRequest),
        (b'{"requests":"', InvalidRequest),
        (b'{"', InvalidRequest),
        (b'"', InvalidRequest),
    ],
)
def test_one_endless_value_is_refused_while_it_streams(head: bytes, error: type[BatchyardError]) -> None:
    intake = Intake(Limits(max_request_bytes=10_000), window_bytes=1_000)
    intake.feed(head)

    for _ in range(99):
        intake.feed(b"9" * 100)

    with pytest.raises(error):
        intake.feed(b"9" * 200)


def test_a_refused_body_stays_refused() -> None:
    intake = Intake(Limits())
    with pytest.raises(InvalidRequest) as first:
        intake.feed(b"{]")

    with pytest.raises(InvalidRequest) as on_more:
        intake.feed(requests(GOOD))
    with pytest.raises(InvalidRequest) as at_the_end:
        intake.finish()

    assert first.value.message == on_more.value.message == at_the_end.value.message


def test_params_are_given_out_while_the_body_still_streams() -> None:
    body = requests(*(entry(i, json.dumps({"text": "x" * 1000}).encode()) for i in range(1000)))
    intake = Intake(Limits())
    given = 0

    for start in range(0, len(body), 65_536):
        given += sum(map(len, intake.feed(body[start : start + 65_536])))
        assert given >= start - 400_000

    assert given + sum(map(len, intake.finish())) == sum(intake.drafts.lengths)


def test_one_window_may_hold_more_requests_than_are_allowed() -> None:
    body = requests(*map(entry, range(4)))

    split(body, Limits(max_requests=4))
    assert refusal(body, Limits(max_requests=3)) == (
        "requests: List should have at most 3 items after validation, not 4 or more"
    )


def test_a_request_too_long_and_too_deep_is_called_what_shows_first() -> None:
    limits = Limits(max_request_bytes=800)
    deep, long = b"[" * 600, b'"%s",' % (b"x" * 500)

    assert "levels of nesting" in refusal(requests(entry(0, b'{"a":[%s' % deep)), limits)
    assert "maximum size" in refusal(requests(entry(0, b'{"a":[%s%s' % (long, deep))), limits)


def test_no_value_at_all_is_shorter_than_every_limit() -> None:
    assert refusal(b'}{"requests":[]}', Limits(max_request_bytes=1)).endswith("a value is missing at byte 0")


@pytest.mark.parametrize("at", [0, 262_143, 262_144, 400_000, 899_990])
def test_bad_utf_8_is_named_with_its_place_however_far_in(at: int) -> None:
    text = ("é" * 450_000).encode()
    wrong = text[:at] + b"\xc3" + text[at + 1 :] if at % 2 else text[:at] + b"\xff" + text[at + 1 :]
    body = requests(b'{"custom_id":"a","params":{"k":"%s"}}' % wrong)
    place = wrong.decode(errors="surrogateescape")

    with pytest.raises(InvalidRequest, match="not UTF-8") as caught:
        split(body, step=65_536)

    first = len(place[: next(i for i, char in enumerate(place) if char >= "\udc80")].encode())
    assert caught.value.message.endswith(f"at byte {body.index(wrong) + first}")


def test_a_large_request_is_judged_in_steps_and_comes_to_the_same() -> None:
    large = b'{"custom_id":"a","params":{"model":"m","pad":"' + b"x" * LARGE_BYTES + b'"}}'
    body = b'{"requests":[' + large + b',{"custom_id":"b","params":{}},' + large.replace(b'"a"', b'"c"') + b"]}"
    at_once, in_steps = Intake(Limits()), Intake(Limits())
    whole = b"".join([*at_once.feed(body), *at_once.finish()])

    pieces: list[Piece] = []
    steps = 0
    for start in range(0, len(body), 256 * 1024):
        pieces += in_steps.feed(body[start : start + 256 * 1024])
        while in_steps.is_behind:
            pieces += in_steps.feed(b"")
            steps += 1
    pieces += in_steps.finish()

    assert steps >= 4
    assert b"".join(pieces) == whole
    assert list(in_steps.drafts.rows()) == list(at_once.drafts.rows())
    assert in_steps.body_sha256 == at_once.body_sha256


def test_a_large_request_with_an_id_that_is_there_is_refused() -> None:
    large = b'{"custom_id":"a","params":{"pad":"' + b"x" * LARGE_BYTES + b'"}}'
    intake = Intake(Limits())
    intake.feed(b'{"requests":[{"custom_id":"a","params":{}},' + large + b"]}")

    with pytest.raises(InvalidRequest, match="Duplicate custom_id found: a"):
        intake.finish()
