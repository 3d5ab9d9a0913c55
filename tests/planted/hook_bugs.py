"""Bugs planted in webhooks: what is lost, told twice, led inside, or not signed."""

from tests.planted.bug import Bug

HERALD = "tests/simulation/test_herald.py"
POST = "tests/contract/test_webhook_post.py"
OUTBOX = "tests/contract/test_outbox.py"
HOOKS = "tests/unit/test_hooks.py"
WIRE = "tests/wire/test_webhooks.py"

HOOKS_BUGS = [
    Bug(
        "what ended before the first look is told",
        "dispatch/herald.py",
        "await self._outbox.mark() or now + OVERLAP",
        "await self._outbox.mark() or now",
        HERALD,
    ),
    Bug(
        "what ended while nobody looked is lost",
        "dispatch/herald.py",
        "self._upkeep.ended(mark - OVERLAP)",
        "self._upkeep.ended(now - OVERLAP)",
        HERALD,
    ),
    Bug(
        "a lane's notice is lost with a store that fails",
        "dispatch/herald.py",
        "heard = list(self._heard.values())",
        "heard = [self._heard.pop(key) for key in list(self._heard)]",
        HERALD,
    ),
    Bug(
        "who takes a delivery and dies takes it along",
        "store/memory_outbox.py",
        "row.due_at = until",
        "row.due_at = datetime.max",
        HERALD,
    ),
    Bug(
        "two processes send the same",
        "store/postgres_outbox.py",
        "limit $3 for update skip locked",
        "limit $3",
        OUTBOX,
    ),
    Bug(
        "what was delivered counts as waiting",
        "store/sqlite_outbox.py",
        "select hook, count(*) from deliveries where state = 'waiting' group by hook",
        "select hook, count(*) from deliveries group by hook",
        OUTBOX,
    ),
    Bug(
        "a webhook whose deliveries all went has no gauge",
        "dispatch/herald.py",
        "{**dict.fromkeys(self._hooks, 0), **await self._outbox.waiting()}",
        "dict(await self._outbox.waiting())",
        HERALD,
    ),
    Bug(
        "a happening is told as often as it is noticed",
        "store/sqlite_outbox.py",
        " on conflict do nothing",
        " on conflict (hook, id) do update set state = 'waiting'",
        OUTBOX,
    ),
    Bug("a redirect is followed", "upstream/webhooks.py", "allow_redirects=False", "allow_redirects=True", POST),
    Bug("a redirect is taken as received", "domain/hooks.py", "self.status < 300", "self.status < 400", HOOKS),
    Bug(
        "an address in the URL is not looked at",
        "upstream/webhooks.py",
        "            if not target.private:\n                _check_literal(target.url)\n",
        "",
        POST,
    ),
    Bug("names may lead inside", "upstream/webhooks.py", "if self._private or is_public(text)", "if text", POST),
    Bug(
        "an inner address in another dress",
        "upstream/webhooks.py",
        "address.ipv4_mapped or address.sixtofour",
        "address.sixtofour",
        HOOKS,
    ),
    Bug(
        "the timestamp is not the one signed",
        "upstream/webhooks.py",
        "str(int(now.timestamp()))",
        "str(int(now.timestamp()) - 9)",
        POST,
    ),
    Bug("a webhook hears of all workspaces", "domain/hooks.py", "and named", "or named", HOOKS),
    Bug("any key may send tests", "web/api.py", 'test", Scope.ADMIN', 'test", Scope.READ', WIRE),
]
