"""The texts of pages: Korean, English, Japanese, in the order of `chatbot.api.texts.LANGUAGES`."""

from typing import Final

PAGE_TEXTS: Final[dict[str, tuple[str, str, str]]] = {
    "page.not_found.title": ("페이지를 찾을 수 없습니다", "There is nothing here", "ページが見つかりません"),
    "page.not_found.detail": (
        "이 주소에는 아무것도 없습니다. 아래에서 원하는 서비스를 찾아보세요.",
        "This address leads nowhere. What you are looking for may be below.",
        "このアドレスには何もありません。下のサービスからお探しください。",
    ),
    "page.docs": ("API 문서", "API docs", "APIドキュメント"),
    "page.office.name": ("오피스", "Office", "オフィス"),
    "page.office.about": (
        "업무를 돕는 어시스턴트입니다. 친절하고 간결하게 답합니다.",
        "The business assistant: kind answers that come to the point.",
        "業務を手伝うアシスタントです。親切かつ簡潔に答えます。",
    ),
    "page.character.name": ("캐릭터", "Character", "キャラクター"),
    "page.character.about": (
        "정해 준 인물의 성격과 말투를 지키며 대화합니다.",
        "Role-play that keeps its persona: name, setting and way of speaking.",
        "設定した人物の性格と口調を守って会話します。",
    ),
    "page.try": ("바로 써 보기", "Try it", "試してみる"),
    "page.endpoint.llama": ("로컬 모델의 답변", "answer of the local model", "ローカルモデルの回答"),
    "page.endpoint.openai": (
        "OpenAI 호환 백엔드의 답변",
        "answer of the second backend",
        "OpenAI互換バックエンドの回答",
    ),
    "page.endpoint.chat": ("세션이 있는 대화", "messages of a session", "セッションの会話"),
    "page.endpoint.v1_chat": ("OpenAI 형식의 채팅", "chat in OpenAI's format", "OpenAI形式のチャット"),
    "page.endpoint.v1_models": ("모델 목록", "models", "モデル一覧"),
    "page.endpoint.conversations": ("대화 목록", "list conversations", "会話一覧"),
    "page.endpoint.conversation": ("대화 읽기", "read a conversation", "会話を読む"),
    "page.endpoint.erase": ("대화 삭제", "erase a conversation", "会話を削除"),
    "page.endpoint.performance": ("처리 현황", "figures of the service", "処理状況"),
    "page.endpoint.info": ("버전과 한도", "version and limits", "バージョンと上限"),
    "page.endpoint.readyz": ("준비 상태", "readiness", "準備状態"),
}
