"""Asks the page's server as a browser does, without one."""

import json
import uuid

import httpx

VIEW = [64, "weighted", 10, [], False, "", ""]
"""Settings of the search page, in their order."""


class Client:
    """A visitor of a page.

    Args:
        url: where the page is.
    """

    def __init__(self, url):
        self.http = httpx.Client(base_url=url, timeout=60)
        self.session = uuid.uuid4().hex

    def functions(self):
        """Name → number of what the page may ask the server for."""
        found = self.http.get("/config").json()["dependencies"]
        return {one["api_name"]: one["id"] for one in reversed(found)}

    def ask(self, number, data):
        """Call a function; gives what it answers, or {"error": …}."""
        body = {"data": data, "fn_index": number, "session_hash": self.session}
        reply = self.http.post("/gradio_api/queue/join", json=body)
        if reply.status_code != 200:
            return {"error": reply.text}
        place = f"/gradio_api/queue/data?session_hash={self.session}"
        with self.http.stream("GET", place) as events:
            for line in events.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    if message["msg"] == "process_completed":
                        return message["output"] | {"success": message["success"]}
        raise AssertionError("no answer")

    def send(self, name, content):
        """Send a file; gives the server's reply."""
        return self.http.post("/gradio_api/upload", files={"files": (name, content)})

    def upload(self, name, content):
        """Send a file; gives where the server put it."""
        reply = self.send(name, content)
        reply.raise_for_status()
        return described(reply.json()[0], name)


def described(path, name="a.jpg"):
    """A file as Gradio's script describes it."""
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
