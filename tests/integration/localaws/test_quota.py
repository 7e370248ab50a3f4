"""The quota proxy: its arithmetic, what it answers beyond the quota, what it counts, and its own speed."""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws import quota
from localaws.quota import AWS, CONTROL, QuotaBucket, Rate

ALIAS = b'{"FunctionVersion": "7", "Name": "live", "RevisionId": "r"}'


class Account(BaseHTTPRequestHandler):
    """Answers every request with an alias, and echoes what a PUT to a bucket held."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(ALIAS)

    def do_PUT(self) -> None:
        held = self._chunks() if self.headers.get("Transfer-Encoding") else self._body()
        self._answer(held if self.path.startswith("/bucket") else ALIAS)

    def do_POST(self) -> None:
        self.do_PUT()

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> bytes:
        held = io.BytesIO()
        while size := int(self.rfile.readline(), 16):
            held.write(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return held.getvalue()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Account)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def client(proxy: quota.Proxy, service: str = "lambda") -> Any:
    return boto3.client(
        service,
        endpoint_url=proxy.endpoint,
        region_name="eu-west-1",
        aws_access_key_id="111111111111",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    now = [100.0]
    bucket = QuotaBucket(Rate(rate=15, burst=15), lambda: now[0])
    assert sum(bucket.take() for _ in range(20)) == 15
    now[0] += 1 / 15
    assert [bucket.take(), bucket.take()] == [True, False]
    now[0] += 0.5
    assert sum(bucket.take() for _ in range(20)) == 7


def test_a_bucket_saves_no_more_than_its_burst() -> None:
    now = [0.0]
    bucket = QuotaBucket(Rate(rate=15, burst=15), lambda: now[0])
    now[0] += 3600
    assert sum(bucket.take() for _ in range(100)) == 15


def test_a_steady_caller_at_the_rate_is_never_refused() -> None:
    now = [0.0]
    bucket = QuotaBucket(Rate(rate=15, burst=1), lambda: now[0])
    for call in range(1, 2000):
        assert bucket.take()
        now[0] = call / 15


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/2015-03-31/functions/f?Qualifier=live", "GetFunction"),
        ("GET", "/2015-03-31/functions/f/aliases/live", "GetAlias"),
        ("PUT", "/2015-03-31/functions/f/aliases/live", "UpdateAlias"),
        ("GET", "/2015-03-31/functions/", "ListFunctions"),
        ("GET", "/2015-03-31/functions/f/versions?MaxItems=50", "ListVersionsByFunction"),
        ("POST", "/2015-03-31/functions/f/invocations?Qualifier=live", "InvokeFunction"),
        ("GET", "/none", "GET /none"),
    ],
)
def test_a_request_is_known_by_its_route(method: str, path: str, name: str) -> None:
    assert quota.operation(method, path) == name


def test_beyond_the_quota_lambda_answers_429_and_the_account_hears_nothing(upstream: str) -> None:
    rates = {**AWS, CONTROL: Rate(rate=0.01, burst=3)}
    with quota.running(upstream, rates) as proxy:
        lambda_ = client(proxy)
        for _ in range(2):
            lambda_.get_alias(FunctionName="f", Name="live")
        lambda_.update_alias(FunctionName="f", Name="live", FunctionVersion="7")
        with pytest.raises(ClientError) as refused:
            lambda_.update_alias(FunctionName="f", Name="live", FunctionVersion="8")
        answer = refused.value.response
        assert answer["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate exceeded"}
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
        assert isinstance(refused.value, lambda_.exceptions.TooManyRequestsException)
        window = proxy.window
        assert window.calls == {"GetAlias": 2, "UpdateAlias": 2}
        assert window.throttled == {"UpdateAlias": 1}
        assert 0 < window.seconds("UpdateAlias") < 5
        assert window.seconds("Invoke") == 0


def test_reads_invocations_and_other_services_do_not_count_against_the_control_plane(upstream: str) -> None:
    none = Rate(rate=0.001, burst=0)
    with quota.running(upstream, {**AWS, CONTROL: none, "GetFunction": Rate(rate=0.001, burst=2)}) as proxy:
        lambda_ = client(proxy)
        for _ in range(2):
            lambda_.get_function(FunctionName="f", Qualifier="live")
        with pytest.raises(lambda_.exceptions.TooManyRequestsException):
            lambda_.get_function(FunctionName="f", Qualifier="live")
        for _ in range(5):
            lambda_.invoke(FunctionName="f", Payload=b"{}")
        client(proxy, "ssm").get_parameter(Name="/p")
        assert proxy.window.throttled == {"GetFunction": 1}
        assert "GetParameter" not in proxy.window.calls


def test_a_reset_forgets_and_fills_the_buckets(upstream: str) -> None:
    with quota.running(upstream, {**AWS, CONTROL: Rate(rate=0.001, burst=1)}) as proxy:
        lambda_ = client(proxy)
        lambda_.get_alias(FunctionName="f", Name="live")
        proxy.reset()
        lambda_.get_alias(FunctionName="f", Name="live")
        assert proxy.window.calls == {"GetAlias": 1}
        assert not proxy.window.throttled


def test_large_and_chunked_bodies_pass_whole(upstream: str) -> None:
    body = bytes(range(256)) * 8192
    with quota.running(upstream) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        for _ in range(2):
            connection.request("PUT", "/bucket/key", body=body)
            assert connection.getresponse().read() == body
        connection.request("PUT", "/bucket/key", body=iter([body[:7], body[7:]]), encode_chunked=True)
        assert connection.getresponse().read() == body
        connection.close()


def test_an_account_that_is_gone_ends_the_connection() -> None:
    with quota.running("http://127.0.0.1:9") as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request("GET", "/")
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.getresponse()
        connection.close()


def test_it_is_never_the_bottleneck(upstream: str) -> None:
    """What it adds to a request, refused ones included, allows far more than the quotas do."""
    with quota.running(upstream, {**AWS, CONTROL: Rate(rate=0.001, burst=0)}) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        scope = "AWS4-HMAC-SHA256 Credential=1/20261124/eu-west-1/lambda/aws4_request, SignedHeaders=host"
        began = time.process_time()
        for _ in range(300):
            connection.request(
                "GET", "/2015-03-31/functions/f/aliases/live", headers={"Authorization": scope}
            )
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 429
        # CPU of client and proxy together, so that a busy machine does not decide.
        assert time.process_time() - began < 300 / 500
        connection.close()
