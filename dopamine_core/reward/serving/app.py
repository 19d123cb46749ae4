"""HTTP requests come in, replies of the wire format or errors as expected/got/remedy go out.

Nothing that a client sends ends in a traceback: what is malformed is answered with 4xx, a full queue with 503 and
``Retry-After``, a late answer with 504, a model that raises with 500 and its name.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dopamine_core.errors import DopamineError, ImageError, WireError
from dopamine_core.reward.serving.access import RefusedError, check_access, request_id_of
from dopamine_core.reward.serving.config import ServeConfig
from dopamine_core.reward.serving.evaluation import Evaluator, Job, describe, hash_of
from dopamine_core.reward.serving.metrics import Metrics
from dopamine_core.reward.serving.worker import Answered, StoppingError, Worker
from dopamine_core.reward.wire import reply as replies
from dopamine_core.reward.wire.form import parse_form
from dopamine_core.reward.wire.limits import WireSizeError
from dopamine_core.reward.wire.request import PARTS_PER_SAMPLE, from_form, from_json
from dopamine_core.reward.wire.values import EXTENSIONS, Batch

_log = logging.getLogger("dopamine.serve")
_LONGEST_DRAIN_S = 5.0
_LATEST_RETRY_S = 60
_GONE = 499  # nobody hears it; for log and metrics only


@dataclass
class RequestRecord:
    """What the log says of one request."""

    request_id: str
    method: str
    path: str
    code: int = 0
    samples: int = 0
    frames: int = 0
    waited_s: float = math.nan
    computed_s: float = math.nan
    seconds: float = math.nan
    error: str = ""


OnRequest = Callable[[RequestRecord], None]


@dataclass(eq=False)
class Service:
    """One served model: worker, metrics and the number of requests under way.

    :param on_request: told of every request once it is answered.
    """

    config: ServeConfig
    evaluator: Evaluator
    on_request: OnRequest = lambda record: None
    metrics: Metrics = field(default_factory=Metrics)
    under_way: int = 0
    stopping: bool = False

    def __post_init__(self) -> None:
        self.worker = Worker(self.evaluator)

    def decode(self, path: str, content_type: str, body: bytes) -> tuple[Batch, Job]:
        """Read a body and prepare it for the model.

        :raises WireError: when it cannot be used.
        """
        limits = self.config.limits
        if path == "/evaluate_batch":
            batch = from_json(body, limits)
        else:
            form = parse_form(content_type, body, limits.samples * PARTS_PER_SAMPLE)
            batch = from_form(form, limits)
        return batch, self.evaluator.prepare(batch)

    def most_bytes(self, path: str) -> int:
        """Largest body that an endpoint takes."""
        limits = self.config.limits
        return limits.json_bytes if path == "/evaluate_batch" else limits.request_bytes

    def retry_after_s(self) -> int:
        """When those who are under way are likely to be through."""
        pace = self.metrics.pace()
        through_s = self.under_way / pace if pace > 0.0 else 1.0
        return min(_LATEST_RETRY_S, max(1, math.ceil(through_s)))


def build_app(service: Service) -> Starlette:
    """Build the application of one service."""

    def get(path: str, answer: Callable[[Service], Response]) -> Route:
        async def endpoint(request: Request, record: RequestRecord) -> Response:
            return answer(service)

        return Route(path, _handled(service, endpoint), methods=["GET"])

    async def evaluate(request: Request, record: RequestRecord) -> Response:
        return await _evaluate(service, request, record)

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        record = RequestRecord(request_id_of(request.headers), request.method, "other")
        refusal = WireError(
            expected=f"one of {', '.join(known)}",
            got=f"{request.method} {request.url.path:.80}",
            remedy="see /model_info",
        )
        return _finish(
            service, record, time.monotonic(), _error(record, error.status_code, refusal)
        )

    posts = [
        Route(path, _handled(service, evaluate), methods=["POST"])
        for path in ("/evaluate_batch", "/evaluate_batch_npy")
    ]
    gets = [
        get("/health", _health),
        get("/gpu_status", _gpu_status),
        get("/model_info", _model_info),
        get("/metrics", _metrics),
    ]
    known = [f"{'POST' if route in posts else 'GET'} {route.path}" for route in (*posts, *gets)]
    return Starlette(routes=[*posts, *gets], exception_handlers={404: no_route, 405: no_route})


Endpoint = Callable[[Request, RequestRecord], Awaitable[Response]]


def _handled(service: Service, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Check access, turn errors into replies, count and log."""

    async def handle(request: Request) -> Response:
        began_s = time.monotonic()
        record = RequestRecord(request_id_of(request.headers), request.method, request.url.path)
        try:
            check_access(service.config, request.headers)
            response = await endpoint(request, record)
        except ClientDisconnect:
            response = Response(status_code=_GONE)
        except Exception as error:  # a back end may raise anything
            response = _error(record, _code_of(error), _named(service, error))
            if response.status_code == 503:
                response.headers["Retry-After"] = str(service.retry_after_s())
            if response.status_code == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            service.metrics.failed(type(error).__name__)
            await _drain(request, service.most_bytes(request.url.path))
        return _finish(service, record, began_s, response)

    return handle


def _finish(
    service: Service, record: RequestRecord, began_s: float, response: Response
) -> Response:
    record.code, record.seconds = response.status_code, time.monotonic() - began_s
    response.headers["X-Request-Id"] = record.request_id
    service.metrics.answered(record.path, record.code, record.seconds)
    with suppress(OSError):  # a log that cannot be written stops no robot
        service.on_request(record)
    return response


async def _evaluate(service: Service, request: Request, record: RequestRecord) -> Response:
    _admit(service)
    service.under_way += 1
    try:
        async with asyncio.timeout(service.config.timeout_s):
            job = await _job(service, request, record)
            answered = await _answered(service.worker.submit(job), job, request)
    finally:
        service.under_way -= 1
    record.waited_s, record.computed_s = answered.waited_s, answered.computed_s
    service.metrics.computed(record.frames, answered.waited_s, answered.computed_s)
    model = describe(service.evaluator.model.model_id)
    content = {**replies.to_json(answered.reply), "model": model, "request_id": record.request_id}
    return JSONResponse(content)


async def _job(service: Service, request: Request, record: RequestRecord) -> Job:
    """Read and prepare a request; its body is forgotten before it waits for the model."""
    body = await _body(request, service.most_bytes(record.path))
    kind = request.headers.get("content-type", "")
    batch, job = await asyncio.to_thread(service.decode, record.path, kind, body)
    record.samples, record.frames = len(batch.samples), batch.frames
    return job


def _admit(service: Service) -> None:
    """Take a request in, or say when to come again."""
    if service.stopping:
        service.metrics.rejected("stopping")
        raise StoppingError()
    if service.under_way >= service.config.queue:
        service.metrics.rejected("queue_full")
        raise RefusedError(
            503,
            expected=f"fewer than {service.config.queue} requests under way",
            got=f"{service.under_way}",
            remedy="ask again after the seconds of Retry-After",
        )


async def _body(request: Request, most: int) -> bytes:
    """Read a body; stop at the limit, whatever the headers announce."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(most, f"{announced} bytes announced")
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise _too_large(most, f"more than {size} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(most: int, got: str) -> WireSizeError:
    return WireSizeError(
        expected=f"a body of at most {most} bytes",
        got=got,
        remedy="send fewer or smaller frames, or large ones to /evaluate_batch_npy",
    )


async def _answered(future: Future[Answered], job: Job, request: Request) -> Answered:
    """Wait for the model; the job is abandoned when the client goes or time is up."""
    answer = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect()
        return answer.result()
    finally:
        gone.cancel()
        if not answer.done():
            job.abandoned.set()
            answer.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _drain(request: Request, most: int) -> None:
    """Read and forget the rest of a refused body: a client that still sends would not hear the answer."""
    size = 0
    try:
        async with asyncio.timeout(_LONGEST_DRAIN_S):
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # late, gone, or read before
        return


def _code_of(error: Exception) -> int:
    if isinstance(error, RefusedError):
        return error.code
    if isinstance(error, StoppingError):
        return 503
    if isinstance(error, WireSizeError):
        return 413
    if isinstance(error, (WireError, ImageError)):
        return 400
    return 504 if isinstance(error, TimeoutError) else 500


def _named(service: Service, error: Exception) -> DopamineError:
    """Say what happened, also where something foreign was raised."""
    if isinstance(error, DopamineError):
        return error
    name = service.evaluator.model.model_id.name
    if isinstance(error, TimeoutError):
        return WireError(
            expected=f"an answer of {name!r} within {service.config.timeout_s:g} s",
            got="none",
            remedy="send fewer frames, or start the server with a longer time limit",
        )
    _log.error("the reward model %r raised", name, exc_info=error)
    return DopamineError(
        expected=f"an answer of the reward model {name!r}",
        got=f"{type(error).__name__}: {error}",
        remedy="see the server's log; the server goes on",
    )


def _error(record: RequestRecord, code: int, error: DopamineError) -> JSONResponse:
    record.error = f"{type(error).__name__}: {error}"
    fields = {"expected": error.expected, "got": error.got, "remedy": error.remedy}
    content = {
        "detail": str(error),
        "error": {"kind": type(error).__name__, **fields},
        "request_id": record.request_id,
    }
    return JSONResponse(content, code)


def _health(service: Service) -> Response:
    """Robometer's words; its GPUs are this server's one worker."""
    stuck = service.worker.busy_s > service.config.timeout_s
    status = "stopping" if service.stopping else "stuck" if stuck else "healthy"
    content = {
        "status": status,
        "available_gpus": int(service.worker.busy_s == 0.0),
        "total_gpus": 1,
        "reward_model": service.evaluator.model.model_id.name,
        "under_way": service.under_way,
        "queue": service.config.queue,
    }
    return JSONResponse(content, 200 if status == "healthy" else 503)


def _gpu_status(service: Service) -> Response:
    busy = service.worker.busy_s > 0.0
    stats = {
        "total_requests": service.metrics.requests(),
        "total_processing_time": service.metrics.computed_s.total_s,
        "status": "busy" if busy else "ready",
    }
    content = {
        "total_gpus": 1,
        "available_gpus": int(not busy),
        "max_workers": 1,
        "gpu_stats": {"0": stats},
        "pool_size": 1,
    }
    return JSONResponse(content)


def _model_info(service: Service) -> Response:
    """What does not change while the server runs; a client may take its hash for the model's."""
    evaluator = service.evaluator
    model, references = evaluator.model, evaluator.references
    settings = {
        "success_threshold": model.success_threshold,
        "success_signal": model.success_signal,
        "fast": model.fast,
        "task": references.task if references else None,
        "goals": len(references.goals) if references else 0,
        "references_sha256": hash_of(references) if references else None,
        "limits": asdict(service.config.limits),
        "extensions": list(EXTENSIONS),
    }
    architecture = {"model_class": type(model).__name__, "model_module": type(model).__module__}
    content = {
        "model_path": model.model_id.name,
        "num_gpus": 1,
        "experiment_config": settings,
        "model_architecture": architecture,
        "reward_model": model.model_id.name,
        "model": describe(model.model_id),
    }
    return JSONResponse(content)


def _metrics(service: Service) -> Response:
    gauges = {
        "under_way": float(service.under_way),
        "queue_length": float(service.worker.waiting),
        "queue_limit": float(service.config.queue),
        "busy_seconds": service.worker.busy_s,
    }
    page = service.metrics.page(gauges)
    return PlainTextResponse(page, media_type="text/plain; version=0.0.4")
