"""People debug with `buf curl`: it finds the services by reflection and reads their errors."""

import asyncio
import json
import sys
from pathlib import Path

from tests.runtime.rpc.house import GET_BALANCE, TOKEN, open_house

BUF = Path(sys.executable).with_name("buf")


async def buf_curl(url: str, *options: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *options, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, (out or err).decode()


async def test_buf_curl_calls_a_method_it_learned_by_reflection() -> None:
    async with open_house("network") as house:
        bearer = f"authorization: Bearer {TOKEN}"
        body = json.dumps({"account": "cash"})
        url = f"http://{house.address}{GET_BALANCE}"
        code, answer = await buf_curl(url, "--timeout", "30s", "-H", bearer, "-d", body)
        assert (code, json.loads(answer)) == (0, {"balance": {"account": "cash"}})


async def test_buf_curl_without_a_timeout_is_told_to_send_one() -> None:
    async with open_house("network") as house:
        bearer = f"authorization: Bearer {TOKEN}"
        code, answer = await buf_curl(f"http://{house.address}{GET_BALANCE}", "-H", bearer)
        assert code != 0
        assert "buf curl --timeout" in json.loads(answer)["message"]
