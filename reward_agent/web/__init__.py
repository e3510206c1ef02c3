"""The page of a feedback session: ``reward-agent feedback RUN --web``.

    security.py   token, Host and Origin: who may talk to the page
    live.py       the session's rounds in a thread, its events to every open page
    parts.py      what the page shows, as the templates read it
    app.py        the routes: each calls one method of the session
    server.py     the address, and uvicorn

Needs the extra ``[web]``; everything that the page loads is served from this package.
"""
