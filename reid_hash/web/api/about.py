"""What there is: the gallery, its cameras, models; and whether the service is well."""

import json

from fastapi import APIRouter
from starlette.responses import Response

from reid_hash.models.shipped import shipped_models
from reid_hash.web.api import schemas
from reid_hash.web.api.metrics import CONTENT_TYPE
from reid_hash.web.api.route import ApiRoute, json_answer, needs
from reid_hash.web.api.service import Service


def routes(service: Service) -> APIRouter:
    """The operations that tell what there is."""
    router = APIRouter(route_class=ApiRoute, tags=["about"])

    @router.get("/health", response_model=schemas.Health, openapi_extra=needs(None))
    def health() -> Response:
        """Say whether the process is alive."""
        return json_answer({"status": "ok"})

    @router.get("/ready", response_model=schemas.Health, openapi_extra=needs(None))
    def ready() -> Response:
        """Say whether requests can be answered: the gallery is there."""
        with service.reading() as gallery:
            gallery.sightings(limit=1)
        return json_answer({"status": "ok"})

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}},
        openapi_extra=needs("read"),
    )
    def metrics() -> Response:
        """Figures for Prometheus."""
        with service.reading() as gallery:
            service.metrics.sightings.set(len(gallery))
        service.metrics.working.set(service.working.taken)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    @router.get("/gallery", response_model=schemas.GalleryAnswer, openapi_extra=needs("read"))
    def get_gallery() -> Response:
        """What the gallery holds, and codes of which model it takes."""
        with service.reading() as gallery:
            calibration = gallery.calibration
            return json_answer(
                {
                    "sightings": len(gallery),
                    "bits": gallery.bits,
                    "model": gallery.model,
                    "weights": gallery.weights.tolist(),
                    "calibrated_bits": calibration.lengths if calibration else [],
                }
            )

    @router.get(
        "/calibration", response_model=schemas.CalibrationAnswer, openapi_extra=needs("read")
    )
    def get_calibration() -> Response:
        """What distances mean in the gallery; null where it was not calibrated."""
        with service.reading() as gallery:
            calibration = gallery.calibration
        told = None if calibration is None else json.loads(calibration.to_json())
        return json_answer({"calibration": told})

    @router.get("/cameras", response_model=schemas.Cameras, openapi_extra=needs("read"))
    def list_cameras() -> Response:
        """List cameras by name, with how many sightings each has."""
        with service.reading() as gallery:
            found = sorted(gallery.cameras().items())
        return json_answer({"cameras": [{"camera": c, "sightings": n} for c, n in found]})

    @router.get("/models", response_model=schemas.Models, openapi_extra=needs("read"))
    def list_models() -> Response:
        """List the models that come with the toolkit, and say which one the gallery uses."""
        model = service.served.empty.model
        told = [
            {
                "name": one.name,
                "fingerprint": str(one.facts["fingerprint"]),
                "bits": int(one.facts["bits"]),
                "summary": str(one.facts["summary"]),
                "used": one.facts["fingerprint"] == model,
            }
            for one in shipped_models()
        ]
        return json_answer({"models": told})

    return router
