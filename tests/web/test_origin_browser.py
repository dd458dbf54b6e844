"""Pages on other hosts against the page, in Chromium: nothing is read, nothing is changed."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'reid-hash[web]'")
pytest.importorskip("playwright", reason="needs playwright: pip install playwright")

from playwright.sync_api import expect, sync_playwright

from reid_hash.gallery.sqlite.gallery import Gallery
from reid_hash.web.request_filter import COOKIE
from reid_hash.web.server import Server
from reid_hash.web.settings import Settings
from tests.web.client import Client
from tests.web.test_browser import PATIENCE, launched, pytestmark

__all__ = ["pytestmark"]  # skipped where there is no browser

ATTACK = """
async (url) => {
  const told = {};
  const post = (path, body, type, mode) => fetch(url + path, {
    method: 'POST', body, mode, credentials: 'include', headers: {'content-type': type}});
  const call = (number, data, event) => JSON.stringify({
    data, fn_index: number, session_hash: 'attack', event_data: event});
  const choose = call(CHOOSE, [''], {id: '1'}), rename = call(RENAME, ['', null, 'Mallory'], null);
  const file = new FormData();
  file.append('files', new Blob([new Uint8Array(64)]), 'a.mp4');
  const tries = {
    read: () => fetch(url + '/config', {credentials: 'include'}),
    choose: () => post('/gradio_api/queue/join', choose, 'text/plain', 'no-cors'),
    wait: () => new Promise(done => setTimeout(() => done({type: 'opaque'}), 1500)),
    rename: () => post('/gradio_api/queue/join', rename, 'text/plain', 'no-cors'),
    json: () => post('/gradio_api/queue/join', rename, 'application/json', 'cors'),
    upload: () => fetch(url + '/gradio_api/upload', {
      method: 'POST', body: file, mode: 'no-cors', credentials: 'include'}),
    logout: () => post('/logout', '', 'text/plain', 'no-cors'),
  };
  for (const [name, attempt] of Object.entries(tries)) {
    try {
      const reply = await attempt();
      told[name] = reply.type === 'opaque' ? 'opaque' : reply.status + ' ' + await reply.text();
    } catch (error) {
      told[name] = 'refused';
    }
  }
  return told;
}
"""


class Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else, which puts the gallery's into a frame."""

    def do_GET(self):
        body = f"<h1>elsewhere</h1><iframe src='http://people.test:{self.server.page}/'></iframe>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()


@pytest.mark.parametrize("host", ["evil.test", "sister.people.test"])
def test_a_page_elsewhere_neither_reads_nor_forgets(folder, elsewhere, host):
    port = free_port()
    url = f"http://people.test:{port}"
    settings = Settings(folder, "127.0.0.1", port, "secret", detector="motion", url=url)
    with Server(settings) as server, sync_playwright() as playwright:
        browser = launched(playwright, "--host-resolver-rules=MAP *.test 127.0.0.1")
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        page.fill("#password", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("#ranking .rh-query")
        (cookie,) = [one for one in context.cookies(url) if one["name"] == COOKIE]
        assert (cookie["sameSite"], cookie["httpOnly"]) == ("Lax", True)

        functions = Client(server.url)
        functions.http.post("/login", data={"password": "secret"})
        numbers = functions.functions()
        elsewhere.page = port
        other = context.new_page()
        other.goto(f"http://{host}:{elsewhere.server_port}/")
        attack = ATTACK.replace("CHOOSE", str(numbers["choose"]))
        attack = attack.replace("RENAME", str(numbers["do_name"]))
        told = other.evaluate(attack, url)
        assert told["read"] == told["json"] == "refused"  # the browser withholds the answer
        assert set(told.values()) <= {"refused", "opaque"}
        assert other.frames[1].url.startswith(("chrome-error:", "about:")) or (
            "reid_hash" not in other.frames[1].content()
        )

        # the visit goes on, and nothing has changed
        assert list(server.gate.inbox.folder.glob("*/*.mp4")) == []
        page.get_by_role("tab", name="People").click()
        expect(page.locator("#people .rh-card").first).to_be_visible(timeout=PATIENCE)
        browser.close()
    with Gallery.open(folder, read_only=True) as gallery:
        assert "Mallory" not in [one.name for one in gallery.people.identities()]


def free_port():
    """A port that nothing listens at just now: the address is named before the page starts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
