"""The grammar of a create body around its requests: what may come next, and where each mark leads."""

from enum import Enum


class Expect(Enum):
    """What comes next, as an error names it."""

    BODY = "a JSON object"
    FIRST_KEY = "a key or '}'"
    KEY = "a key"
    COLON = "':'"
    VALUE = "a value"
    AFTER_VALUE = "',' or '}'"
    FIRST_REQUEST = "a request or ']'"
    REQUEST = "a request"
    AFTER_REQUEST = "',' or ']'"
    END = "nothing more"


MOVES = {
    (Expect.BODY, ord("{")): Expect.FIRST_KEY,
    (Expect.FIRST_KEY, ord("}")): Expect.END,
    (Expect.COLON, ord(":")): Expect.VALUE,
    (Expect.AFTER_VALUE, ord(",")): Expect.KEY,
    (Expect.AFTER_VALUE, ord("}")): Expect.END,
    (Expect.FIRST_REQUEST, ord("]")): Expect.AFTER_VALUE,
    (Expect.AFTER_REQUEST, ord(",")): Expect.REQUEST,
    (Expect.AFTER_REQUEST, ord("]")): Expect.AFTER_VALUE,
}
REQUESTS = (Expect.FIRST_REQUEST, Expect.REQUEST)
KEYS = (Expect.FIRST_KEY, Expect.KEY)
MARKS = (Expect.COLON, Expect.AFTER_VALUE, Expect.AFTER_REQUEST, Expect.END)
"""Where only a mark may come."""
MOST_MEMBERS = 100
"""Members of the body: one is needed, and each more is work for nothing."""
