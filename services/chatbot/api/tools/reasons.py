"""Why a tool cannot be called, for people: Korean, English, Japanese."""

from collections.abc import Mapping
from typing import Final

from chatbot.api.problem_texts import Texts

REASONS: Final[Mapping[str, Texts]] = {
    "demo_model": (
        "데모 모델은 도구를 사용하지 않습니다. 운영자가 실제 모델을 제공하면 사용할 수 있습니다.",
        "The demo model calls no tools. They can be called once a real model is served.",
        "デモモデルはツールを使いません。実際のモデルが提供されると使えます。",
    ),
    "connecting": (
        "도구 서버에 연결하는 중입니다.",
        "The tool server is being connected.",
        "ツールサーバーに接続しています。",
    ),
    "unreachable": (
        "도구 서버에 연결할 수 없습니다. 자동으로 다시 연결합니다.",
        "The tool server cannot be reached. It is tried again and again.",
        "ツールサーバーに接続できません。自動的に再接続します。",
    ),
    "refused": (
        "도구 서버가 요청을 거절했습니다. 운영자는 주소와 토큰을 확인해 주세요.",
        "The tool server refuses us. Operators: check its address and token.",
        "ツールサーバーが要求を拒否しました。運用者はアドレスとトークンを確認してください。",
    ),
    "timeout": (
        "도구 서버가 제시간에 응답하지 않았습니다.",
        "The tool server did not answer in time.",
        "ツールサーバーが時間内に応答しませんでした。",
    ),
    "garbage": (
        "도구 서버의 응답이 MCP 규격에 맞지 않습니다.",
        "The tool server's answers are not those of MCP.",
        "ツールサーバーの応答が MCP の規格に合いません。",
    ),
    "not_allowed": (
        "운영자가 허용하지 않은 도구입니다.",
        "The operator does not allow this tool.",
        "運用者が許可していないツールです。",
    ),
    "not_approved": (
        "아직 승인되지 않은 도구입니다. 운영자는 설정에 name@pin으로 적어 주세요.",
        "This tool is not approved yet. Operators: name it as name@pin in the settings.",
        "まだ承認されていないツールです。運用者は設定に name@pin と記入してください。",
    ),
    "changed": (
        "승인된 뒤 도구의 정의가 바뀌었습니다. 운영자가 다시 확인하고 새 pin으로 승인해야 합니다.",
        "The tool's definition changed after it was approved. An operator has to look at it and approve the new pin.",
        "承認後にツールの定義が変わりました。運用者が確認し、新しい pin で承認する必要があります。",
    ),
    "missing": (
        "도구 서버에 이 이름의 도구가 없습니다.",
        "The tool server has no tool of this name.",
        "ツールサーバーにこの名前のツールはありません。",
    ),
    "writes": (
        "읽기만 하지 않는 도구라서 사용하지 않습니다.",
        "This tool does more than read, so it is not used.",
        "読み取り以外も行うツールのため使いません。",
    ),
    "bad_name": (
        "도구 이름을 사용할 수 없습니다(영문자, 숫자, _, -).",
        "The tool's name cannot be used (letters, digits, _ and -).",
        "ツールの名前が使えません（英数字、_、-）。",
    ),
    "bad_schema": (
        "도구의 인자 스키마를 지킬 수 없습니다.",
        "The schema of the tool's arguments cannot be held to.",
        "ツールの引数スキーマに従うことができません。",
    ),
    "hidden_text": (
        "도구의 정의에 보이지 않는 문자가 있습니다.",
        "The tool's definition has characters that nobody sees.",
        "ツールの定義に見えない文字が含まれています。",
    ),
    "too_many": (
        "도구가 너무 많아 함께 사용할 수 없습니다. 운영자는 필요한 것만 허용해 주세요.",
        "There are too many tools to be used together. Operators: allow those that are needed.",
        "ツールが多すぎて一緒に使えません。運用者は必要なものだけを許可してください。",
    ),
}
