"""What is told about characters: Korean, English, Japanese."""

from typing import Final

from chatbot.api.problem_texts import Texts

CHARACTER_TEXTS: Final[dict[str, Texts]] = {
    "title.characters_off": ("캐릭터 기능이 없습니다", "No characters here", "キャラクター機能はありません"),
    "detail.characters_off": (
        "이 서비스는 캐릭터를 보관하지 않습니다. character 서비스를 사용해 주세요.",
        "This service keeps no characters. Use the service character.",
        "このサービスではキャラクターを保存しません。character サービスをお使いください。",
    ),
    "title.character_not_found": ("그런 캐릭터가 없습니다", "No such character", "そのキャラクターはありません"),
    "detail.character_not_found": (
        "그 이름의 캐릭터가 없습니다. GET /characters로 목록을 확인해 주세요.",
        "There is no character of that name. GET /characters lists them.",
        "その名前のキャラクターはありません。GET /characters で一覧をご確認ください。",
    ),
    "title.character_quota": ("캐릭터가 너무 많습니다", "Too many characters", "キャラクターが多すぎます"),
    "detail.character_quota": (
        "더 보관할 수 없습니다. 필요 없는 캐릭터를 DELETE /characters/…로 지운 뒤 다시 보내 주세요.",
        "There is no room for more. Erase characters that you no longer need (DELETE /characters/…), then send again.",
        "これ以上保存できません。不要なキャラクターを DELETE /characters/… で消してから、もう一度送ってください。",
    ),
    "title.character_read_only": (
        "고칠 수 없는 캐릭터입니다",
        "This character is read-only",
        "変更できないキャラクターです",
    ),
    "detail.character_read_only": (
        "이 이름은 운영자가 관리하는 캐릭터입니다. 다른 이름을 쓰거나 운영자에게 문의해 주세요 "
        "(클러스터에서는 kubectl edit chr).",
        "Whoever operates this service keeps the character of this name. Take another name, or ask them (in a cluster: "
        "kubectl edit chr).",
        "この名前は運用者が管理するキャラクターです。別の名前を使うか、運用者にお問い合わせください "
        "(クラスターでは kubectl edit chr)。",
    ),
    "problem.no_such_field": (
        "그런 필드가 없습니다. 이름을 확인하거나 서비스를 업데이트해 주세요.",
        "no such field; see whether it is spelt right, or update the services.",
        "そのフィールドはありません。名前を確認するか、サービスを更新してください。",
    ),
    "problem.not_with_card": (
        "card와 함께 쓸 수 없습니다. 둘 중 하나만 남겨 주세요.",
        "cannot stand beside a card; leave one of them out.",
        "card と一緒には使えません。どちらかを外してください。",
    ),
    "problem.bad_tenants": (
        "테넌트 이름을 하나 이상 담은 목록이어야 합니다. 모두에게 열려면 빼 주세요.",
        "must be a list with at least one name; leave it out for everybody.",
        "テナント名を1つ以上含むリストにしてください。全員に開くなら外してください。",
    ),
    "title.characters_unavailable": (
        "캐릭터 저장소가 응답하지 않습니다",
        "The store of characters does not answer",
        "キャラクターの保存先が応答しません",
    ),
    "detail.characters_unavailable": (
        "잠시 뒤에 다시 시도하거나, 캐릭터 설정을 context에 직접 적어 보내 주세요.",
        "Try again a little later, or say who the character is in context.",
        "しばらくしてからもう一度試すか、キャラクターの設定を context に書いて送ってください。",
    ),
    "problem.bad_character_name": (
        "글자나 숫자로 시작하고 글자, 숫자, 점, 밑줄, 하이픈만 {maximum}자까지 쓸 수 있습니다.",
        "starts with a letter or digit and has letters, digits, dot, underscore and hyphen only, at most {maximum}.",
        "文字か数字で始まり、文字・数字・ドット・アンダースコア・ハイフンのみ、{maximum}文字までです。",
    ),
    "problem.no_card": (
        "캐릭터 카드가 아닙니다. V1, V2, V3 카드를 JSON, PNG, CHARX로 보내 주세요.",
        "It is no character card. Send a card of version 1, 2 or 3 as JSON, PNG or CHARX.",
        "キャラクターカードではありません。V1、V2、V3 のカードを JSON、PNG、CHARX で送ってください。",
    ),
    "problem.card_is_lorebook": (
        "캐릭터 없이 로어북만 있습니다. 로어북이 들어 있는 캐릭터 카드를 보내 주세요.",
        "It is a lorebook without a character. Send the card of a character that has it.",
        "キャラクターのないロアブックです。それを含むキャラクターカードを送ってください。",
    ),
    "problem.card_damaged": (
        "카드 파일이 손상되었습니다. 만든 프로그램에서 다시 내보내 주세요.",
        "The card's file is damaged. Export it again from the program that made it.",
        "カードのファイルが壊れています。作成したプログラムから書き出し直してください。",
    ),
    "problem.card_compressed_text": (
        "압축되거나 국제화된 PNG 텍스트(zTXt, iTXt)의 카드는 읽지 않습니다. tEXt로 내보내 주세요.",
        "Cards in compressed or international text of a PNG (zTXt, iTXt) are not read. Export it as tEXt.",
        "圧縮または国際化されたPNGテキスト(zTXt、iTXt)のカードは読みません。tEXt で書き出してください。",
    ),
    "problem.card_encrypted": (
        "암호가 걸린 압축 파일입니다. 암호 없이 보내 주세요.",
        "The archive is encrypted. Send it without a password.",
        "暗号化されたアーカイブです。パスワードなしで送ってください。",
    ),
    "problem.card_too_much": (
        "풀면 너무 커지거나 부분이 너무 많습니다. 그림과 파일을 빼고 보내 주세요.",
        "It grows too large when it is read, or has too many parts. Send it without pictures and files.",
        "展開すると大きすぎるか、部分が多すぎます。画像とファイルを除いて送ってください。",
    ),
    "note.newer_version": (
        "더 새로운 버전의 카드입니다. V3으로 읽었습니다.",
        "A card of a newer version; it was read as version 3.",
        "より新しいバージョンのカードです。V3 として読みました。",
    ),
    "note.no_spec": (
        "버전이 적혀 있지 않아 V3으로 읽었습니다.",
        "It does not say its version; it was read as version 3.",
        "バージョンの記載がないため、V3 として読みました。",
    ),
    "note.wrong_type": (
        "형식이 달라 무시합니다.",
        "Has the wrong type and is ignored.",
        "型が違うため無視します。",
    ),
    "note.wrong_value": (
        "허용 범위를 벗어나 무시합니다.",
        "Is out of bounds and is ignored.",
        "範囲外のため無視します。",
    ),
    "note.keys_cut": (
        "200자 이하의 키를 20개까지만 사용합니다.",
        "Only 20 keys of at most 200 characters are used.",
        "200文字以下のキーを20個まで使います。",
    ),
    "note.greetings_cut": (
        "인사말은 50개까지만 사용합니다.",
        "Only 50 greetings are used.",
        "挨拶は50個まで使います。",
    ),
    "note.pattern_never_matches": (
        "RE2가 모르는 정규식(전방 탐색, 역참조 등)이어서 일치하는 일이 없습니다.",
        "RE2 does not have this pattern (look-around, back-references, …): it never matches.",
        "RE2 にない正規表現(先読み、後方参照など)のため、一致しません。",
    ),
    "note.patterns_cut": (
        "정규식은 50개까지만 사용합니다.",
        "Only 50 patterns are used.",
        "正規表現は50個まで使います。",
    ),
    "note.decorator_ignored": (
        "지원하지 않는 장식자여서 무시합니다.",
        "This decorator is not supported and is ignored.",
        "対応していないデコレーターのため無視します。",
    ),
    "note.not_supported": (
        "지원하지 않아 무시합니다.",
        "Is not supported and is ignored.",
        "対応していないため無視します。",
    ),
    "note.unknown_macro": (
        "모르는 매크로여서 빈칸이 됩니다.",
        "Nobody knows this macro: it becomes nothing.",
        "不明なマクロのため、空になります。",
    ),
    "note.links_not_followed": (
        "주소는 그대로 보관하고 절대 열지 않습니다.",
        "Addresses are kept and never fetched.",
        "アドレスはそのまま保存し、取得しません。",
    ),
    "note.both_versions": (
        "V2와 V3이 함께 있어 V3을 읽었습니다.",
        "It has a version 2 beside version 3; version 3 was read.",
        "V2 と V3 があるため、V3 を読みました。",
    ),
    "note.duplicate_chunk": (
        "같은 종류의 카드가 여러 개여서 마지막 것을 읽었습니다.",
        "There are several cards of one kind; the last one was read.",
        "同じ種類のカードが複数あるため、最後のものを読みました。",
    ),
    "note.picture_dropped": (
        "그림은 보관하지 않습니다.",
        "The picture is not kept.",
        "画像は保存しません。",
    ),
    "note.file_dropped": (
        "카드 안의 다른 파일은 보관하지 않습니다.",
        "Other files in the card are not kept.",
        "カード内の他のファイルは保存しません。",
    ),
    "note.assets_dropped": (
        "너무 커서 자산 목록을 뺐습니다.",
        "The list of assets was left out: it is too large.",
        "大きすぎるため、アセットの一覧を除きました。",
    ),
}
