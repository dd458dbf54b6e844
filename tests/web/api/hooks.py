"""Pictures for schemathesis, which cannot make any from a schema."""

import schemathesis
from hypothesis import strategies as st

from tests.web.api.conftest import b64, picture

_PICTURES = [picture(0, 8, 4, kind) for kind in (".png", ".jpg", ".bmp", ".webp")]

schemathesis.openapi.format("picture", st.sampled_from([b64(one) for one in _PICTURES]))
schemathesis.openapi.format("thumbnail", st.just(b64(picture(0, 8, 4, ".jpg"))))
schemathesis.openapi.format("picture-file", st.sampled_from(_PICTURES))
