"""Bugs of the dashboard: escapes, the policy, sessions, forms."""

from tests.planted.bug import Bug

HOSTILE = "tests/web/test_hostile.py"
PAGES = "tests/web/test_pages.py"
SESSIONS = "tests/web/test_sessions.py"
STATIC = "tests/web/test_static.py"

DASHBOARD = [
    Bug("pages do not escape", "web/dashboard/pages.py", "autoescape=True", "autoescape=False", HOSTILE),
    Bug(
        "a model's text is taken for markup",
        "web/dashboard/templates/blocks.html",
        '<div class="text">{{ each.text|plain }}</div>{% for fact',
        '<div class="text">{{ each.text|safe }}</div>{% for fact',
        f"{HOSTILE} {STATIC}",
    ),
    Bug(
        "a name turns its line around",
        "web/dashboard/templates/_batches.html",
        "<bdi>{{ glance.title|plain }}</bdi>",
        "<bdi>{{ glance.title }}</bdi>",
        HOSTILE,
    ),
    Bug(
        "a custom_id ends the query of its link",
        "web/dashboard/templates/_problems.html",
        "request?{{ query(custom_id=custom_id) }}",
        "request?custom_id={{ custom_id|replace(' ', '')|safe }}",
        f"{HOSTILE} {STATIC}",
    ),
    Bug(
        "the policy lets scripts of a page run",
        "web/dashboard/pages.py",
        "script-src 'self'",
        "script-src 'self' 'unsafe-inline'",
        PAGES,
    ),
    Bug(
        "pages come without their policy",
        "web/dashboard/pages.py",
        '    ("content-security-policy", POLICY),\n',
        "",
        PAGES,
    ),
    Bug(
        "anything is handed out as a picture",
        "web/dashboard/reading.py",
        "if begin is None or not held.startswith(begin):",
        "if begin is None:",
        PAGES,
    ),
    Bug(
        "a picture of any type is handed out",
        "web/dashboard/reading.py",
        "begin = PICTURES.get(picture.media_type)",
        'begin = PICTURES.get(picture.media_type, b"")',
        PAGES,
    ),
    Bug(
        "forms may come from anywhere",
        "web/dashboard/desk.py",
        "if len(origin) != 1 or origin[0] not in self._hosts.origins(visit):",
        "if False:",
        SESSIONS,
    ),
    Bug(
        "a form without an Origin is taken",
        "web/dashboard/desk.py",
        "if len(origin) != 1 or origin[0] not",
        "if origin and origin[0] not",
        SESSIONS,
    ),
    Bug(
        "the token of a form is not looked at",
        "web/dashboard/desk.py",
        '        self._sessions.check_token(visit.session, visit.form.get("token", ""))\n',
        "",
        SESSIONS,
    ),
    Bug(
        "all sessions have one token",
        "web/dashboard/sessions.py",
        'b"token" + session.id.encode()',
        'b"token"',
        SESSIONS,
    ),
    Bug("scripts may read the cookie", "web/dashboard/sessions.py", '"Path=/", "HttpOnly", ', '"Path=/", ', SESSIONS),
    Bug("other sites send the cookie", "web/dashboard/sessions.py", "SameSite=Strict", "SameSite=None", SESSIONS),
    Bug("the cookie goes out in clear text", "web/dashboard/sessions.py", 'parts.append("Secure")', "pass", SESSIONS),
    Bug(
        "a session never ends",
        "web/dashboard/sessions.py",
        "decrypt_at_time(_held(call).encode(), LIFETIME_SECONDS, now)",
        "decrypt(_held(call).encode())",
        SESSIONS,
    ),
    Bug(
        "sessions are sealed with nothing secret",
        "web/dashboard/sessions.py",
        'sha256(b"session" + self.secret)',
        'sha256(b"session")',
        SESSIONS,
    ),
    Bug(
        "pages look at no scope",
        "web/dashboard/desk.py",
        "                auth.authorize(visit.principal, endpoint.scope)\n",
        "",
        SESSIONS,
    ),
    Bug(
        "the sign-in leads to other hosts",
        "web/dashboard/doors.py",
        ' or wanted.startswith(("//", "/\\\\"))',
        "",
        SESSIONS,
    ),
    Bug(
        "pages come under any name",
        "web/hosts.py",
        "        reached = self._reached(call)  # judged in any case\n        return self._public_url or reached",
        "        return self._public_url or self._reached(call)",
        SESSIONS,
    ),
    Bug(
        "everybody sees the usage of all",
        "web/dashboard/usage.py",
        '        everybody = visit.may("admin") and visit.query("all") is not None\n        last',
        '        everybody = visit.query("all") is not None\n        last',
        PAGES,
    ),
    Bug("a download is shown as a page", "web/dashboard/files.py", "attachment; filename", "inline; filename", PAGES),
    Bug(
        "a request of another place is shown",
        "web/dashboard/requests.py",
        "return _decode(lines[seq - first])",
        "return _decode(lines[0])",
        PAGES,
    ),
]
