"""What is told about documents: Korean, English, Japanese."""

from typing import Final

from chatbot.api.problem_texts import Texts

DOCUMENT_TEXTS: Final[dict[str, Texts]] = {
    "title.documents_off": ("문서 기능이 꺼져 있습니다", "Documents are switched off", "文書機能は無効です"),
    "detail.documents_off": (
        "이 서비스는 문서를 다루지 않습니다. 운영자에게 CHATBOT_DOCUMENTS_STORE 설정을 요청해 주세요.",
        "This service keeps no documents. Ask the operator to set CHATBOT_DOCUMENTS_STORE.",
        "このサービスでは文書を扱いません。CHATBOT_DOCUMENTS_STORE の設定を運用者に依頼してください。",
    ),
    "title.document_not_found": ("그런 문서가 없습니다", "No such document", "その文書はありません"),
    "detail.document_not_found": (
        "이 사용자에게 그 document_id의 문서가 없습니다. GET /documents로 목록을 볼 수 있습니다.",
        "This user has no document of that document_id. GET /documents lists them.",
        "このユーザーにその document_id の文書はありません。GET /documents で一覧を確認できます。",
    ),
    "title.file_not_found": ("그런 파일이 없습니다", "No such file", "そのファイルはありません"),
    "detail.file_not_found": (
        "이 사용자에게, 또는 이 저장소에 그 id의 파일이 없습니다. GET /v1/files로 목록을 볼 수 있습니다.",
        "This user, or this vector store, has no file of that id. GET /v1/files lists them.",
        "このユーザー、またはこのベクトルストアに、その id のファイルはありません。GET /v1/files をご確認ください。",
    ),
    "title.vector_store_not_found": (
        "그런 벡터 저장소가 없습니다",
        "No such vector store",
        "そのベクトルストアはありません",
    ),
    "detail.vector_store_not_found": (
        "이 사용자에게 그 id의 벡터 저장소가 없습니다. GET /v1/vector_stores로 목록을 볼 수 있습니다.",
        "This user has no vector store of that id. GET /v1/vector_stores lists them.",
        "このユーザーにその id のベクトルストアはありません。GET /v1/vector_stores で一覧を確認できます。",
    ),
    "problem.unknown_id": (
        "이 목록에 없는 id입니다. 앞 페이지에서 받은 값을 보내 주세요.",
        "is no id of this list; send one of the page before.",
        "この一覧にない id です。前のページの値を送ってください。",
    ),
    "problem.bad_filter_type": (
        "eq, ne, gt, gte, lt, lte, in, nin, and, or 가운데 하나여야 합니다.",
        "must be one of eq, ne, gt, gte, lt, lte, in, nin, and, or.",
        "eq、ne、gt、gte、lt、lte、in、nin、and、or のいずれかにしてください。",
    ),
    "problem.filter_too_large": (
        "조건이 너무 많거나 깊습니다. 32개, 4단계까지 쓸 수 있습니다.",
        "has too many comparisons or levels; at most 32 and 4.",
        "条件が多すぎるか深すぎます。32個、4段階までです。",
    ),
    "title.document_quota": ("문서가 너무 많습니다", "Too many documents", "文書が多すぎます"),
    "detail.document_quota": (
        "보관할 수 있는 양을 다 썼습니다. 필요 없는 문서를 DELETE /documents/…로 지운 뒤 다시 올려 주세요.",
        "There is no room for more. Erase documents that you no longer need (DELETE /documents/…), then upload again.",
        "保存できる量を使い切りました。不要な文書を DELETE /documents/… で消してから、もう一度送ってください。",
    ),
    "title.documents_unavailable": (
        "문서 저장소가 응답하지 않습니다",
        "The store of documents does not answer",
        "文書の保存先が応答しません",
    ),
    "detail.documents_unavailable": (
        "잠시 뒤에 다시 시도해 주세요.",
        "Try again a little later.",
        "しばらくしてからもう一度お試しください。",
    ),
    "title.embedding_unavailable": (
        "임베딩 모델이 응답하지 않습니다",
        "The embedding model does not answer",
        "埋め込みモデルが応答しません",
    ),
    "detail.embedding_unavailable": (
        "잠시 뒤에 다시 시도해 주세요. 문서는 그동안 단어로 찾을 수 있습니다.",
        "Try again a little later. Documents are found by their words meanwhile.",
        "しばらくしてからもう一度お試しください。その間、文書は言葉で探せます。",
    ),
    "problem.send_texts": (
        "토큰은 받지 않습니다. 글자로 보내 주세요.",
        "holds tokens, which are another model's; send texts.",
        "トークンは受け付けません。テキストで送ってください。",
    ),
    "problem.fixed_dimensions": (
        "이 모델의 벡터는 {dimensions}차원입니다. 더 짧게 자를 수 없으면 이 필드를 빼고 보내 주세요.",
        "the model's vectors have {dimensions} numbers, and cannot be made of this length; leave it out.",
        "このモデルのベクトルは{dimensions}次元で、その長さにはできません。このフィールドを省いてください。",
    ),
    "answer.nothing_found": (
        "문서에서 이 질문과 관련된 내용을 찾지 못했습니다.",
        "Nothing in the documents has to do with this question.",
        "文書の中に、この質問に関する内容は見つかりませんでした。",
    ),
    "problem.not_multipart": (
        "multipart/form-data가 아니거나 file 부분이 없습니다. 파일 하나를 file로 보내 주세요.",
        "It is no multipart/form-data with a part named file. Send one file, as file.",
        "multipart/form-data ではないか、file の部分がありません。ファイルを1つ file として送ってください。",
    ),
    "reason.too_large": (
        "문서가 너무 큽니다. 나누어서 올려 주세요.",
        "The document is too large, or grows too large when it is unpacked. Split it.",
        "文書が大きすぎます。分割して送ってください。",
    ),
    "reason.embedding_unavailable": (
        "의미 검색을 준비하는 모델이 응답하지 않아 기다리고 있습니다. 단어로는 이미 찾을 수 있고, 할 일은 없습니다.",
        "The model that searches by meaning does not answer, so this waits for it. It is found by words; do nothing.",
        "意味で探すためのモデルが応答しないため、待機中です。言葉ではすでに見つかります。何もする必要はありません。",
    ),
    "reason.encrypted": (
        "암호가 걸려 있습니다. 암호를 푼 파일을 올려 주세요.",
        "It is protected by a password. Upload it without one.",
        "パスワードで保護されています。解除してから送ってください。",
    ),
    "reason.no_text": (
        "글자가 없습니다. 스캔한 문서라면 글자 인식(OCR)을 거친 뒤 올려 주세요.",
        "There is no text in it. If it was scanned, run text recognition (OCR) first.",
        "文字がありません。スキャンした文書なら、文字認識（OCR）をしてから送ってください。",
    ),
    "reason.unsupported_type": (
        "읽을 수 없는 형식입니다. txt, md, html, csv, json, pdf, docx, xlsx, pptx로, 텍스트는 UTF-8로 올려 주세요.",
        "This format cannot be read. Use txt, md, html, csv, json, pdf, docx, xlsx or pptx; text in UTF-8.",
        "読めない形式です。txt、md、html、csv、json、pdf、docx、xlsx、pptx で、テキストは UTF-8 で送ってください。",
    ),
    "reason.damaged": (
        "파일이 손상되었습니다. 원래 프로그램에서 다시 저장해 올려 주세요.",
        "The file is damaged. Save it again in the program that made it.",
        "ファイルが壊れています。元のプログラムで保存し直してから送ってください。",
    ),
    "reason.parser_timeout": (
        "읽는 데 너무 오래 걸립니다. 나누거나 더 단순한 형식으로 올려 주세요.",
        "Reading it takes too long. Split it, or save it in a simpler format.",
        "読み取りに時間がかかりすぎます。分割するか、単純な形式で送ってください。",
    ),
    "reason.parser_memory": (
        "읽는 데 메모리가 너무 많이 필요합니다. 나누거나 더 단순한 형식으로 올려 주세요.",
        "Reading it takes too much memory. Split it, or save it in a simpler format.",
        "読み取りにメモリを使いすぎます。分割するか、単純な形式で送ってください。",
    ),
    "reason.interrupted": (
        "여러 번 중단되었습니다. 다시 올려 주시고, 또 그러면 운영자에게 알려 주세요.",
        "Reading it was interrupted too often. Upload it again; if that fails too, tell the operator.",
        "何度も中断されました。もう一度送り、それでも失敗するなら運用者にお知らせください。",
    ),
    "reason.quota": (
        "보관할 수 있는 양을 넘습니다. 필요 없는 문서를 지운 뒤 다시 올려 주세요.",
        "There is no room for it. Erase documents that you no longer need, then upload again.",
        "保存できる量を超えます。不要な文書を消してから、もう一度送ってください。",
    ),
}
