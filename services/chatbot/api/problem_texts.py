"""What is wrong with a field or a body, and what to send instead: Korean, English, Japanese."""

from typing import Final

Texts = tuple[str, str, str]

PROBLEM_TEXTS: Final[dict[str, Texts]] = {
    "problem.not_json": (
        "JSON이 아닙니다. JSON 객체 하나를 보내 주세요.",
        "It is not JSON. Send one JSON object.",
        "JSONではありません。JSONオブジェクトを1つ送ってください。",
    ),
    "problem.not_utf8": (
        "UTF-8이 아닙니다. UTF-8로 보내 주세요.",
        "It is not UTF-8. Send UTF-8.",
        "UTF-8ではありません。UTF-8で送ってください。",
    ),
    "problem.not_an_object": (
        "JSON 객체가 아닙니다. {{…}} 형태로 보내 주세요.",
        "It is not a JSON object. Send {{…}}.",
        "JSONオブジェクトではありません。{{…}} の形で送ってください。",
    ),
    "problem.nan": (
        "NaN과 Infinity는 JSON 숫자가 아닙니다. 빼고 보내 주세요.",
        "NaN and Infinity are not JSON numbers; leave them out.",
        "NaN と Infinity はJSONの数値ではありません。取り除いてください。",
    ),
    "problem.surrogate": (
        "짝이 없는 서로게이트 문자가 있습니다. 빼고 보내 주세요.",
        "It has half of a surrogate pair. Leave it out.",
        "対になっていないサロゲート文字があります。取り除いてください。",
    ),
    "problem.too_deep": (
        "너무 깊이 중첩되어 있습니다. 단계를 줄여 주세요.",
        "It is nested too deeply; flatten it.",
        "ネストが深すぎます。浅くしてください。",
    ),
    "problem.truncated": (
        "본문이 중간에 끊겼습니다. 끝까지 보내 주세요.",
        "It ends in the middle. Send all of it.",
        "本文が途中で切れています。最後まで送ってください。",
    ),
    "problem.duplicate_key": (
        "같은 이름의 필드가 두 번 있습니다. 하나만 보내 주세요.",
        "A field comes twice. Send it once.",
        "同じ名前の項目が2回あります。1回だけ送ってください。",
    ),
    "problem.content_type": (
        "헤더 Content-Type: application/json으로 보내 주세요.",
        "Send the header Content-Type: application/json.",
        "ヘッダー Content-Type: application/json を付けて送ってください。",
    ),
    "problem.content_encoding": (
        "압축하지 말고 보내 주세요.",
        "Send it without compression.",
        "圧縮せずに送ってください。",
    ),
    "problem.too_complex": (
        "JSON 객체가 너무 많습니다. 줄여 주세요.",
        "It has too many objects; send fewer.",
        "JSONオブジェクトが多すぎます。減らしてください。",
    ),
    "problem.required": ("필수 값입니다. 함께 보내 주세요.", "is required; send it.", "必須項目です。送ってください。"),
    "problem.not_text": ("문자열로 보내 주세요.", "must be text.", "文字列で送ってください。"),
    "problem.not_boolean": (
        "true 또는 false로 보내 주세요.",
        "must be true or false.",
        "true または false で送ってください。",
    ),
    "problem.not_number": ("숫자로 보내 주세요.", "must be a number.", "数値で送ってください。"),
    "problem.not_integer": ("정수로 보내 주세요.", "must be a whole number.", "整数で送ってください。"),
    "problem.not_object": ("JSON 객체로 보내 주세요.", "must be an object.", "オブジェクトで送ってください。"),
    "problem.not_list": ("목록으로 보내 주세요.", "must be a list.", "リストで送ってください。"),
    "problem.wrong_type": (
        "형식이 올바르지 않습니다. /docs를 확인해 주세요.",
        "has the wrong type; see /docs.",
        "形式が正しくありません。/docs をご確認ください。",
    ),
    "problem.wrong_choice": ("허용되는 값: {allowed}", "must be one of: {allowed}.", "使える値: {allowed}"),
    "problem.too_long": (
        "{maximum}자 이하로 줄여 주세요.",
        "must have at most {maximum} characters; shorten it.",
        "{maximum}文字以下にしてください。",
    ),
    "problem.too_short": (
        "{minimum}자 이상 입력해 주세요.",
        "must have {minimum} or more characters.",
        "{minimum}文字以上入力してください。",
    ),
    "problem.too_many": (
        "{maximum}개 이하로 보내 주세요.",
        "must have at most {maximum} items.",
        "{maximum}個以下にしてください。",
    ),
    "problem.too_few": (
        "{minimum}개 이상 보내 주세요.",
        "must have {minimum} or more items.",
        "{minimum}個以上送ってください。",
    ),
    "problem.too_large": (
        "{maximum} 이하로 보내 주세요.",
        "must be at most {maximum}.",
        "{maximum}以下にしてください。",
    ),
    "problem.too_small": (
        "{minimum} 이상으로 보내 주세요.",
        "must be at least {minimum}.",
        "{minimum}以上にしてください。",
    ),
    "problem.not_day": (
        "2026-11-21과 같은 날짜로 보내 주세요.",
        "must be a day, such as 2026-11-21.",
        "2026-11-21のような日付で送ってください。",
    ),
    "problem.after_to": ("to보다 늦을 수 없습니다.", "must not be after `to`.", "toより後にはできません。"),
    "problem.too_many_days": (
        "한 번에 {maximum}일까지 볼 수 있습니다. 기간을 줄여 주세요.",
        "reaches back too far: at most {maximum} days at a time.",
        "一度に見られるのは{maximum}日までです。期間を短くしてください。",
    ),
    "problem.not_above": (
        "{minimum}보다 커야 합니다.",
        "must be above {minimum}.",
        "{minimum}より大きくしてください。",
    ),
    "problem.not_printable": (
        "보이는 문자만 사용해 주세요.",
        "may have printable characters only.",
        "印字可能な文字だけを使ってください。",
    ),
    "problem.control_characters": (
        "제어 문자를 빼 주세요 (줄바꿈과 탭은 괜찮습니다).",
        "has control characters; leave them out (line breaks and tabs are fine).",
        "制御文字を取り除いてください(改行とタブは使えます)。",
    ),
    "problem.bad_name": (
        "영문자나 숫자로 시작하고 영문자, 숫자, 점, 밑줄, 하이픈만 {maximum}자까지 쓸 수 있습니다.",
        "starts with a letter or digit and has letters, digits, dot, underscore and hyphen only, at most {maximum}.",
        "英数字で始まり、英数字・ドット・アンダースコア・ハイフンのみ、{maximum}文字までです。",
    ),
    "problem.bad_percent_encoding": (
        "UTF-8을 퍼센트 인코딩해서 보내 주세요.",
        "must be UTF-8, percent-encoded.",
        "UTF-8をパーセントエンコードして送ってください。",
    ),
    "problem.sent_twice": ("한 번만 보내 주세요.", "must be sent once.", "1回だけ送ってください。"),
    "problem.prompt_too_long": (
        "모델의 문맥({context_tokens}토큰)에 들어가지 않습니다. 줄여 주세요.",
        "does not fit the model's context of {context_tokens} tokens; shorten it.",
        "モデルのコンテキスト({context_tokens}トークン)に収まりません。短くしてください。",
    ),
    "problem.prompt_too_long_remotely": (
        "외부 모델의 문맥에 들어가지 않습니다. 줄여 주세요.",
        "does not fit the second backend's context; shorten it.",
        "外部モデルのコンテキストに収まりません。短くしてください。",
    ),
    "problem.turn_reused": (
        "다른 질문에 이미 쓴 값입니다. 새 값을 보내 주세요.",
        "was used for another question; send a new one.",
        "別の質問で使われています。新しい値を送ってください。",
    ),
    "problem.admin_alone": (
        "admin은 다른 권한과 함께 줄 수 없습니다. 다른 권한은 별도의 키에 주세요.",
        "has admin beside other scopes; give those to another key.",
        "adminは他の権限と併用できません。他の権限は別のキーに付与してください。",
    ),
    "problem.not_networks": (
        "10.0.0.0/8 같은 네트워크 주소를 보내 주세요.",
        "must be networks like 10.0.0.0/8.",
        "10.0.0.0/8 のようなネットワークを指定してください。",
    ),
    "problem.not_public_key": (
        "PEM 형식의 공개 키(Ed25519, P-256, 2048비트 이상의 RSA)를 보내 주세요.",
        "must be a public key as PEM: Ed25519, P-256, or RSA of 2048 bits and more.",
        "PEM形式の公開鍵（Ed25519、P-256、2048ビット以上のRSA）を指定してください。",
    ),
    "problem.user_and_signer": (
        "user와 signer 중 하나만 보내 주세요.",
        "cannot be sent with user; leave one of them out.",
        "userとは併用できません。どちらかを取り除いてください。",
    ),
    "problem.not_supported": (
        "지원하지 않습니다. 빼고 보내 주세요.",
        "is not supported; leave it out.",
        "対応していません。取り除いてください。",
    ),
    "problem.message_twice": (
        "message와 user_message 중 하나만 보내 주세요.",
        "and message are the same; send one of them.",
        "message と user_message のどちらか一方だけを送ってください。",
    ),
    "problem.bad_history_entry": (
        '"user:내용" 또는 "assistant:내용"으로 보내 주세요.',
        'must be "user:text" or "assistant:text".',
        '"user:内容" または "assistant:内容" の形で送ってください。',
    ),
    "problem.bad_upstream_key": (
        "공백 없는 ASCII {minimum}~{maximum}자의 키여야 합니다.",
        "must be a key: {minimum} to {maximum} printable ASCII characters without spaces.",
        "空白のないASCII文字{minimum}～{maximum}字のキーにしてください。",
    ),
    "problem.ours_or_yours": (
        "tools, tool_choice, response_format와 함께 쓸 수 없습니다. 하나만 보내 주세요.",
        "cannot stand beside tools, tool_choice or response_format; send one of them.",
        "tools、tool_choice、response_format とは併用できません。どれか一つにしてください。",
    ),
    "problem.two_upstream_keys": (
        "서로 다른 키가 두 개 있습니다. 하나만 보내 주세요.",
        "differs from another key in the same request; send one.",
        "別のキーと一致しません。一つだけ送ってください。",
    ),
    "problem.not_supported_remotely": (
        "외부 모델이 지원하지 않습니다. 빼고 보내거나 로컬 모델을 사용해 주세요.",
        "is not supported by the second backend; leave it out, or use the local model.",
        "外部モデルが対応していません。取り除くか、ローカルモデルをお使いください。",
    ),
    "problem.bad_format_name": (
        "영문자, 숫자, 밑줄, 하이픈만 {maximum}자까지 쓸 수 있습니다.",
        "has letters, digits, underscore and hyphen only, 1 to {maximum}.",
        "英数字・アンダースコア・ハイフンのみ、{maximum}文字までです。",
    ),
    "problem.too_many_bytes": (
        "JSON으로 {maximum}바이트 이하로 줄여 주세요.",
        "must have at most {maximum} bytes as JSON; shorten it.",
        "JSONで{maximum}バイト以下にしてください。",
    ),
    "problem.schema_refused": (
        "스키마의 {pointer}에 있는 {keyword}를 쓸 수 없습니다 ({reason}). 고치거나 빼고 보내 주세요.",
        "the schema cannot be used: {keyword} at {pointer} ({reason}); change it or leave it out.",
        "スキーマの {pointer} にある {keyword} は使えません ({reason})。直すか取り除いてください。",
    ),
    "problem.local_only": (
        "이 대화는 로컬 모델에서만 답합니다. /Llama를 사용하거나 새 대화를 시작해 주세요.",
        "keeps this conversation on the local model; use /Llama, or start another conversation.",
        "この会話はローカルモデル専用です。/Llama を使うか、新しい会話を始めてください。",
    ),
    "problem.nothing_is_kept": (
        "이 테넌트는 대화를 저장하지 않습니다. 필요한 내용은 요청마다 함께 보내 주세요.",
        "This tenant keeps nothing of conversations. Send what matters with each request.",
        "このテナントは会話を保存しません。必要な内容はリクエストごとに送ってください。",
    ),
    "problem.model_elsewhere": (
        "이 모델은 외부에 있습니다. 로컬 모델을 고르거나 local_only를 빼고 보내 주세요.",
        "forbids this model, which is elsewhere; name a local one, or leave local_only out.",
        "このモデルは外部にあります。ローカルモデルを選ぶか、local_only を外してください。",
    ),
    "problem.last_not_user": (
        "마지막 메시지의 role은 user 또는 tool이어야 하고, user 메시지가 있어야 합니다.",
        "must end with a message of the role user or tool, and have one of the role user.",
        "最後のメッセージの role は user か tool にし、user のメッセージを含めてください。",
    ),
    "problem.tool_refused": (
        "도구 {tool}의 parameters {pointer}에 있는 {keyword}를 쓸 수 없습니다 ({reason}). 고치거나 빼고 보내 주세요.",
        "the tool {tool} cannot be used: {keyword} at {pointer} of parameters ({reason}); change it or leave it out.",
        "ツール {tool} の parameters {pointer} にある {keyword} は使えません ({reason})。直すか取り除いてください。",
    ),
    "problem.send_tools": (
        "지원하지 않습니다. 대신 tools로 보내 주세요.",
        "is not supported; send tools instead.",
        "対応していません。代わりに tools で送ってください。",
    ),
    "problem.send_tool_choice": (
        "지원하지 않습니다. 대신 tool_choice로 보내 주세요.",
        "is not supported; send tool_choice instead.",
        "対応していません。代わりに tool_choice で送ってください。",
    ),
    "problem.named_twice": (
        "같은 이름의 함수가 두 번 있습니다. 이름을 다르게 해 주세요.",
        "has two functions of one name; name each its own.",
        "同じ名前の関数が2つあります。名前を変えてください。",
    ),
    "problem.bad_tool_choice": (
        'none, auto, required, 함수 하나({{"type": "function", …}}) 또는 allowed_tools로 보내 주세요.',
        'must be none, auto, required, one function ({{"type": "function", …}}) or allowed_tools.',
        'none、auto、required、関数1つ({{"type": "function", …}})、または allowed_tools で送ってください。',
    ),
    "problem.choice_without_tools": (
        "tools가 없습니다. 함께 보내 주세요.",
        "needs tools; send them too.",
        "tools がありません。一緒に送ってください。",
    ),
    "problem.choice_unknown": (
        "tools에 없는 함수입니다. 있는 이름을 보내 주세요.",
        "names a function that is not in tools; name one that is.",
        "tools にない関数です。ある名前を送ってください。",
    ),
    "problem.result_without_call": (
        "messages[{index}]: tool_call_id가 바로 앞 assistant의 tool_calls에 없습니다. 맞춰 주세요.",
        "messages[{index}] has a tool_call_id that no tool_calls before it has; send that call's id.",
        "messages[{index}]: tool_call_id が直前の tool_calls にありません。その呼び出しの id にしてください。",
    ),
    "problem.call_without_result": (
        "messages[{index}] 앞의 tool_calls마다 role이 tool인 메시지를 하나씩 보내 주세요.",
        "messages[{index}] comes before each call had its one message of the role tool; send those first.",
        "messages[{index}] の前に、tool_calls ごとに role が tool のメッセージを1つずつ送ってください。",
    ),
}
