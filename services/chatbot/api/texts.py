"""The texts that people read, in Korean, English and Japanese; the only place that has any.

A key is `title.<code>` or `detail.<code>` of an error, or `problem.<name>` of a wrong field or body (these live in
`problem_texts`). Texts name the remedy. They may show names of fields and numbers, never a value that somebody sent.
"""

from collections.abc import Mapping
from typing import Final

from chatbot.api.accounts.limit_texts import LIMIT_TEXTS
from chatbot.api.characters.texts import CHARACTER_TEXTS
from chatbot.api.document_texts import DOCUMENT_TEXTS
from chatbot.api.personal.texts import PERSONAL_TEXTS
from chatbot.api.problem_texts import PROBLEM_TEXTS, Texts
from chatbot.api.tools.confirming import CONFIRM_TEXTS

DEFAULT_LANGUAGE: Final = "ko"
LANGUAGES: Final = ("ko", "en", "ja")
_MAX_HEADER_CHARACTERS = 500
_MORE_TEXTS: Final = PROBLEM_TEXTS | DOCUMENT_TEXTS | CONFIRM_TEXTS | LIMIT_TEXTS | CHARACTER_TEXTS | PERSONAL_TEXTS


def choose_language(accept_language: str) -> str:
    """The best of `LANGUAGES` for an `Accept-Language` header (RFC 9110, 12.5.4); Korean where none fits."""
    best, best_weight = DEFAULT_LANGUAGE, 0.0
    for item in accept_language[:_MAX_HEADER_CHARACTERS].split(","):
        tag, _, parameter = item.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        weight = _weight(parameter)
        if language == "*":
            language = DEFAULT_LANGUAGE
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip().lower() == "q" and 0.0 <= weight <= 1.0 else 0.0


def text(key: str, language: str, values: Mapping[str, object] | None = None) -> str:
    """The text of a key, with the placeholders filled in.

    Raises:
        KeyError: There is no such key or a placeholder has no value.
    """
    return TEXTS[key][LANGUAGES.index(language)].format_map(values or {})


TEXTS: Final[dict[str, Texts]] = {
    "title.invalid_input": ("요청 값이 올바르지 않습니다", "A field is wrong", "入力値が正しくありません"),
    "detail.invalid_input": ("{field}: {problem}", "{field}: {problem}", "{field}: {problem}"),
    "title.malformed_body": ("요청 본문을 읽을 수 없습니다", "The body cannot be read", "リクエスト本文を読めません"),
    "detail.malformed_body": ("{problem}", "{problem}", "{problem}"),
    "title.body_too_large": ("요청 본문이 너무 큽니다", "The body is too large", "リクエスト本文が大きすぎます"),
    "detail.body_too_large": (
        "본문은 {limit_bytes}바이트 이하로 보내 주세요.",
        "Send a body of at most {limit_bytes} bytes.",
        "本文は{limit_bytes}バイト以下で送ってください。",
    ),
    "title.body_timeout": (
        "본문이 제때 도착하지 않았습니다",
        "The body came too slowly",
        "本文が時間内に届きませんでした",
    ),
    "detail.body_timeout": (
        "요청 본문을 끝까지 보내 다시 시도해 주세요.",
        "Send the whole body without pauses.",
        "本文を最後まで送って、もう一度お試しください。",
    ),
    "title.unauthorized": ("API 키가 필요합니다", "An API key is needed", "APIキーが必要です"),
    "detail.unauthorized": (
        "헤더 Authorization: Bearer <키>에 유효한 API 키를 보내 주세요.",
        "Send a valid API key in the header Authorization: Bearer <key>.",
        "有効なAPIキーをヘッダー Authorization: Bearer <キー> で送ってください。",
    ),
    "title.forbidden": ("여기서는 허용되지 않습니다", "Not allowed from here", "ここからは許可されていません"),
    "detail.forbidden": (
        "API 키 없이는 대화 기록을 같은 컴퓨터에서만 볼 수 있습니다. 운영자에게 키 설정을 요청해 주세요.",
        "Without API keys, conversations are shown on the same machine only. Ask the operator to set up keys.",
        "APIキーが設定されていない場合、会話は同じコンピューターからのみ参照できます。運用者にキーの設定を依頼してください。",
    ),
    "title.scope_missing": ("이 키로는 할 수 없습니다", "The key may not do this", "このキーではできません"),
    "detail.scope_missing": (
        "이 API 키에는 {scope} 권한이 없습니다. 권한이 있는 키를 운영자에게 요청해 주세요.",
        "This API key lacks the scope {scope}. Ask the operator for a key that has it.",
        "このAPIキーには {scope} の権限がありません。権限のあるキーを運用者に依頼してください。",
    ),
    "title.service_not_allowed": (
        "이 서비스용 키가 아닙니다",
        "The key is for another service",
        "このサービス用のキーではありません",
    ),
    "detail.service_not_allowed": (
        "이 API 키로는 다른 서비스만 쓸 수 있습니다. GET /key로 확인해 주세요.",
        "This API key is for another service. GET /key there tells which.",
        "このAPIキーは別のサービス用です。GET /key でご確認ください。",
    ),
    "title.model_not_allowed": (
        "이 모델용 키가 아닙니다",
        "The key is for another model",
        "このモデル用のキーではありません",
    ),
    "detail.model_not_allowed": (
        "이 API 키로는 이 모델을 쓸 수 없습니다. GET /v1/models로 쓸 수 있는 모델을 확인해 주세요.",
        "This API key is not for this model. GET /v1/models lists those that it is for.",
        "このAPIキーではこのモデルを使えません。使えるモデルは GET /v1/models でご確認ください。",
    ),
    "title.address_not_allowed": ("이 위치에서는 쓸 수 없습니다", "Not from this address", "この場所からは使えません"),
    "detail.address_not_allowed": (
        "이 API 키는 정해진 네트워크에서만 쓸 수 있습니다. 운영자에게 문의해 주세요.",
        "This API key may be used from certain networks only. Ask the operator.",
        "このAPIキーは決められたネットワークからのみ使えます。運用者にお問い合わせください。",
    ),
    "title.tenant_suspended": ("이용이 정지되었습니다", "Suspended", "利用が停止されています"),
    "detail.tenant_suspended": (
        "운영자가 이 API 키의 테넌트를 정지했습니다. 운영자에게 문의해 주세요.",
        "The operator has suspended the tenant of this API key. Ask the operator.",
        "運用者がこのAPIキーのテナントを停止しています。運用者にお問い合わせください。",
    ),
    "title.user_token_invalid": (
        "사용자 토큰이 필요합니다",
        "A token of the user is needed",
        "ユーザートークンが必要です",
    ),
    "detail.user_token_invalid": (
        "API 키는 유효하지만 X-User-Token 헤더에 유효한 사용자 토큰이 없습니다. 서버에서 새 토큰을 받아 주세요.",
        "The API key is valid; the header X-User-Token has no valid token of a user. Get a new one from your server.",
        "APIキーは有効ですが、X-User-Token に有効なユーザートークンがありません。サーバーで再発行してください。",
    ),
    "title.gateway_user_invalid": (
        "게이트웨이가 알려 준 사용자가 올바르지 않습니다",
        "The gateway names no valid user",
        "ゲートウェイの示すユーザーが不正です",
    ),
    "detail.gateway_user_invalid": (
        "{field} 헤더는 하나여야 하고, 쉼표 없는 ASCII 1~128자여야 합니다. 운영자에게 문의해 주세요.",
        "{field} must come once, with 1 to 128 printable ASCII characters and no comma. Ask the operator.",
        "{field} は一つだけ、カンマのないASCII文字1～128字にしてください。運用者にお問い合わせください。",
    ),
    "title.user_key_needed": (
        "본인의 외부 모델 키가 필요합니다",
        "A key of your own is needed",
        "ご自身のキーが必要です",
    ),
    "detail.user_key_needed": (
        "외부 모델은 본인의 키로만 쓸 수 있습니다. X-Upstream-Api-Key로 보내거나 로컬 모델을 사용해 주세요.",
        "The second backend is asked with your own key here. Send it as X-Upstream-Api-Key, or use the local model.",
        "外部モデルはご自身のキーでのみ使えます。X-Upstream-Api-Key で送るか、ローカルモデルをお使いください。",
    ),
    "title.user_key_refused": ("외부 모델이 키를 거부했습니다", "Your key was refused", "キーが拒否されました"),
    "detail.user_key_refused": (
        "외부 모델이 본인의 키를 받지 않습니다. 키를 확인하거나 로컬 모델을 사용해 주세요.",
        "The second backend does not take your own key. Check it with whoever gave it to you, or use the local model.",
        "外部モデルがご自身のキーを受け付けません。キーを確認するか、ローカルモデルをお使いください。",
    ),
    "title.user_key_limited": ("본인 키의 한도에 도달했습니다", "Your key is limited", "キーの上限に達しました"),
    "detail.user_key_limited": (
        "외부 모델이 본인의 키를 지금은 더 받지 않습니다. {wait} 뒤에 다시 시도하거나 로컬 모델을 사용해 주세요.",
        "The second backend takes no more of your own key now. Try again in {wait}, or use the local model.",
        "外部モデルがご自身のキーを今は受け付けません。{wait}後に再試行するか、ローカルモデルをお使いください。",
    ),
    "title.user_mismatch": ("다른 사용자의 키입니다", "The key speaks for another user", "別のユーザーのキーです"),
    "detail.user_mismatch": (
        "{field}: 이 API 키는 다른 사용자에게 묶여 있습니다. 빼거나 그 사용자를 적어 주세요.",
        "{field}: this API key is bound to another user. Name that one, or leave the field out where it may be.",
        "{field}: このAPIキーは別のユーザー専用です。そのユーザーを指定するか、省略してください。",
    ),
    "title.keys_unavailable": (
        "지금은 키를 확인할 수 없습니다",
        "The key cannot be checked now",
        "現在キーを確認できません",
    ),
    "detail.keys_unavailable": (
        "키가 거부된 것은 아닙니다. 그대로 두고 잠시 뒤에 다시 시도해 주세요.",
        "The key was not refused: keep it, and try again a little later.",
        "キーが拒否されたわけではありません。そのまま、しばらくしてからもう一度お試しください。",
    ),
    "title.not_found": ("찾을 수 없습니다", "Not found", "見つかりません"),
    "detail.not_found": (
        "이 주소에는 아무것도 없습니다. /docs에서 주소를 확인해 주세요.",
        "There is nothing at this address. See /docs for what there is.",
        "このアドレスには何もありません。/docs をご確認ください。",
    ),
    "title.method_not_allowed": ("지원하지 않는 메서드입니다", "Method not allowed", "許可されていないメソッドです"),
    "detail.method_not_allowed": (
        "헤더 Allow에 있는 메서드를 사용해 주세요.",
        "Use a method that the header Allow names.",
        "ヘッダー Allow にあるメソッドを使ってください。",
    ),
    "title.key_not_found": ("키가 없습니다", "No such key", "キーがありません"),
    "detail.key_not_found": (
        "그 id의 키가 없거나 이미 폐기 또는 교체되었습니다. GET /admin/keys로 확인해 주세요.",
        "There is no key of that id, or it was revoked or rotated before. GET /admin/keys lists them.",
        "そのidのキーがないか、すでに失効または交換されています。GET /admin/keys でご確認ください。",
    ),
    "title.conversation_not_found": ("대화가 없습니다", "No such conversation", "会話がありません"),
    "detail.conversation_not_found": (
        "이 사용자에게 그 db_id의 대화가 없습니다. GET /conversations로 목록을 확인해 주세요.",
        "This user has no conversation of that db_id. GET /conversations lists them.",
        "このユーザーにはその db_id の会話がありません。GET /conversations で一覧をご確認ください。",
    ),
    "title.model_not_found": ("모델이 없습니다", "No such model", "モデルがありません"),
    "detail.model_not_found": (
        "그런 모델은 여기서 제공하지 않습니다. GET /v1/models로 목록을 확인해 주세요.",
        "That model is not served here. GET /v1/models lists what is.",
        "そのモデルはここでは提供していません。GET /v1/models で一覧をご確認ください。",
    ),
    "title.conversation_erased": ("대화가 삭제되었습니다", "The conversation was erased", "会話が削除されました"),
    "detail.conversation_erased": (
        "답변을 만드는 동안 대화가 삭제되어 저장하지 않았습니다. 다시 보내면 새 대화가 시작됩니다.",
        "It was erased while the answer was made, so nothing was stored. Send again to start anew.",
        "回答の作成中に会話が削除されたため、保存しませんでした。もう一度送ると新しい会話が始まります。",
    ),
    "title.nothing_to_carry": ("이어 갈 내용이 없습니다", "Nothing to carry over", "引き継ぐ内容がありません"),
    "detail.nothing_to_carry": (
        "이 대화에는 아직 요약도 메모도 고정된 사실도 없습니다. 이 대화를 계속하거나 먼저 pins를 정해 주세요.",
        "This conversation has no summary, note or pins yet. Go on in it, or set its pins first.",
        "この会話にはまだ要約もメモもピンもありません。この会話を続けるか、先に pins を設定してください。",
    ),
    "title.queue_full": ("지금은 요청이 너무 많습니다", "Too many requests right now", "現在リクエストが多すぎます"),
    "detail.queue_full": (
        "{retry_after}초 뒤에 다시 시도해 주세요. 지금 {queue_size}개의 요청이 기다리고 있습니다.",
        "Try again in {retry_after} seconds. {queue_size} requests are waiting now.",
        "{retry_after}秒後にもう一度お試しください。現在{queue_size}件が待っています。",
    ),
    "title.timed_out": ("시간이 초과되었습니다", "The deadline passed", "タイムアウトしました"),
    "detail.timed_out_queue": (
        "차례가 오기 전에 대기 시간이 끝났습니다. 잠시 뒤에 다시 시도해 주세요.",
        "The longest wait ended before its turn came. Try again a little later.",
        "順番が来る前に待ち時間の上限に達しました。しばらくしてからもう一度お試しください。",
    ),
    "detail.timed_out_generation": (
        "제한 시간 안에 답변이 시작되지 않았습니다. 잠시 뒤에 다시 시도해 주세요.",
        "No text came before the deadline. Try again a little later.",
        "制限時間内に回答が始まりませんでした。しばらくしてからもう一度お試しください。",
    ),
    "title.model_unavailable": ("모델이 준비되지 않았습니다", "No model is ready", "モデルの準備ができていません"),
    "detail.model_unavailable": (
        "지금 제공 중인 모델이 없습니다. 잠시 뒤에 다시 시도해 주세요.",
        "No model is served at the moment. Try again later.",
        "現在提供中のモデルがありません。しばらくしてからもう一度お試しください。",
    ),
    "title.backend_unavailable": (
        "외부 모델에 연결할 수 없습니다",
        "The second backend does not answer",
        "外部モデルに接続できません",
    ),
    "detail.backend_unavailable": (
        "OpenAI 호환 백엔드가 응답하지 않거나 설정되지 않았습니다. 잠시 뒤에 다시 시도하거나 /Llama를 사용해 주세요.",
        "The OpenAI-compatible backend does not answer or is not configured. Try again later or use /Llama.",
        "OpenAI互換バックエンドが応答しないか、設定されていません。後でもう一度試すか、/Llama をお使いください。",
    ),
    "title.store_unavailable": (
        "대화 저장소에 연결할 수 없습니다",
        "The conversation store does not answer",
        "会話の保存先に接続できません",
    ),
    "detail.store_unavailable": (
        "잠시 뒤에 다시 시도하거나 db_id 없이 보내 주세요.",
        "Try again later, or send the request without db_id.",
        "しばらくしてからもう一度試すか、db_id なしで送ってください。",
    ),
    "title.draining": ("종료 중입니다", "Shutting down", "終了処理中です"),
    "detail.draining": (
        "이 서버는 종료 중입니다. 바로 다시 보내면 다른 서버가 받습니다.",
        "This process is shutting down. Send again at once; another one takes it.",
        "このサーバーは終了処理中です。すぐに再送すると別のサーバーが受け付けます。",
    ),
    "title.engine_lost": ("답변 생성이 중단되었습니다", "The answer was interrupted", "回答の生成が中断されました"),
    "detail.engine_lost": (
        "모델 엔진이 다시 시작되었습니다. 다시 보내 주세요.",
        "The model engine was restarted. Send the request again.",
        "モデルエンジンが再起動しました。もう一度送ってください。",
    ),
    "title.unavailable": ("지금은 처리할 수 없습니다", "Not available right now", "現在は処理できません"),
    "detail.unavailable": (
        "잠시 뒤에 다시 시도해 주세요.",
        "Try again a little later.",
        "しばらくしてからもう一度お試しください。",
    ),
    "title.internal": ("서버 오류입니다", "Something went wrong here", "サーバーエラーです"),
    "detail.internal": (
        "request_id와 함께 운영자에게 알려 주세요.",
        "Tell the operator, and name the request_id.",
        "request_id を添えて運用者にお知らせください。",
    ),
} | _MORE_TEXTS
