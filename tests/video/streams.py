"""A camera on this machine: JPEG pictures one after the other over HTTP, which can go away."""

import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class Camera:
    """Serves frames again and again at about `fps`, until `stop`; `start` brings it back."""

    def __init__(self, frames, fps=20.0):
        self.jpegs = [bytes(cv2.imencode(".jpg", frame)[1]) for frame in frames]
        self.fps = fps
        self.port = 0
        self.served = 0
        self._server = None
        self._off = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/front.mjpg"

    def start(self):
        camera = self
        self._off = off = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not off.wait(1 / camera.fps):
                        jpeg = camera.jpegs[camera.served % len(camera.jpegs)]
                        camera.served += 1
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                        self.wfile.write(head.encode() + b"\r\n\r\n" + jpeg + b"\r\n")
                except OSError:
                    pass  # whoever looked has gone

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self._off.set()
        self._server.shutdown()
        self._server.server_close()


def plain_frames(count=6, size=(160, 120)):
    """Frames of one colour each."""
    levels = np.linspace(20, 230, count)
    return [np.full((size[1], size[0], 3), int(level), np.uint8) for level in levels]


def write_frames(path, frames, fps=10.0, code="mp4v"):
    """A video file of frames."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def write_timed(path, frames, seconds, code="libx264"):
    """A video file of frames with time stamps of their own."""
    import av

    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(code, rate=1000)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"g": "5", "bf": "0"}  # a whole picture every five
        for frame, moment in zip(frames, seconds, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="bgr24")
            picture.pts, picture.time_base = round(1000 * moment), Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


def damage(path, numbers):
    """Overwrite the data of some frames of a video file."""
    import av

    with av.open(str(path)) as file:
        packets = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number in numbers:
        start, size = packets[number]
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
