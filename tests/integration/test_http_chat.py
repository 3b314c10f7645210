"""The product's chat endpoints over a real socket."""

from pathlib import Path

from parts.http_service import running_service


async def test_answers_with_one_bare_json_string(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/Llama", json={"input_data": "안녕하세요!", "user_id": "test_user"})

    assert answer.status_code == 200
    assert answer.json() == "안녕하세요!"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-backend"] == "llama"
    assert len(answer.headers["x-request-id"]) >= 16
