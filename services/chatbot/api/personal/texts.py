"""What is told about erasures and exports: Korean, English, Japanese."""

from typing import Final

from chatbot.api.problem_texts import Texts

OUTSIDE: Final = ("provider", "backups", "logs", "memory")
"""What lies outside of what was erased; told with every receipt."""

PERSONAL_TEXTS: Final[dict[str, Texts]] = {
    "title.user_erased": ("사용자 데이터가 삭제되었습니다", "The user was erased", "ユーザーのデータが削除されました"),
    "detail.user_erased": (
        "이 요청이 시작된 뒤 사용자의 모든 데이터가 삭제되었거나 삭제되는 중이어서 저장하지 않았습니다. "
        "삭제가 끝난 뒤 다시 보내 주세요.",
        "Everything of the user was erased since this began, or is being erased; nothing was kept. "
        "Send again once it is over.",
        "この要求の開始後にユーザーのデータがすべて削除されたか、削除中のため、保存しませんでした。完了後に送り直してください。",
    ),
    "title.erasure_not_found": ("삭제 요청이 없습니다", "No such erasure", "削除の記録がありません"),
    "detail.erasure_not_found": (
        "최근 30일 동안 이 사용자의 삭제 요청이 없습니다. DELETE /users/…로 시작합니다.",
        "Nobody asked for an erasure of this user in the last 30 days. DELETE /users/… begins one.",
        "過去30日間に、このユーザーの削除は依頼されていません。DELETE /users/… で始まります。",
    ),
    "title.export_not_found": ("내려받을 것이 없습니다", "Nothing to download", "ダウンロードできるものがありません"),
    "detail.export_not_found": (
        "이미 내려받았거나 한 시간이 지났습니다. POST /users/…/export로 다시 요청해 주세요.",
        "It was fetched already, or an hour is over. Ask for it again: POST /users/…/export.",
        "すでにダウンロード済みか、1時間が過ぎました。POST /users/…/export で依頼し直してください。",
    ),
    "kept.limits": (
        "한도 카운터는 글 없이 가명으로 남습니다. 스스로 한도를 지울 수는 없으며, 마지막 요청 뒤 62일 안에 사라집니다.",
        "Counters of limits stay under a pseudonym, without text: nobody frees himself of his limits. They go 62 days "
        "after the last request; an operator's erasure removes them at once.",
        "上限のカウンターは本文なしで仮名のまま残ります。自分で上限を消すことはできず、最後の要求から62日以内に消えます。",
    ),
    "kept.keys": (
        "이 사용자 이름이 적힌 API 키는 운영자의 것입니다. 운영자가 chatbot-keys revoke로 없앱니다.",
        "API keys that name this user are the operator's; chatbot-keys revoke ends them.",
        "このユーザー名が書かれたAPIキーは運用者のものです。運用者が chatbot-keys revoke で失効させます。",
    ),
    "kept.audit": (
        "누가 무엇을 했는지의 기록에는 가명만 있으며, 삭제했다는 증거로 보관 기간이 끝날 때까지 남습니다.",
        "Records of who did what hold a pseudonym alone; they show that this was erased, and go when their "
        "time is over.",
        "誰が何をしたかの記録には仮名だけがあり、削除した証拠として、保存期間が終わるまで残ります。",
    ),
    "title.audit_unavailable": (
        "감사 기록을 남길 수 없습니다",
        "It cannot be recorded now",
        "監査記録を残せません",
    ),
    "detail.audit_unavailable": (
        "기록할 수 없어 아무것도 하지 않았습니다. 잠시 뒤에 다시 시도해 주세요.",
        "Nothing was done, since it could not be recorded. Try again a little later.",
        "記録できないため何も行いませんでした。しばらくしてからもう一度試してください。",
    ),
    "outside.provider": (
        "외부 모델이나 검색 서비스가 답한 적이 있다면, 그쪽 기록은 그쪽 규정(OpenAI는 보통 최대 30일)을 따릅니다.",
        "Where a model or a search elsewhere was asked, its operator's logs follow its own rules (OpenAI: usually up "
        "to 30 days).",
        "外部のモデルや検索に問い合わせた場合、その記録は先方の規定（OpenAIは通常最長30日）に従います。",
    ),
    "outside.backups": (
        "백업과 데이터베이스 저널에 있던 것은 보관 기간이 끝나면 사라집니다.",
        "Backups, and journals of the database, keep what they have until their time is over.",
        "バックアップとデータベースのジャーナルは、保存期間が終わるまで残ります。",
    ),
    "outside.logs": (
        "로그에는 글이 없고 가명, 시각, 수량만 있으며 운영자의 보관 기간을 따릅니다.",
        "Logs hold a pseudonym, times and counts, never text, for as long as the operator keeps logs.",
        "ログには本文はなく、仮名・時刻・数だけがあり、運用者の保存期間に従います。",
    ),
    "outside.memory": (
        "모델 프로세스의 메모리에는 최근 프롬프트가 다른 요청에 밀려날 때까지 숫자로 남으며, 읽을 방법은 없습니다.",
        "The memory of the model's process holds recent prompts as numbers until others take their place; no interface "
        "reads them.",
        "モデルプロセスのメモリーには最近のプロンプトが数値として残りますが、他の要求に置き換わると消え、読み出す手段はありません。",
    ),
}
